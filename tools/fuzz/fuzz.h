// What every fuzzer here does: hands arbitrary bytes to one parser, which may answer with a value or with an Error, and
// with nothing else. Anything else is for libFuzzer and the sanitizers to see.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

#include "base/error.h"

namespace yolov3 {

template <class Parser>
int fuzz(const uint8_t* data, size_t size, Parser&& parser) {
  try {
    parser(std::string_view(reinterpret_cast<const char*>(data), size));
  } catch (const Error&) {
  }
  return 0;
}

// For parsers that read files: one file a process, rewritten each time and removed at the end.
inline std::filesystem::path file_with(std::string_view bytes, const std::string& extension) {
  struct TemporaryFile {
    std::filesystem::path path;
    ~TemporaryFile() {
      std::error_code ignored;
      std::filesystem::remove(path, ignored);
    }
  };
  static const TemporaryFile file{std::filesystem::temp_directory_path() /
                                  ("fuzz-" + std::to_string(::getpid()) + extension)};
  std::ofstream(file.path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return file.path;
}

}  // namespace yolov3
