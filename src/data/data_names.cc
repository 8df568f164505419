#include "data/data_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "data/voc.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

// The sources of `split`, whose names count, and those of the other splits as far as they are there.
std::vector<Source> sources_with_names(const DataOptions& options, const DataPlan& plan, const std::string& split) {
  std::vector<Source> all;
  for (const auto& [other, written] : plan.splits) {
    try {
      for (Source& source : parse_sources(written)) all.push_back(std::move(source));
    } catch (const Error& error) {
      if (other == split) throw;
      log_warning("{}: the class names are taken without those of split \"{}\": {}", options.data, other, error.what());
    }
  }
  return all;
}

// classes.txt, as labelImg writes it, in the folder, its labels or the folder above.
std::vector<std::string> yolo_class_names(const fs::path& folder) {
  std::error_code reason;
  for (const fs::path& file : {folder / "classes.txt", folder / "labels" / "classes.txt", folder / "names.txt",
                               folder / ".." / "classes.txt", folder / ".." / ".." / "classes.txt"}) {
    if (fs::is_regular_file(file, reason)) return read_class_names(file);
  }
  return {};
}

std::vector<CocoCategory> categories_of(const fs::path& path, const CocoFiles& read) {
  const auto found = read.find(path);
  return found != read.end() ? found->second.categories : read_coco_categories(path);
}

// In order of the ids, each name once.
std::vector<std::string> coco_class_names(const std::vector<Source>& sources, const CocoFiles& read) {
  std::map<int64_t, std::string> by_id;
  for (const Source& source : sources) {
    for (const CocoCategory& category : categories_of(source.path, read)) {
      const auto [known, added] = by_id.emplace(category.id, category.name);
      check(added || known->second == category.name,
            "{}: category {} is \"{}\" here and \"{}\" in another file; give the names with --names FILE",
            source.path.string(), category.id, category.name, known->second);
    }
  }
  std::vector<std::string> names;
  for (const auto& [id, name] : by_id) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(name);
    } else {
      log_warning("category {} has the name \"{}\" of an earlier one; both are one class", id, name);
    }
  }
  return names;
}

// Where objects go by number such classes stay two; whatever goes by name cannot tell them apart.
const std::vector<std::string>& with_doubles_told(const std::vector<std::string>& names, const std::string& where) {
  std::map<std::string, size_t> first;
  for (size_t k = 0; k < names.size(); ++k) {
    const auto [earlier, added] = first.emplace(names[k], k);
    if (added) continue;
    log_warning("{}: class {} has the name \"{}\" of class {}; objects that go by name are class {}'s", where, k,
                names[k], earlier->second, earlier->second);
  }
  return names;
}

[[noreturn]] void fail_nameless(const Source& source) {
  std::error_code reason;
  const fs::path yaml = source.path / "data.yaml";
  const bool beside = fs::is_regular_file(yaml, reason);
  fail("{}: {} hold class numbers, not names; give the names with --names FILE, one a line, or {}",
       source.path.string(), source.kind == SourceKind::lines ? "annotation lines" : "YOLO labels",
       beside ? "--data " + yaml.string() + ", which lies there" : "in a data.yaml");
}

void add_names(const Source& source, const CocoFiles& read, std::set<std::string>& names) {
  if (source.kind == SourceKind::synthetic) {
    for (char digit = '0'; digit <= '9'; ++digit) names.insert(std::string(1, digit));
  } else if (source.kind == SourceKind::voc) {
    for (std::string& name : voc_class_names(source.path)) names.insert(std::move(name));
  } else if (source.kind == SourceKind::coco) {
    for (CocoCategory& category : categories_of(source.path, read)) names.insert(std::move(category.name));
  } else {
    fail_nameless(source);
  }
}

}  // namespace

std::vector<std::string> class_names(const DataOptions& options, const DataPlan& plan, const std::string& split,
                                     const CocoFiles& read) {
  if (!options.known_names.empty()) return options.known_names;
  if (!options.names.empty()) return with_doubles_told(read_class_names(options.names), options.names.string());
  if (!plan.names.empty()) return with_doubles_told(plan.names, options.data);
  const std::vector<Source> sources = sources_with_names(options, plan, split);
  const auto are_all = [&](SourceKind kind) {
    return std::all_of(sources.begin(), sources.end(), [&](const Source& source) { return source.kind == kind; });
  };
  if (are_all(SourceKind::coco)) return coco_class_names(sources, read);
  if (sources.size() == 1 && are_all(SourceKind::yolo_folder)) {
    const std::vector<std::string> names = yolo_class_names(sources[0].path);
    if (names.empty()) fail_nameless(sources[0]);
    return with_doubles_told(names, options.data);
  }
  std::set<std::string> names;
  std::set<fs::path> seen;  // a folder that is every split is read once
  for (const Source& source : sources) {
    if (source.kind == SourceKind::voc && !seen.insert(source.path.lexically_normal()).second) continue;
    add_names(source, read, names);
  }
  return {names.begin(), names.end()};
}

}  // namespace yolov3
