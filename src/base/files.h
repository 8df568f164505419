// Reading whole files and writing them so that a crash or a full disk never leaves half of one.
// Errors: every failure is an Error that names the path and the system's reason.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace yolov3 {

// The file's bytes. Refuses at once what is no regular file (a pipe would be waited for) or is over max_bytes.
std::string read_file(const std::filesystem::path& path, uint64_t max_bytes = uint64_t{1} << 30);

// A file under construction beside its final place. commit() flushes it to the disk and renames it into place;
// without commit() it is removed, and what stood at `path` before is untouched. A symbolic link is followed, not
// replaced. What exists and is no regular file, such as /dev/null or a pipe, is written straight into.
// A killed process leaves ".yolov3-unfinished-PID-..." behind, which may be deleted.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Where the bytes go until commit(), in the folder of the final place: for libraries that write by path.
  const std::filesystem::path& temporary() const { return temporary_; }
  void write(std::string_view bytes);  // appends
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
  bool direct_ = false;  // into path_ itself
};

// Removes what AtomicFiles of processes that are gone have left in a folder, and returns how many files that were. For
// a folder that only processes of this machine write to.
int remove_unfinished_files(const std::filesystem::path& folder);

void write_file(const std::filesystem::path& path, std::string_view bytes);  // AtomicFile, write, commit
void make_directories(const std::filesystem::path& path);

// Regular files of a folder in byte order of their names, so that runs repeat on any file system.
std::vector<std::filesystem::path> list_files(const std::filesystem::path& folder);

// `path` as written in the file `referrer`: relative paths are relative to the file that names them.
std::filesystem::path resolve_beside(const std::filesystem::path& referrer, const std::filesystem::path& path);

}  // namespace yolov3
