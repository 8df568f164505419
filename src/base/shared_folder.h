// For tests: real pictures and data sets that are not part of the repository. They lie in `shared` beside it, or where
// the environment variable YOLOV3_SHARED says.
#pragma once

#include <cstdlib>
#include <filesystem>

namespace yolov3::test {

inline std::filesystem::path shared_folder() {
  const char* shared = std::getenv("YOLOV3_SHARED");
  return shared ? std::filesystem::path(shared) : std::filesystem::path(YOLOV3_SOURCE_DIR) / ".." / "shared";
}

}  // namespace yolov3::test
