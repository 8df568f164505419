#include "data/data_sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/usage.h"
#include "data/coco.h"
#include "data/data_names.h"
#include "data/data_plan.h"
#include "data/files_below.h"
#include "data/lines.h"
#include "data/voc.h"
#include "data/yolo.h"
#include "image/load.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

const std::vector<std::string> kUsualSplits = {"train", "val", "test"};

// One split on its way from its sources to what they state.
class SplitReader {
 public:
  SplitReader(const DataOptions& options, const std::string& split)
      : options_(options), split_(split), plan_(make_plan(options)), sources_(sources_of(plan_, options, split)) {}

  StatedSplit read() && {
    for (const std::string& key : plan_.ignored_keys) log_warning("{}: the key \"{}\" is ignored", options_.data, key);
    check_images_option();
    for (const Source& source : sources_) {
      if (source.kind == SourceKind::coco) coco_.emplace(source.path, read_coco(source.path));
    }
    stated_.names = class_names(options_, plan_, split_, coco_);
    for (const Source& source : sources_) add(source);
    return std::move(stated_);
  }

 private:
  void check_images_option() const {
    if (options_.images.empty()) return;
    std::error_code reason;
    check_usage(fs::is_directory(options_.images, reason), "--images {}: expected a folder", options_.images.string());
    const bool any = std::any_of(sources_.begin(), sources_.end(),
                                 [](const Source& source) { return source.kind == SourceKind::coco; });
    if (any) return;
    fail_usage("--images {}: says where the pictures of COCO files are, and {} has none", options_.images.string(),
               options_.data);
  }

  void add(const Source& source) {
    switch (source.kind) {
      case SourceKind::synthetic: return add_synthetic(source);
      case SourceKind::voc: return add_voc(source);
      case SourceKind::coco: return add_coco(source);
      case SourceKind::yolo_folder: return add_yolo_folder(source);
      case SourceKind::yolo_list: return add_yolo_list(source);
      case SourceKind::lines: return add_lines(source);
    }
  }

  void append(std::vector<StatedPicture> pictures) {
    std::move(pictures.begin(), pictures.end(), std::back_inserter(stated_.pictures));
  }
  void append(std::vector<StatedPicture> pictures, std::vector<Defect> loose,
              const std::map<std::string, int64_t>& unheld) {
    append(std::move(pictures));
    std::move(loose.begin(), loose.end(), std::back_inserter(stated_.loose));
    for (const auto& [what, count] : unheld) stated_.unheld[what] += count;
  }

  void add_synthetic(const Source& source) {
    check(stated_.synthetic.empty(), "{}: synthetic stands twice in split \"{}\": the pictures would be the same",
          options_.data, split_);
    const int64_t count = split_ == "train" ? source.count : std::max<int64_t>(1, source.count / 5);
    stated_.synthetic.push_back({options_.seed, split_, count});
  }

  void add_voc(const Source& source) {
    if (voc_splits(source.path).empty()) {
      check(source.own_split.empty(), "{}: no split \"{}\": the folder has no ImageSets/Main", source.path.string(),
            source.own_split);
      if (split_ != kWholeDataset) {
        log_warning("{}: no ImageSets/Main; the whole folder is taken as \"{}\"", source.path.string(), split_);
      }
    }
    VocPictures read = read_voc(source.path, source.own_split.empty() ? split_ : source.own_split, stated_.names);
    append(std::move(read.pictures), std::move(read.loose), read.unheld);
  }

  void add_coco(const Source& source) {
    warn_of_no_splits(source, "a COCO file has");
    CocoData data = std::move(coco_.at(source.path));
    coco_.at(source.path).categories = data.categories;  // a second source of the same file finds no pictures again
    name_classes(data, stated_.names);
    if (stated_.category_ids.empty()) stated_.category_ids = category_ids(data.categories, stated_.names);
    const fs::path folder = options_.images.empty() ? find_coco_images(source.path, data) : options_.images;
    for (StatedPicture& picture : data.pictures) picture.image = coco_picture(folder, picture.image);
    append(std::move(data.pictures), std::move(data.loose), data.unheld);
  }

  void add_yolo_folder(const Source& source) {
    const std::map<std::string, std::vector<fs::path>> splits = yolo_splits(source.path);
    std::vector<fs::path> folders = {source.path};
    if (const auto whole = splits.find(""); whole != splits.end()) folders = whole->second;
    if (splits.empty() || splits.contains("")) {
      warn_of_no_splits(source, "a folder of pictures has");
    } else {
      const auto found = splits.find(split_);
      std::vector<std::string> known;
      for (const auto& [name, paths] : splits) known.push_back(name);
      check(found != splits.end(), "{}: no split \"{}\"; it has {}", source.path.string(), split_,
            fmt::join(known, ", "));
      folders = found->second;
    }
    for (const fs::path& folder : folders) {
      YoloPictures read = read_yolo_folder(folder);
      append(std::move(read.pictures), std::move(read.loose), read.unheld);
    }
  }

  void add_yolo_list(const Source& source) {
    std::optional<YoloPictures> read = read_yolo_list(source.path, source.bases);
    check(read.has_value(), "{}: not one of its pictures has a YOLO txt label; are the paths right?",
          source.path.string());
    append(std::move(read->pictures), std::move(read->loose), read->unheld);
  }

  // A list of bare paths is what YOLO data sets have as train.txt.
  void add_lines(const Source& source) {
    std::vector<StatedPicture> pictures = read_lines(source.path);
    check(!pictures.empty(), "{}: expected annotation lines (path x0,y0,x1,y1,class ...), found none",
          source.path.string());
    warn_of_no_splits(source, "annotation lines have");
    const bool bare = std::all_of(pictures.begin(), pictures.end(),
                                  [](const StatedPicture& picture) { return picture.boxes.empty(); });
    if (!bare) return append(std::move(pictures));
    const fs::path folder = source.path.parent_path();
    if (std::optional<YoloPictures> read = read_yolo_list(source.path, {folder, folder / "..", fs::path()})) {
      return append(std::move(read->pictures), std::move(read->loose), read->unheld);
    }
    log_warning("{}: no picture has a box, all are taken as background", source.path.string());
    append(std::move(pictures));
  }

  // Only what stands after --data by itself: a data.yaml knows what it names.
  void warn_of_no_splits(const Source& source, const char* what) {
    if (!plan_.splits.contains("") || split_ == "train" || split_ == kWholeDataset) return;
    log_warning("{}: {} no splits; all of it is taken as \"{}\"", source.path.string(), what, split_);
  }

  const DataOptions& options_;
  const std::string& split_;
  const DataPlan plan_;
  const std::vector<Source> sources_;
  CocoFiles coco_;
  StatedSplit stated_;
};

}  // namespace

namespace {

// All the splits that there are, in byte order; none = the data set has no splits.
std::vector<std::string> all_splits(const DataPlan& plan) {
  std::vector<std::string> known;
  const auto any = plan.splits.find("");
  if (any == plan.splits.end()) {
    for (const auto& [split, sources] : plan.splits) known.push_back(split);
    return known;
  }
  const Source source = parse_source(any->second.front());
  if (source.kind == SourceKind::synthetic) return kUsualSplits;
  if (source.kind == SourceKind::voc && source.own_split.empty()) known = voc_splits(source.path);
  if (source.kind == SourceKind::yolo_folder) {
    for (const auto& [split, folders] : yolo_splits(source.path)) {
      if (!split.empty()) known.push_back(split);
    }
  }
  return known;
}

}  // namespace

std::vector<std::string> splits_of(const DataOptions& options) {
  const std::vector<std::string> known = all_splits(make_plan(options));
  if (known.empty()) return {kWholeDataset};
  std::vector<std::string> usual;
  for (const std::string& split : kUsualSplits) {
    if (std::find(known.begin(), known.end(), split) != known.end()) usual.push_back(split);
  }
  return usual.empty() ? known : usual;
}

std::vector<Defect> find_unread(const DataOptions& options) {
  const DataPlan plan = make_plan(options);
  const auto any = plan.splits.find("");
  if (any == plan.splits.end()) return {};
  const Source source = parse_source(any->second.front());
  const std::vector<std::string> read = splits_of(options);
  if (source.kind == SourceKind::voc && source.own_split.empty() && !voc_splits(source.path).empty()) {
    return find_unlisted(source.path, read);
  }
  if (source.kind == SourceKind::yolo_folder) return find_pictures_in_no_split(source.path, read);
  return {};
}

std::vector<fs::path> source_folders(const DataOptions& options) {
  std::vector<fs::path> folders;
  std::error_code reason;
  if (!options.images.empty()) folders.push_back(options.images);
  for (const auto& [split, written] : make_plan(options).splits) {
    for (const WrittenSource& one : written) {
      if (fs::is_directory(one.path, reason)) folders.push_back(one.path);
    }
  }
  return folders;
}

bool is_read_from(const DataOptions& options, const fs::path& file) {
  std::error_code none;
  std::vector<fs::path> named{options.data, options.names}, folders;
  try {
    for (const auto& [split, written] : make_plan(options).splits) {
      for (const WrittenSource& one : written) named.push_back(one.path);
    }
    folders = source_folders(options);
  } catch (const Error&) {  // for the one who reads it to tell
  }
  if (std::ranges::any_of(named, [&](const fs::path& one) { return fs::equivalent(file, one, none); })) return true;
  const std::string ending = file.extension().string();
  if (ending != ".txt" && ending != ".xml" && !has_image_extension(file)) return false;
  return std::ranges::any_of(folders, [&](const fs::path& folder) {
    const fs::path labels = with_labels_folder(folder);
    return is_below(file, folder) || (!labels.empty() && is_below(file, labels));
  });
}

StatedSplit read_split(const DataOptions& options, const std::string& split) {
  return SplitReader(options, split).read();
}

}  // namespace yolov3
