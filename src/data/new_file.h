// A text file that is written piece by piece, into a folder that nobody reads yet (base/files.h is for all others).
// Errors: it cannot be made or written, with the path and the system's reason.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace yolov3 {

class NewFile {
 public:
  explicit NewFile(std::filesystem::path path);  // its folder must be there
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(std::string_view text);
  void close();  // needed: only then is known that all of it was written

 private:
  void flush();

  std::filesystem::path path_;
  std::string waiting_;
  int descriptor_ = -1;
};

// The whole of a file at once.
void write_new_file(const std::filesystem::path& path, std::string_view bytes);

}  // namespace yolov3
