// What stands after --data, as splits of sources and class names: a data.yaml, a .data file, or a source by itself.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "data/source.h"
#include "data/source_kind.h"

namespace yolov3 {

// Every split's sources; the key "" = any split.
struct DataPlan {
  std::map<std::string, std::vector<WrittenSource>> splits;
  std::vector<std::string> names;         // of the file; empty = it has none
  std::vector<std::string> ignored_keys;  // of it
};

DataPlan make_plan(const DataOptions& options);

// The sources of a split that the plan has, or an Error that lists those it has.
std::vector<Source> sources_of(const DataPlan& plan, const DataOptions& options, const std::string& split);

}  // namespace yolov3
