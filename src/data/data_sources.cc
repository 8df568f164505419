#include "data/data_sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "data/data_yaml.h"
#include "data/lines.h"
#include "data/text_guard.h"
#include "data/voc.h"
#include "image/load.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

enum class SourceKind { lines, voc, synthetic };

struct Source {
  SourceKind kind = SourceKind::lines;
  fs::path path;
  std::string own_split;  // of a VOC folder; empty = the split that is asked for
  int64_t count = 0;      // of synthetic pictures
};

constexpr const char* kReadable = "a data.yaml, a Pascal VOC folder, annotation lines (.txt) or synthetic[:N]";

bool is_folder(const fs::path& path) {
  std::error_code reason;
  return fs::is_directory(path, reason);
}

bool is_there(const fs::path& path) {
  std::error_code reason;
  return fs::exists(path, reason);
}

bool is_yaml(const std::string& text) {
  return ends_with_ignoring_case(text, ".yaml") || ends_with_ignoring_case(text, ".yml");
}

std::optional<Source> parse_synthetic(const std::string& text) {
  if (text != "synthetic" && !text.starts_with("synthetic:")) return std::nullopt;
  Source source{.kind = SourceKind::synthetic, .path = {}, .own_split = {}, .count = kSyntheticPictures};
  if (text == "synthetic") return source;
  const std::optional<int64_t> count = parse_integer(std::string_view(text).substr(10));
  check(count && *count >= 1 && *count <= 10'000'000, "{}: expected synthetic:N with N from 1 to 10000000",
        shown(text));
  source.count = *count;
  return source;
}

[[noreturn]] void refuse_folder(const fs::path& path) {
  const bool has_pictures = [&] {
    if (is_folder(path / "images") || is_folder(path / "labels")) return true;
    const std::vector<fs::path> files = list_files(path);
    return std::any_of(files.begin(), files.end(), [](const fs::path& file) { return has_image_extension(file); });
  }();
  if (has_pictures) {
    fail(
        "{}: a folder of pictures without VOC Annotations; YOLO-txt folders (images/ and labels/) are not read by this "
        "version; write the boxes as annotation lines or Pascal VOC",
        path.string());
  }
  fail("{}: expected a Pascal VOC folder with Annotations and JPEGImages, found neither; is the path right?",
       path.string());
}

Source parse_file(const fs::path& path) {
  const std::string text = path.string();
  check(!ends_with_ignoring_case(text, ".json"), "{}: COCO JSON files are not read by this version; expected {}", text,
        kReadable);
  check(!ends_with_ignoring_case(text, ".data"), "{}: Darknet .data files are not read by this version; expected {}",
        text, kReadable);
  check(ends_with_ignoring_case(text, ".txt"), "{}: expected {}", text, kReadable);
  const fs::path main = path.parent_path(), sets = main.parent_path();
  if (main.filename() == "Main" && sets.filename() == "ImageSets" && is_voc_folder(sets.parent_path())) {
    return {SourceKind::voc, sets.parent_path(), path.stem().string(), 0};
  }
  return {SourceKind::lines, path, "", 0};
}

// `text` as written, `path` = the same, relative to the file that names it.
Source parse_source(const std::string& text, const fs::path& path) {
  if (std::optional<Source> synthetic = parse_synthetic(text)) return *synthetic;
  if (is_folder(path)) {
    if (!is_voc_folder(path)) refuse_folder(path);
    return {SourceKind::voc, path, "", 0};
  }
  if (is_there(path)) {
    check(!is_yaml(text), "{}: a data.yaml inside a data.yaml is not read", path.string());
    return parse_file(path);
  }
  const std::string whole = path.string();
  const size_t colon = whole.rfind(':');
  if (colon != std::string::npos && is_voc_folder(whole.substr(0, colon))) {
    return {SourceKind::voc, whole.substr(0, colon), whole.substr(colon + 1), 0};
  }
  fail("{}: no such file or folder; expected {}", shown(whole, 300), kReadable);
}

// A source as written, not looked at yet: a split that nobody asked for need not be there.
struct WrittenSource {
  std::string text;
  fs::path path;
};

// Every split's sources; the key "" = any split.
struct DataPlan {
  std::map<std::string, std::vector<WrittenSource>> splits;
  std::vector<std::string> names;         // of a data.yaml
  std::vector<std::string> ignored_keys;  // of it
};

DataPlan plan_yaml(const fs::path& path) {
  DataPlan plan;
  DataYaml yaml = read_data_yaml(path);
  plan.names = std::move(yaml.names);
  plan.ignored_keys = std::move(yaml.ignored);
  for (const auto& [split, sources] : yaml.splits) {
    for (const std::string& text : sources) {
      const fs::path source = fs::path(text).is_absolute() ? fs::path(text) : (yaml.root / text).lexically_normal();
      plan.splits[split].push_back({text, source});
    }
  }
  return plan;
}

std::vector<Source> parse_sources(const std::vector<WrittenSource>& written) {
  std::vector<Source> sources;
  for (const WrittenSource& source : written) sources.push_back(parse_source(source.text, source.path));
  return sources;
}

DataPlan make_plan(const DataOptions& options) {
  check(!options.data.empty(), "--data: expected {}", kReadable);
  if (is_yaml(options.data) && !is_folder(options.data)) return plan_yaml(options.data);
  DataPlan plan;
  plan.splits[""].push_back({options.data, options.data});
  return plan;
}

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

std::vector<std::string> class_names(const DataOptions& options, const DataPlan& plan, const std::string& split) {
  if (!options.names.empty()) return read_class_names(options.names);
  if (!plan.names.empty()) return plan.names;
  std::set<std::string> names;
  std::set<fs::path> folders;  // a folder that is every split is read once
  for (const Source& source : sources_with_names(options, plan, split)) {
    if (source.kind == SourceKind::synthetic) {
      for (char digit = '0'; digit <= '9'; ++digit) names.insert(std::string(1, digit));
    } else if (source.kind == SourceKind::voc) {
      if (!folders.insert(source.path.lexically_normal()).second) continue;
      for (std::string& name : voc_class_names(source.path)) names.insert(std::move(name));
    } else {
      fail(
          "{}: annotation lines hold class numbers, not names; give the names with --names FILE, one a line, or in a "
          "data.yaml",
          source.path.string());
    }
  }
  return {names.begin(), names.end()};
}

// A list of bare paths is what YOLO-txt data sets have as train.txt: taken as annotation lines, every picture would
// silently be background.
void refuse_yolo_list(const std::vector<StatedPicture>& pictures, const fs::path& file) {
  for (const StatedPicture& picture : pictures) {
    if (!picture.boxes.empty()) return;
  }
  const std::string image = pictures.front().image.string();
  const size_t images = image.rfind("/images/");
  fs::path label = fs::path(image).replace_extension(".txt");
  bool found = is_there(label);
  if (!found && images != std::string::npos) {
    label = fs::path(image.substr(0, images) + "/labels/" + image.substr(images + 8)).replace_extension(".txt");
    found = is_there(label);
  }
  check(!found,
        "{}: a list of pictures without boxes, beside {}: YOLO-txt labels are not read by this version; write "
        "the boxes as annotation lines (path x0,y0,x1,y1,class) or Pascal VOC",
        file.string(), label.string());
  log_warning("{}: no picture has a box, all are taken as background", file.string());
}

std::vector<StatedPicture> read_source_lines(const Source& source, const std::string& split, bool any_split) {
  if (any_split && split != "train" && split != kWholeDataset) {
    log_warning("{}: annotation lines have no splits; all of it is taken as \"{}\"", source.path.string(), split);
  }
  std::vector<StatedPicture> pictures = read_lines(source.path);
  check(!pictures.empty(), "{}: expected annotation lines (path x0,y0,x1,y1,class ...), found none",
        source.path.string());
  refuse_yolo_list(pictures, source.path);
  return pictures;
}

std::vector<StatedPicture> read_source_voc(const Source& source, const std::string& split,
                                           const std::vector<std::string>& names) {
  if (voc_splits(source.path).empty()) {
    check(source.own_split.empty(), "{}: no split \"{}\": the folder has no ImageSets/Main", source.path.string(),
          source.own_split);
    if (split != kWholeDataset) {
      log_warning("{}: no ImageSets/Main; the whole folder is taken as \"{}\"", source.path.string(), split);
    }
  }
  return read_voc(source.path, source.own_split.empty() ? split : source.own_split, names);
}

std::vector<Source> sources_of(const DataPlan& plan, const DataOptions& options, const std::string& split) {
  auto found = plan.splits.find(split);
  if (found == plan.splits.end()) found = plan.splits.find("");
  if (found != plan.splits.end()) return parse_sources(found->second);
  std::vector<std::string> known;
  for (const auto& [name, sources] : plan.splits) known.push_back(name);
  fail("{}: no split \"{}\"; it has {}", options.data, split, fmt::join(known, ", "));
}

const std::vector<std::string> kUsualSplits = {"train", "val", "test"};

}  // namespace

std::vector<std::string> splits_of(const DataOptions& options) {
  const DataPlan plan = make_plan(options);
  const auto any = plan.splits.find("");
  std::vector<std::string> known;
  if (any == plan.splits.end()) {
    for (const auto& [split, sources] : plan.splits) known.push_back(split);
  } else {
    const Source source = parse_sources(any->second).front();
    if (source.kind == SourceKind::synthetic) return kUsualSplits;
    if (source.kind == SourceKind::voc && source.own_split.empty()) known = voc_splits(source.path);
    if (known.empty()) return {kWholeDataset};
  }
  std::vector<std::string> usual;
  for (const std::string& split : kUsualSplits) {
    if (std::find(known.begin(), known.end(), split) != known.end()) usual.push_back(split);
  }
  return usual.empty() ? known : usual;
}

StatedSplit read_split(const DataOptions& options, const std::string& split) {
  const DataPlan plan = make_plan(options);
  for (const std::string& key : plan.ignored_keys) log_warning("{}: the key \"{}\" is ignored", options.data, key);
  const std::vector<Source> sources = sources_of(plan, options, split);
  StatedSplit stated;
  stated.names = class_names(options, plan, split);
  for (const Source& source : sources) {
    std::vector<StatedPicture> pictures;
    if (source.kind == SourceKind::synthetic) {
      check(stated.synthetic.empty(), "{}: synthetic stands twice in split \"{}\": the pictures would be the same",
            options.data, split);
      const int64_t count = split == "train" ? source.count : std::max<int64_t>(1, source.count / 5);
      stated.synthetic.push_back({options.seed, split, count});
    } else if (source.kind == SourceKind::voc) {
      pictures = read_source_voc(source, split, stated.names);
    } else {
      pictures = read_source_lines(source, split, plan.splits.contains(""));
    }
    std::move(pictures.begin(), pictures.end(), std::back_inserter(stated.pictures));
  }
  return stated;
}

}  // namespace yolov3
