#include "data/voc.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <pugixml.hpp>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "data/text_guard.h"
#include "image/load.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr uint64_t kMaxXmlBytes = 4 << 20;  // bounds the tree; real annotations have a few kB
constexpr uint64_t kMaxListBytes = 64 << 20;
constexpr size_t kMaxClasses = 10'000;
constexpr size_t kMaxNameBytes = 256;
constexpr int kMaxSide = 65'535;

using ClassIds = std::unordered_map<std::string, int64_t>;

ClassIds class_ids(const std::vector<std::string>& names) {
  ClassIds ids;
  for (size_t i = 0; i < names.size(); ++i) {
    check(ids.emplace(names[i], static_cast<int64_t>(i)).second,
          "class name \"{}\" stands twice among the names; Pascal VOC tells classes by name, so each must be unique",
          shown(names[i]));
  }
  return ids;
}

// From an offset in the text to the line in the file.
class LineNumbers {
 public:
  explicit LineNumbers(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') ends_.push_back(static_cast<ptrdiff_t>(i));
    }
  }
  int64_t at(ptrdiff_t offset) const {
    return std::lower_bound(ends_.begin(), ends_.end(), offset) - ends_.begin() + 1;
  }

 private:
  std::vector<ptrdiff_t> ends_;
};

// Of an object's elements those that are read, or say nothing as tools write them by default.
void count_unheld(const pugi::xml_node& object, Unheld& unheld) {
  constexpr size_t kMaxKeys = 100;
  static const std::set<std::string_view> kRead = {"name", "difficult", "bndbox"};
  for (const pugi::xml_node& child : object.children()) {
    if (child.type() != pugi::node_element || kRead.contains(child.name())) continue;
    const std::string_view value = trim(child.child_value());
    const bool has_parts = child.first_child().type() == pugi::node_element;
    if (!has_parts && (value.empty() || value == "0" || value == "Unspecified")) continue;
    const std::string key = "object " + shown(child.name(), 40);
    if (unheld.size() < kMaxKeys || unheld.contains(key)) ++unheld[key];
  }
}

StatedBox parse_object(const pugi::xml_node& object, const LineNumbers& lines, const ClassIds& ids) {
  StatedBox box;
  box.line = lines.at(object.offset_debug());
  box.difficult = trim(object.child_value("difficult")) == "1";
  const std::string name(trim(object.child_value("name")));
  const auto known = ids.find(name);
  if (known != ids.end()) {
    box.class_id = known->second;
  } else {
    box.problem = name.empty() ? "(no name)" : name;
  }
  const pugi::xml_node corners = object.child("bndbox");
  if (corners) box.line = lines.at(corners.offset_debug());
  static constexpr const char* kCorners[] = {"xmin", "ymin", "xmax", "ymax"};
  double* const values[] = {&box.x0, &box.y0, &box.x1, &box.y1};
  for (int i = 0; i < 4; ++i) {
    const std::string_view text = trim(corners.child_value(kCorners[i]));
    if (const std::optional<double> value = parse_number(text)) {
      *values[i] = *value;
      continue;
    }
    box.unreadable = true;
    box.problem = fmt::format("expected <bndbox> with a number in <{}>, found \"{}\"", kCorners[i], shown(text, 40));
    break;
  }
  return box;
}

Defect broken_annotation(const std::string& file, int64_t line, const std::string& detail) {
  return {"broken annotation", line > 0 ? fmt::format("{}:{}", file, line) : file, detail, true, false};
}

int stated_side(const pugi::xml_node& size, const char* name) {
  const std::optional<double> side = parse_number(trim(size.child_value(name)));
  return side && *side >= 1 && *side <= kMaxSide ? static_cast<int>(*side) : 0;
}

StatedPicture parse_xml(std::string_view text, const std::string& file, const ClassIds& ids, Unheld* unheld) {
  StatedPicture picture;
  picture.file = file;
  picture.voc_corners = true;
  const LineNumbers lines(text);
  pugi::xml_document document;
  const pugi::xml_parse_result result = document.load_buffer(text.data(), text.size());
  if (!result) {
    picture.defect = broken_annotation(file, lines.at(result.offset), result.description());
    return picture;
  }
  const pugi::xml_node root = document.child("annotation");
  if (!root) {
    picture.defect = broken_annotation(
        file, 1,
        fmt::format("expected the root <annotation>, found <{}>", shown(document.document_element().name(), 40)));
    return picture;
  }
  picture.image = std::string(trim(root.child_value("filename")));
  picture.width = stated_side(root.child("size"), "width");
  picture.height = stated_side(root.child("size"), "height");
  for (const pugi::xml_node& object : root.children("object")) {
    picture.boxes.push_back(parse_object(object, lines, ids));
    if (unheld) count_unheld(object, *unheld);
  }
  return picture;
}

// The images of JPEGImages, found without regard to case.
class ImageIndex {
 public:
  explicit ImageIndex(const fs::path& folder) : folder_(folder) {
    for (const fs::path& file : list_files(folder)) {
      if (!has_image_extension(file)) continue;
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

 private:
  fs::path folder_;
  std::unordered_map<std::string, fs::path> by_name_;
  std::unordered_map<std::string, std::vector<fs::path>> by_stem_;
};

std::vector<fs::path> annotation_files(const fs::path& folder) {
  std::vector<fs::path> files = list_files(folder / "Annotations");
  std::erase_if(files, [](const fs::path& file) { return !ends_with_ignoring_case(file.string(), ".xml"); });
  check(!files.empty(), "{}: expected Pascal VOC annotations (*.xml), found none", (folder / "Annotations").string());
  return files;
}

struct ListedStem {
  std::string stem;
  std::string where;  // "ImageSets/Main/train.txt:3", or the XML itself
};

// A line is a stem; class files add -1, 0 or 1 (absent, difficult, present), which is about one class, not the picture.
std::vector<ListedStem> listed_stems(const fs::path& folder, const std::string& split) {
  std::vector<ListedStem> stems;
  if (voc_splits(folder).empty()) {
    for (const fs::path& file : annotation_files(folder)) stems.push_back({file.stem().string(), file.string()});
    return stems;
  }
  const fs::path list = folder / "ImageSets" / "Main" / (split + ".txt");
  const std::string text = read_text(list, kMaxListBytes);
  int64_t line = 0;
  for (const std::string_view raw : split_lines(text)) {
    ++line;
    std::string_view stem = trim(raw);
    if (stem.empty()) continue;
    const std::vector<std::string_view> words = split_words(stem);
    const bool flagged = words.size() > 1 && (words.back() == "1" || words.back() == "-1" || words.back() == "0");
    std::error_code reason;
    if (flagged && !fs::exists(folder / "Annotations" / (std::string(stem) + ".xml"), reason)) {
      stem = trim(stem.substr(0, stem.size() - words.back().size()));
    }
    stems.push_back({std::string(stem), fmt::format("{}:{}", list.string(), line)});
  }
  check(!stems.empty(), "{}: expected the names of pictures, one a line, found none", list.string());
  return stems;
}

StatedPicture read_annotation(const fs::path& folder, const ListedStem& listed, const ClassIds& ids, Unheld* unheld) {
  const fs::path file = folder / "Annotations" / (listed.stem + ".xml");
  std::error_code reason;
  if (!fs::is_regular_file(file, reason)) {
    StatedPicture picture;
    picture.file = listed.where;
    picture.defect = Defect{"missing annotation", listed.where,
                            fmt::format("there is no {}", shown(file.string(), 300)), true, false};
    return picture;
  }
  try {
    return parse_xml(read_file(file, kMaxXmlBytes), file.string(), ids, unheld);
  } catch (const Error& error) {  // too large, not readable
    StatedPicture picture;
    picture.file = file.string();
    picture.defect = broken_annotation(file.string(), 0, error.what());
    return picture;
  }
}

}  // namespace

bool is_voc_folder(const fs::path& folder) {
  std::error_code reason;
  return fs::is_directory(folder / "Annotations", reason);
}

std::vector<std::string> voc_splits(const fs::path& folder) {
  const fs::path sets = folder / "ImageSets" / "Main";
  std::error_code reason;
  if (!fs::is_directory(sets, reason)) return {};
  std::vector<std::string> splits;
  for (const fs::path& file : list_files(sets)) {
    if (ends_with_ignoring_case(file.string(), ".txt")) splits.push_back(file.stem().string());
  }
  return splits;
}

std::vector<std::string> voc_class_names(const fs::path& folder) {
  std::set<std::string> names;
  for (const fs::path& file : annotation_files(folder)) {
    pugi::xml_document document;
    std::string text;
    try {
      text = read_file(file, kMaxXmlBytes);
    } catch (const Error&) {
      continue;  // a defect of its picture, reported when its split is read
    }
    if (!document.load_buffer(text.data(), text.size())) continue;
    for (const pugi::xml_node& object : document.child("annotation").children("object")) {
      const std::string name(trim(object.child_value("name")));
      if (!name.empty() && name.size() <= kMaxNameBytes && is_utf8(name)) names.insert(name);
    }
    check(names.size() <= kMaxClasses, "{}: more than {} class names; give the right ones with --names",
          folder.string(), kMaxClasses);
  }
  check(!names.empty(), "{}: no annotation names a class", (folder / "Annotations").string());
  return {names.begin(), names.end()};
}

StatedPicture parse_voc_xml(std::string_view text, const std::string& file, const std::vector<std::string>& names,
                            Unheld* unheld) {
  return parse_xml(text, file, class_ids(names), unheld);
}

std::vector<StatedPicture> read_voc(const fs::path& folder, const std::string& split,
                                    const std::vector<std::string>& names, Unheld* unheld) {
  check(is_voc_folder(folder), "{}: expected a Pascal VOC folder with Annotations and JPEGImages", folder.string());
  const std::vector<std::string> splits = voc_splits(folder);
  check(splits.empty() || std::find(splits.begin(), splits.end(), split) != splits.end(),
        "{}: no split \"{}\"; ImageSets/Main has {}", folder.string(), split, fmt::join(splits, ", "));
  const ImageIndex images(folder / "JPEGImages");
  const ClassIds ids = class_ids(names);
  std::vector<StatedPicture> pictures;
  for (const ListedStem& listed : listed_stems(folder, split)) {
    StatedPicture picture = read_annotation(folder, listed, ids, unheld);
    picture.image = images.find(listed.stem, picture.image);
    pictures.push_back(std::move(picture));
  }
  return pictures;
}

}  // namespace yolov3
