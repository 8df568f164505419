// Reading whole files and writing them so that a crash or a full disk never leaves half of one.
// Errors: every failure is an Error that names the path and the system's reason.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace yolov3 {

// The file's bytes. Refuses folders and files over max_bytes before anything is allocated.
std::string read_file(const std::filesystem::path& path, uint64_t max_bytes = uint64_t{1} << 30);

// A file under construction beside its final place. commit() flushes it to the disk and renames it into place;
// without commit() it is removed, and what stood at `path` before is untouched.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::filesystem::path& temporary() const { return temporary_; }  // for libraries that write by path
  void write(std::string_view bytes);                                    // appends
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
};

void write_file(const std::filesystem::path& path, std::string_view bytes);  // AtomicFile, write, commit
void make_directories(const std::filesystem::path& path);

// Regular files of a folder in byte order of their names, so that runs repeat on any file system.
std::vector<std::filesystem::path> list_files(const std::filesystem::path& folder);

// `path` as written in the file `referrer`: relative paths are relative to the file that names them.
std::filesystem::path resolve_beside(const std::filesystem::path& referrer, const std::filesystem::path& path);

}  // namespace yolov3
