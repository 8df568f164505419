// Folders of Pascal VOC annotations: where things lie, which pictures are listed, which annotation a picture has.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "data/files_below.h"
#include "data/text_guard.h"
#include "data/voc_xml.h"
#include "image/load.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr uint64_t kMaxXmlBytes = 4 << 20;  // bounds the tree; real annotations have a few kB
constexpr uint64_t kMaxListBytes = 64 << 20;
constexpr size_t kMaxClasses = 10'000;

bool is_xml(const fs::path& file) {
  return ends_with_ignoring_case(file.string(), ".xml") && !is_shadow_of_macos(file);
}

struct VocLayout {
  fs::path annotations, images;
};

// What lies directly in a folder.
struct Contents {
  bool xml = false, picture = false, label = false;  // label: a picture's YOLO txt
};

Contents look_into(const fs::path& folder) {
  Contents contents;
  std::set<std::string> pictures, texts;
  std::error_code reason;
  fs::directory_iterator entry(folder, reason);
  for (const fs::directory_iterator end; !reason && entry != end; entry.increment(reason)) {
    const fs::path& file = entry->path();
    contents.xml = contents.xml || is_xml(file);
    if (has_image_extension(file)) pictures.insert(file.stem().string());
    if (to_lower(file.extension().string()) == ".txt") texts.insert(file.stem().string());
  }
  contents.picture = !pictures.empty();
  contents.label = std::any_of(texts.begin(), texts.end(), [&](const auto& stem) { return pictures.contains(stem); });
  return contents;
}

// The development kit's own layout; the same with folders called annotations and images; or, as labelImg leaves it, all
// in one folder.
std::optional<VocLayout> layout_of(const fs::path& folder) {
  for (const char* name : {"Annotations", "annotations"}) {
    const fs::path annotations = folder / name;
    const bool own = std::string_view(name) == "Annotations";
    if (!is_folder(annotations) || (!own && !look_into(annotations).xml)) continue;
    for (const char* images : {"JPEGImages", "images", "Images"}) {
      if (is_folder(folder / images)) return VocLayout{annotations, folder / images};
    }
    return VocLayout{annotations, folder / "JPEGImages"};
  }
  if (!is_folder(folder)) return std::nullopt;
  const Contents contents = look_into(folder);
  if (contents.xml && contents.picture && !contents.label) return VocLayout{folder, folder};
  return std::nullopt;
}

VocLayout require_layout(const fs::path& folder) {
  const std::optional<VocLayout> layout = layout_of(folder);
  check(layout.has_value(), "{}: expected a Pascal VOC folder with Annotations and JPEGImages", folder.string());
  return *layout;
}

// The pictures of a folder, found without regard to case.
class ImageIndex {
 public:
  explicit ImageIndex(const fs::path& folder) : folder_(folder) {
    for (const fs::path& file : files_in(folder)) {
      if (!has_image_extension(file) || is_shadow_of_macos(file)) continue;
      files_.push_back(file);
      by_name_.emplace(to_lower(file.filename().string()), file);
      by_stem_[to_lower(file.stem().string())].push_back(file);
    }
  }

  fs::path find(const std::string& stem, const fs::path& filename) const {
    const auto same_stem = by_stem_.find(to_lower(stem));
    if (same_stem != by_stem_.end() && same_stem->second.size() == 1) return same_stem->second.front();
    const auto named = by_name_.find(to_lower(filename.filename().string()));
    if (named != by_name_.end()) return named->second;
    const auto named_stem = by_stem_.find(to_lower(filename.stem().string()));
    if (named_stem != by_stem_.end()) return named_stem->second.front();
    if (same_stem != by_stem_.end()) return same_stem->second.front();
    return folder_ / (filename.empty() ? fs::path(stem + ".jpg") : filename.filename());  // is reported as missing
  }

  const std::vector<fs::path>& files() const { return files_; }

 private:
  fs::path folder_;
  std::vector<fs::path> files_;
  std::unordered_map<std::string, fs::path> by_name_;
  std::unordered_map<std::string, std::vector<fs::path>> by_stem_;
};

std::vector<fs::path> annotation_files(const VocLayout& layout) {
  std::vector<fs::path> files = files_in(layout.annotations);
  std::erase_if(files, [](const fs::path& file) { return !is_xml(file); });
  check(!files.empty(), "{}: expected Pascal VOC annotations (*.xml), found none", layout.annotations.string());
  return files;
}

// The file of a name in a list; the usual one where there is none.
fs::path annotation_of(const VocLayout& layout, const std::string& stem) {
  std::error_code reason;
  const fs::path usual = layout.annotations / (stem + ".xml"), loud = layout.annotations / (stem + ".XML");
  return !fs::exists(usual, reason) && fs::exists(loud, reason) ? loud : usual;
}

struct Listed {
  std::string stem;
  std::string where;  // "ImageSets/Main/train.txt:3", or the XML itself
  fs::path annotation;
};

// A line is a stem; class files add -1, 0 or 1 (absent, difficult, present), which is about one class, not the picture.
std::vector<Listed> read_image_set(const fs::path& folder, const VocLayout& layout, const std::string& split) {
  std::vector<Listed> all;
  const fs::path list = folder / "ImageSets" / "Main" / (split + ".txt");
  const std::string text = read_text(list, kMaxListBytes);
  int64_t line = 0;
  for (const std::string_view raw : split_lines(text)) {
    ++line;
    std::string stem(trim(raw));
    if (stem.empty()) continue;
    fs::path annotation = annotation_of(layout, stem);
    const std::vector<std::string_view> words = split_words(stem);
    const bool flagged = words.size() > 1 && (words.back() == "1" || words.back() == "-1" || words.back() == "0");
    std::error_code reason;
    if (flagged && !fs::exists(annotation, reason)) {
      stem = std::string(trim(std::string_view(stem).substr(0, stem.size() - words.back().size())));
      annotation = annotation_of(layout, stem);
    }
    all.push_back({stem, fmt::format("{}:{}", list.string(), line), annotation});
  }
  return all;
}

std::vector<Listed> listed(const fs::path& folder, const VocLayout& layout, const std::string& split) {
  std::vector<Listed> all;
  if (voc_splits(folder).empty()) {
    for (const fs::path& file : annotation_files(layout)) all.push_back({file.stem().string(), file.string(), file});
    return all;
  }
  all = read_image_set(folder, layout, split);
  check(!all.empty(), "{}: expected the names of pictures, one a line, found none",
        (folder / "ImageSets" / "Main" / (split + ".txt")).string());
  return all;
}

// Not counted against the data set: it may be waiting to be annotated.
Defect unannotated(const fs::path& image, const VocLayout& layout) {
  const fs::path wanted = layout.annotations / (image.stem().string() + ".xml");
  Defect defect{"image without annotation", image.string(), fmt::format("there is no {}", shown(wanted.string(), 300)),
                true};
  defect.beside = true;
  defect.picture = image;
  return defect;
}

StatedPicture unusable(const std::string& file, const char* reason, std::string detail) {
  StatedPicture picture;
  picture.file = file;
  picture.defect = Defect{reason, file, std::move(detail), true};
  return picture;
}

StatedPicture read_annotation(const Listed& one, const VocParser& parser, Unheld& unheld) {
  const std::string file = one.annotation.string();
  std::error_code reason;
  if (!fs::is_regular_file(one.annotation, reason)) {
    return unusable(one.where, "missing annotation", fmt::format("there is no {}", shown(file, 300)));
  }
  try {
    return parser.parse(read_file(one.annotation, kMaxXmlBytes), file, &unheld);
  } catch (const Error& error) {  // too large, not readable
    return unusable(file, "broken annotation", error.what());
  }
}

}  // namespace

bool is_voc_folder(const fs::path& folder) { return layout_of(folder).has_value(); }

std::vector<std::string> voc_splits(const fs::path& folder) {
  const fs::path sets = folder / "ImageSets" / "Main";
  if (!is_folder(sets)) return {};
  std::vector<std::string> splits;
  for (const fs::path& file : list_files(sets)) {
    if (ends_with_ignoring_case(file.string(), ".txt") && !is_shadow_of_macos(file)) {
      splits.push_back(file.stem().string());
    }
  }
  return splits;
}

std::vector<std::string> voc_class_names(const fs::path& folder) {
  const VocLayout layout = require_layout(folder);
  std::set<std::string> names;
  for (const fs::path& file : annotation_files(layout)) {
    try {
      add_voc_names(read_file(file, kMaxXmlBytes), names);
    } catch (const Error&) {
      continue;  // a defect of its picture, reported when its split is read
    }
    check(names.size() <= kMaxClasses, "{}: more than {} class names; give the right ones with --names",
          folder.string(), kMaxClasses);
  }
  check(!names.empty(), "{}: no annotation names a class", layout.annotations.string());
  return {names.begin(), names.end()};
}

VocPictures read_voc(const fs::path& folder, const std::string& split, const std::vector<std::string>& names) {
  const VocLayout layout = require_layout(folder);
  const std::vector<std::string> splits = voc_splits(folder);
  check(splits.empty() || std::find(splits.begin(), splits.end(), split) != splits.end(),
        "{}: no split \"{}\"; ImageSets/Main has {}", folder.string(), split, fmt::join(splits, ", "));
  const ImageIndex images(layout.images);
  const VocParser parser(names);
  VocPictures all;
  std::set<fs::path> used;
  for (const Listed& one : listed(folder, layout, split)) {
    StatedPicture picture = read_annotation(one, parser, all.unheld);
    picture.image = images.find(one.stem, picture.image);
    if (splits.empty()) used.insert(picture.image);
    all.pictures.push_back(std::move(picture));
  }
  for (const fs::path& image : images.files()) {
    if (splits.empty() && !used.contains(image)) all.loose.push_back(unannotated(image, layout));
  }
  return all;
}

std::vector<Defect> find_unlisted(const fs::path& folder, const std::vector<std::string>& splits) {
  const VocLayout layout = require_layout(folder);
  std::set<std::string> known;
  for (const std::string& split : splits) {
    for (const Listed& one : read_image_set(folder, layout, split)) known.insert(to_lower(one.stem));
  }
  std::vector<Defect> unlisted;
  for (const fs::path& file : annotation_files(layout)) {
    if (!known.insert(to_lower(file.stem().string())).second) continue;
    unlisted.push_back({"annotation in no split", file.string(),
                        fmt::format("the lists {} of ImageSets/Main lack it; not used", fmt::join(splits, ", ")),
                        true});
    unlisted.back().beside = true;
  }
  const ImageIndex images(layout.images);
  for (const fs::path& image : images.files()) {
    if (!known.contains(to_lower(image.stem().string()))) unlisted.push_back(unannotated(image, layout));
  }
  return unlisted;
}

}  // namespace yolov3
