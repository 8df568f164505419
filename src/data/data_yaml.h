// data.yaml as Ultralytics has it: `path`, `train`, `val`, `test`, `names`, `nc`.
//
// `path` is relative to the file, the splits to `path`. A split is one data source or a list of them: any that stands
// after --data but a yaml or .data (data_sources.h). `names` is a list or a map {0: name}; without it the sources' own
// names are taken. `nc`, when present, must agree with `names`.
// Errors: a key that is not known (with "did you mean"), a value of the wrong kind, file and line in front.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace yolov3 {

struct DataYaml {
  std::filesystem::path root;                              // what the splits are relative to
  std::map<std::string, std::vector<std::string>> splits;  // as written
  std::vector<std::string> names;                          // empty = not given
  std::vector<std::string> ignored;                        // keys of other tools that mean nothing here
};

DataYaml read_data_yaml(const std::filesystem::path& path);
DataYaml parse_data_yaml(std::string_view text, const std::filesystem::path& path);

}  // namespace yolov3
