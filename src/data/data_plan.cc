#include "data/data_plan.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"
#include "base/usage.h"
#include "data/darknet_data.h"
#include "data/data_yaml.h"
#include "data/files_below.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

// Roboflow's exports say ../train/images for what lies beside the file; Ultralytics takes it so where that is there.
fs::path resolve_in_yaml(const fs::path& root, const std::string& text) {
  if (fs::path(text).is_absolute()) return text;
  const fs::path usual = (root / text).lexically_normal();
  if (!text.starts_with("../") || is_there(usual)) return usual;
  const fs::path beside = (root / text.substr(3)).lexically_normal();
  return is_there(beside) ? beside : usual;
}

DataPlan plan_yaml(const fs::path& path) {
  DataPlan plan;
  DataYaml yaml = read_data_yaml(path);
  plan.names = std::move(yaml.names);
  plan.ignored_keys = std::move(yaml.ignored);
  for (const auto& [split, sources] : yaml.splits) {
    for (const std::string& text : sources) {
      plan.splits[split].push_back({text, resolve_in_yaml(yaml.root, text), {}});
    }
  }
  return plan;
}

DataPlan plan_darknet(const fs::path& path) {
  DataPlan plan;
  const DarknetData data = read_darknet_data(path);
  const std::vector<fs::path> bases = darknet_bases(path);
  if (!data.names.empty()) {
    plan.names = read_class_names(find_from(bases, data.names));
    check(data.classes == 0 || data.classes == static_cast<int64_t>(plan.names.size()),
          "{}: classes is {} but {} has {} names", path.string(), data.classes, data.names, plan.names.size());
  }
  for (const auto& [split, text] : data.splits) {
    const fs::path list = find_from(bases, text);
    std::vector<fs::path> list_bases = bases;
    list_bases.push_back(list.parent_path());
    plan.splits[split].push_back({text, list, list_bases});
  }
  return plan;
}

}  // namespace

DataPlan make_plan(const DataOptions& options) {
  check_usage(!options.data.empty(), "--data: expected {}", kReadable);
  std::error_code reason;
  if (!fs::is_directory(options.data, reason)) {
    if (is_yaml(options.data)) return plan_yaml(options.data);
    if (is_darknet_data(options.data)) return plan_darknet(options.data);
  }
  DataPlan plan;
  plan.splits[""].push_back({options.data, options.data, {}});
  return plan;
}

std::vector<Source> sources_of(const DataPlan& plan, const DataOptions& options, const std::string& split) {
  auto found = plan.splits.find(split);
  if (found == plan.splits.end()) found = plan.splits.find("");
  if (found != plan.splits.end()) return parse_sources(found->second);
  std::vector<std::string> known;
  for (const auto& [name, sources] : plan.splits) known.push_back(name);
  fail("{}: no split \"{}\"; it has {}", options.data, split, fmt::join(known, ", "));
}

}  // namespace yolov3
