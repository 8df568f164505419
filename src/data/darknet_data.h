// Darknet's .data file: where a data set's lists and names are.
//
// `key = value` lines: classes, train, valid (or val), test, names; backup, results, eval and their like mean nothing
// here. Darknet takes its paths relative to the working directory; here each is looked for beside the file, then in the
// two folders above it, then in the working directory.
// Errors: a key that is not known, one that stands twice, classes that is not the number of names, file and line in
// front.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace yolov3 {

struct DarknetData {
  std::map<std::string, std::string> splits;  // "train", "val", "test": as written
  std::string names;                          // file, as written; empty = not given
  int64_t classes = 0;                        // 0 = not given
  std::vector<std::string> ignored;           // keys
};

DarknetData parse_darknet_data(std::string_view text, const std::string& name);
DarknetData read_darknet_data(const std::filesystem::path& path);

// Where its relative paths are looked for, in this order.
std::vector<std::filesystem::path> darknet_bases(const std::filesystem::path& path);

// `written` at the first base where it is there; beside the file when it is nowhere.
std::filesystem::path find_from(const std::vector<std::filesystem::path>& bases, const std::string& written);

}  // namespace yolov3
