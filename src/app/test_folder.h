// For tests: a folder of their own, whatever else runs on this machine.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "base/error.h"

namespace yolov3 {

// New and empty, under the system's temporary folder; the caller removes it.
inline std::filesystem::path make_test_folder(const std::string& name) {
  std::string path = (std::filesystem::temp_directory_path() / ("yolov3_" + name + "_XXXXXX")).string();
  check(::mkdtemp(path.data()) != nullptr, "{}: cannot make this folder", path);
  return path;
}

}  // namespace yolov3
