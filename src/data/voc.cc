#include "data/voc_xml.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <pugixml.hpp>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "base/text.h"
#include "data/text_guard.h"

namespace yolov3 {
namespace {

constexpr size_t kMaxNameBytes = 256;
constexpr int kMaxSide = 65'535;
constexpr size_t kMaxUnheldKeys = 100;

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
  static const std::set<std::string_view> kRead = {"name", "difficult", "bndbox"};
  for (const pugi::xml_node& child : object.children()) {
    if (child.type() != pugi::node_element || kRead.contains(child.name())) continue;
    const std::string_view value = trim(child.child_value());
    const bool has_parts = child.first_child().type() == pugi::node_element;
    if (!has_parts && (value.empty() || value == "0" || value == "Unspecified")) continue;
    const std::string key = "object " + shown(child.name(), 40);
    if (unheld.size() < kMaxUnheldKeys || unheld.contains(key)) ++unheld[key];
  }
}

// Of an annotation's own elements.
void count_unheld_of_picture(const pugi::xml_node& root, Unheld& unheld) {
  static const std::set<std::string_view> kRead = {"folder", "filename", "path", "size", "object"};
  for (const pugi::xml_node& child : root.children()) {
    if (child.type() != pugi::node_element || kRead.contains(child.name())) continue;
    const std::string_view key = child.name(), value = trim(child.child_value());
    if (key == "segmented" && (value.empty() || value == "0")) continue;
    if (key == "source" && trim(child.child_value("database")) == "Unknown") continue;  // labelImg's default
    const std::string name = "annotation " + shown(key, 40);
    if (unheld.size() < kMaxUnheldKeys || unheld.contains(name)) ++unheld[name];
  }
}

using ClassIds = std::unordered_map<std::string, int64_t>;

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

}  // namespace

VocParser::VocParser(const std::vector<std::string>& names) {
  for (size_t i = 0; i < names.size(); ++i) {
    check(ids_.emplace(names[i], static_cast<int64_t>(i)).second,
          "class name \"{}\" stands twice among the names; Pascal VOC tells classes by name, so each must be unique",
          shown(names[i]));
  }
}

StatedPicture VocParser::parse(std::string_view text, const std::string& file, Unheld* unheld) const {
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
  if (unheld) count_unheld_of_picture(root, *unheld);
  for (const pugi::xml_node& object : root.children("object")) {
    picture.boxes.push_back(parse_object(object, lines, ids_));
    if (unheld) count_unheld(object, *unheld);
  }
  return picture;
}

void add_voc_names(std::string_view text, std::set<std::string>& names) {
  pugi::xml_document document;
  if (!document.load_buffer(text.data(), text.size())) return;
  for (const pugi::xml_node& object : document.child("annotation").children("object")) {
    const std::string name(trim(object.child_value("name")));
    if (!name.empty() && name.size() <= kMaxNameBytes && shown(name, kMaxNameBytes) == name) names.insert(name);
  }
}

StatedPicture parse_voc_xml(std::string_view text, const std::string& file, const std::vector<std::string>& names,
                            Unheld* unheld) {
  return VocParser(names).parse(text, file, unheld);
}

}  // namespace yolov3
