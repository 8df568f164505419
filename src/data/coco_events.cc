#include "data/coco_events.h"

#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "data/json_stream.h"
#include "data/text_guard.h"

namespace yolov3 {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 64;
constexpr size_t kMaxUnheldKeys = 100;
constexpr int kEntryDepth = 3;  // root object, list, entry

enum class Field {
  other,
  id,
  image_id,
  category_id,
  width,
  height,
  area,
  file_name,
  name,
  crowd,
  ignore,
  bbox,
  segmentation
};

const std::map<std::string, CocoList> kLists = {
    {"images", CocoList::images}, {"annotations", CocoList::annotations}, {"categories", CocoList::categories}};

const std::map<std::string, Field>& fields_of(CocoList list) {
  static const std::map<std::string, Field> kImage = {
      {"id", Field::id}, {"file_name", Field::file_name}, {"width", Field::width}, {"height", Field::height}};
  static const std::map<std::string, Field> kAnnotation = {{"id", Field::id},
                                                           {"image_id", Field::image_id},
                                                           {"category_id", Field::category_id},
                                                           {"area", Field::area},
                                                           {"iscrowd", Field::crowd},
                                                           {"ignore", Field::ignore},
                                                           {"bbox", Field::bbox},
                                                           {"segmentation", Field::segmentation}};
  static const std::map<std::string, Field> kCategory = {{"id", Field::id}, {"name", Field::name}};
  return list == CocoList::images ? kImage : list == CocoList::annotations ? kAnnotation : kCategory;
}

class Events : public nlohmann::json_sax<Json> {
 public:
  Events(JsonBytes& bytes, CocoVisitor& visitor) : bytes_(bytes), visitor_(visitor) {}

  bool null() override {
    return value([](CocoEntry&, Field) {}, false, 0);
  }
  bool boolean(bool flag) override { return number(flag ? 1 : 0, flag ? 1 : 0); }
  bool number_integer(number_integer_t i) override { return number(i, static_cast<double>(i)); }
  bool number_unsigned(number_unsigned_t u) override {
    const bool fits = u <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    return number(fits ? std::optional(static_cast<int64_t>(u)) : std::nullopt, static_cast<double>(u));
  }
  bool number_float(number_float_t d, const string_t&) override {
    const bool whole = d >= -9e15 && d <= 9e15 && d == static_cast<double>(static_cast<int64_t>(d));
    return number(whole ? std::optional(static_cast<int64_t>(d)) : std::nullopt, d);
  }
  bool string(string_t& text) override {
    // Exporters that put everything into quotation marks: "12" is 12 where a number is wanted.
    if (in_entry() && depth_ == kEntryDepth && is_number(field_)) {
      if (const std::optional<double> real = parse_number(text)) return number(parse_integer(text), *real);
    }
    return value(
        [&](CocoEntry& entry, Field field) {
          if (field == Field::file_name) entry.file_name = std::move(text);
          if (field == Field::name) entry.name = std::move(text);
        },
        false, 0);
  }
  bool binary(binary_t&) override { return false; }  // never of a text

  bool start_object(std::size_t) override {
    open();
    if (depth_ == 2 && list_ != CocoList::none) fail_list("an object");
    if (depth_ == kEntryDepth && list_ != CocoList::none) {
      entry_ = CocoEntry();
      entry_.line = bytes_.line();
      field_ = Field::other;
    }
    return true;
  }

  bool end_object() override {
    bytes_.token_ended();
    if (depth_-- == kEntryDepth && list_ != CocoList::none) visit();
    return true;
  }

  bool start_array(std::size_t) override {
    open();
    check(depth_ != 1, "{}:{}: expected an object with images, annotations and categories, found a list{}",
          bytes_.name(), bytes_.line(), "; is it a results file?");
    if (depth_ == kEntryDepth && list_ != CocoList::none) fail_entry("a list");
    return true;
  }

  bool end_array() override {
    bytes_.token_ended();
    const bool list_ended = depth_ == 2 && list_ != CocoList::none;
    --depth_;
    return !(list_ended && visitor_.categories_only && list_ == CocoList::categories);
  }

  bool key(string_t& key) override {
    bytes_.token_ended();
    if (depth_ == 1) {
      const auto found = kLists.find(key);
      list_ = found == kLists.end() ? CocoList::none : found->second;
      if (list_ == CocoList::none) {
        count_unheld(key);
      } else {
        check(seen_.insert(list_).second, "{}:{}: \"{}\" stands twice", bytes_.name(), bytes_.line(), key);
      }
    } else if (in_entry() && depth_ == kEntryDepth) {
      const auto& fields = fields_of(list_);
      const auto found = fields.find(key);
      field_ = found == fields.end() ? Field::other : found->second;
      if (field_ == Field::other) count_unheld(key);
      outline_counted_ = false;
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    fail("{}:{}: not valid JSON at byte {}: {}", bytes_.name(), bytes_.line(), position, shown(error.what(), 200));
  }

  void check_whole() const {
    if (visitor_.categories_only) {
      check(seen_.contains(CocoList::categories), "{}: \"categories\" is missing; expected COCO's instances JSON",
            bytes_.name());
      return;
    }
    for (const auto& [key, list] : kLists) {
      check(seen_.contains(list), "{}: \"{}\" is missing; expected COCO's instances JSON", bytes_.name(), key);
    }
  }

 private:
  bool in_entry() const { return depth_ >= kEntryDepth && list_ != CocoList::none; }

  void open() {
    bytes_.token_ended();
    check(++depth_ <= kMaxDepth, "{}:{}: nested deeper than {} levels; is it COCO's JSON?", bytes_.name(),
          bytes_.line(), kMaxDepth);
  }

  [[noreturn]] void fail_list(const char* found) {
    fail("{}:{}: expected a list of {{...}}, found {}", bytes_.name(), bytes_.line(), found);
  }
  [[noreturn]] void fail_entry(const char* found) {
    fail("{}:{}: expected {{...}} in this list, found {}", bytes_.name(), bytes_.line(), found);
  }

  static bool is_number(Field field) {
    switch (field) {
      case Field::id:
      case Field::image_id:
      case Field::category_id:
      case Field::width:
      case Field::height:
      case Field::area:
      case Field::crowd:
      case Field::ignore: return true;
      default: return false;
    }
  }

  bool number(std::optional<int64_t> whole, double real) {
    return value(
        [&](CocoEntry& entry, Field field) {
          switch (field) {
            case Field::id: entry.id = whole; break;
            case Field::image_id: entry.image_id = whole; break;
            case Field::category_id: entry.category_id = whole; break;
            case Field::width: entry.width = real; break;
            case Field::height: entry.height = real; break;
            case Field::area: entry.area = real; break;
            case Field::crowd: entry.crowd = whole == 1; break;
            case Field::ignore: entry.ignore = whole == 1; break;
            default: break;
          }
        },
        true, real);
  }

  // A value anywhere: of a field, in a bbox, in an outline, or of no interest.
  template <class Set>
  bool value(Set&& set, bool is_number, double real) {
    bytes_.token_ended();
    check(depth_ > 0, "{}: expected an object with images, annotations and categories", bytes_.name());
    if (depth_ == 1 && list_ != CocoList::none) fail_list("a single value");
    if (depth_ == 2 && list_ != CocoList::none) fail_entry("a single value");
    if (!in_entry()) return true;
    if (depth_ == kEntryDepth) {
      set(entry_, field_);
    } else if (field_ == Field::bbox && depth_ == kEntryDepth + 1) {
      add_to_bbox(is_number, real);
    } else if (field_ == Field::segmentation && !outline_counted_) {
      count_unheld("segmentation");
      outline_counted_ = true;
    }
    return true;
  }

  // Anything that is no number, and a fifth one, spoils the box for good.
  void add_to_bbox(bool is_number, double real) {
    int& size = entry_.bbox_size;
    if (!is_number || size < 0 || size >= 4) {
      size = -1;
    } else {
      entry_.bbox[size++] = real;
    }
  }

  void count_unheld(const std::string& key) {
    static const std::map<CocoList, std::string> kPrefixes = {{CocoList::none, ""},
                                                              {CocoList::images, "image "},
                                                              {CocoList::annotations, "annotation "},
                                                              {CocoList::categories, "category "}};
    const std::string name = kPrefixes.at(list_) + shown(key, 40);
    if (visitor_.unheld.size() < kMaxUnheldKeys || visitor_.unheld.contains(name)) ++visitor_.unheld[name];
  }

  void visit() {
    const auto& call = list_ == CocoList::images        ? visitor_.image
                       : list_ == CocoList::annotations ? visitor_.annotation
                                                        : visitor_.category;
    if (call) call(entry_);
  }

  JsonBytes& bytes_;
  CocoVisitor& visitor_;
  int depth_ = 0;
  CocoList list_ = CocoList::none;
  std::set<CocoList> seen_;
  Field field_ = Field::other;
  bool outline_counted_ = false;
  CocoEntry entry_;
};

}  // namespace

void visit_coco(std::istream& in, const std::string& name, CocoVisitor& visitor) {
  JsonBytes bytes(in, name);
  Events events(bytes, visitor);
  Json::sax_parse(JsonIterator(bytes), JsonIterator(), &events);
  events.check_whole();
}

}  // namespace yolov3
