#include "eval/coco_json.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/files.h"

namespace yolov3 {
namespace {

using Json = nlohmann::json;

constexpr double kMaxPixels = 1e9;  // beyond this a coordinate is a defect, and areas would overflow

constexpr uint64_t kMaxFileBytes = 512 << 20;  // COCO's largest, instances_train2017.json, has 448 MB
constexpr int kMaxDepth = 8;                   // COCO's own is 5
constexpr int64_t kMaxValues = 50'000'000;     // a value costs up to 100 bytes and as few as 2 in the file

// Decides while parsing what is stored. Segmentations are most of such a file and are not judged: they are skipped.
class Filter {
 public:
  explicit Filter(std::string file) : file_(std::move(file)) {}

  bool keep(int depth, Json::parse_event_t event, const Json& parsed) {
    using Event = Json::parse_event_t;
    const bool starts = event == Event::object_start || event == Event::array_start;
    check(depth < kMaxDepth || !starts, "{}: nested deeper than {} levels; is it COCO's JSON?", file_, kMaxDepth);
    if (depth < skipped_depth_ || (depth == skipped_depth_ && event == Event::key)) skipped_depth_ = kNowhere;
    const bool skipped = depth >= skipped_depth_;
    if (event == Event::key && !skipped && parsed == "segmentation") {
      skipped_depth_ = depth;
      return false;
    }
    if (!skipped && (starts || event == Event::value)) {
      check(++values_ <= kMaxValues, "{}: more than {} values; split the file", file_, kMaxValues);
    }
    return true;
  }

 private:
  static constexpr int kNowhere = std::numeric_limits<int>::max();
  std::string file_;
  int skipped_depth_ = kNowhere;  // of the key whose value is being skipped
  int64_t values_ = 0;            // stored
};

Json parse_json(const std::filesystem::path& path) {
  Filter filter(path.string());
  const auto keep = [&](int depth, Json::parse_event_t event, const Json& parsed) {
    return filter.keep(depth, event, parsed);
  };
  try {
    return Json::parse(read_file(path, kMaxFileBytes), keep);
  } catch (const Json::exception& error) {
    fail("{}: not valid JSON: {}", path.string(), error.what());
  }
}

// One element of one list of the file, with messages that say which.
class Entry {
 public:
  Entry(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    check(json.is_object(), "{}: expected an object {{...}}, got {}", where_, json.type_name());
  }

  const std::string& where() const { return where_; }
  bool has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }

  const Json& at(const char* key) const {
    check(json_.contains(key), "{}: \"{}\" is missing", where_, key);
    return json_[key];
  }

  int64_t integer(const char* key) const {
    const Json& value = at(key);
    const bool fits = !value.is_number_unsigned() ||
                      value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    check(value.is_number_integer() && fits, "{}: \"{}\" is not an integer of 64 bits", where_, key);
    return value.get<int64_t>();
  }

  double number(const char* key) const { return number_of(at(key), key); }

  std::string text(const char* key) const {
    check(at(key).is_string(), "{}: \"{}\" is not text", where_, key);
    return at(key).get<std::string>();
  }

  bool flag(const char* key) const {  // 0, 1, true, false
    const Json& value = at(key);
    if (value.is_boolean()) return value.get<bool>();
    check(value.is_number_integer() && (value == 0 || value == 1), "{}: \"{}\" is neither 0 nor 1", where_, key);
    return value == 1;
  }

  ExactBox bbox() const {
    const Json& value = at("bbox");
    check(value.is_array() && value.size() == 4, "{}: \"bbox\" is not [x, y, width, height]", where_);
    double v[4];
    for (size_t i = 0; i < 4; ++i) {
      v[i] = number_of(value[i], "bbox");
      check(std::abs(v[i]) <= kMaxPixels, "{}: \"bbox\" has the absurd value {}", where_, v[i]);
    }
    check(v[2] >= 0 && v[3] >= 0, "{}: \"bbox\" has the negative size {} x {}; COCO's boxes are x, y, width, height",
          where_, v[2], v[3]);
    return {v[0], v[1], v[2], v[3]};
  }

 private:
  double number_of(const Json& value, const char* key) const {
    check(value.is_number(), "{}: \"{}\" is not a number", where_, key);
    const auto number = value.get<double>();
    check(std::isfinite(number), "{}: \"{}\" is not finite", where_, key);
    return number;
  }

  const Json& json_;
  std::string where_;
};

template <class F>
void for_each_entry(const Json& list, const std::string& where, F&& visit) {
  check(list.is_array(), "{}: expected a list [...], got {}", where, list.type_name());
  for (size_t i = 0; i < list.size(); ++i) visit(Entry(list[i], fmt::format("{}[{}]", where, i)));
}

template <class T, class Id>
void sort_unique_ids(std::vector<T>& items, const std::string& where, Id&& id) {
  std::sort(items.begin(), items.end(), [&](const T& a, const T& b) { return id(a) < id(b); });
  const auto twice =
      std::adjacent_find(items.begin(), items.end(), [&](const T& a, const T& b) { return id(a) == id(b); });
  if (twice != items.end()) fail("{}: id {} occurs twice", where, id(*twice));
}

using Index = std::unordered_map<int64_t, size_t>;

size_t find_id(const Index& index, const Entry& entry, const char* key, const char* list) {
  const int64_t id = entry.integer(key);
  const auto found = index.find(id);
  check(found != index.end(), "{}: {} {} is not among the {} of the ground truth", entry.where(), key, id, list);
  return found->second;
}

Index image_index(const CocoTruth& truth) {
  Index index;
  for (size_t i = 0; i < truth.images.size(); ++i) index[truth.images[i].id] = i;
  return index;
}

Index category_index(const CocoTruth& truth) {
  Index index;
  for (size_t i = 0; i < truth.category_ids.size(); ++i) index[truth.category_ids[i]] = i;
  return index;
}

int pixels(const Entry& entry, const char* key) {
  if (!entry.has(key)) return 0;
  const int64_t value = entry.integer(key);
  check(value >= 0 && value <= static_cast<int64_t>(kMaxPixels), "{}: \"{}\" has the absurd value {}", entry.where(),
        key, value);
  return static_cast<int>(value);
}

void read_categories(const Json& list, const std::string& where, CocoTruth& truth) {
  std::vector<std::pair<int64_t, std::string>> categories;
  for_each_entry(list, where, [&](const Entry& e) { categories.emplace_back(e.integer("id"), e.text("name")); });
  check(!categories.empty(), "{}: the list is empty; there is nothing to find", where);
  sort_unique_ids(categories, where, [](const auto& category) { return category.first; });
  for (auto& [id, name] : categories) {
    truth.category_ids.push_back(id);
    truth.names.push_back(std::move(name));
  }
}

TruthBox read_annotation(const Entry& e, const Index& categories) {
  TruthBox truth;
  truth.box = e.bbox();
  truth.class_id = static_cast<int>(find_id(categories, e, "category_id", "categories"));
  truth.crowd = e.has("iscrowd") && e.flag("iscrowd");
  truth.area = e.has("area") ? e.number("area") : truth.box.area();
  check(truth.area >= 0, "{}: \"area\" is negative", e.where());
  return truth;
}

}  // namespace

CocoTruth read_coco_truth(const std::filesystem::path& path) {
  const Json json = parse_json(path);
  const std::string file = path.string();
  check(json.is_object(), "{}: expected an object with images, annotations and categories, got {}{}", file,
        json.type_name(), json.is_array() ? "; is it a results file?" : "");
  for (const char* key : {"images", "annotations", "categories"}) {
    check(json.contains(key), "{}: \"{}\" is missing; expected COCO's instances JSON", file, key);
  }
  CocoTruth truth;
  read_categories(json["categories"], file + ": categories", truth);
  for_each_entry(json["images"], file + ": images", [&](const Entry& e) {
    truth.images.push_back({e.integer("id"),
                            e.has("file_name") ? e.text("file_name") : "",
                            pixels(e, "width"),
                            pixels(e, "height"),
                            {},
                            {}});
  });
  sort_unique_ids(truth.images, file + ": images", [](const CocoImage& image) { return image.id; });
  const Index images = image_index(truth), categories = category_index(truth);
  for_each_entry(json["annotations"], file + ": annotations", [&](const Entry& e) {
    truth.images[find_id(images, e, "image_id", "images")].truth.push_back(read_annotation(e, categories));
  });
  return truth;
}

void read_coco_results(const std::filesystem::path& path, CocoTruth& truth) {
  const Json json = parse_json(path);
  check(json.is_array(), "{}: expected a list of results [...], got {}", path.string(), json.type_name());
  const Index images = image_index(truth), categories = category_index(truth);
  for (CocoImage& image : truth.images) image.detections.clear();
  for_each_entry(json, path.string() + ": results", [&](const Entry& e) {
    CocoImage& image = truth.images[find_id(images, e, "image_id", "images")];
    const auto class_id = static_cast<int>(find_id(categories, e, "category_id", "categories"));
    image.detections.push_back({e.bbox(), class_id, e.number("score")});
  });
}

// Shortest digits that give the same float again: half the size of printed doubles.
std::string coco_results_json(const std::vector<CocoResult>& results) {
  std::string json = "[";
  for (const CocoResult& r : results) {
    check(std::isfinite(r.box.area()) && std::isfinite(r.box.x0) && std::isfinite(r.box.y0) && std::isfinite(r.score),
          "result of image {}: box or score is not finite", r.image_id);
    fmt::format_to(std::back_inserter(json),
                   "{}{{\"image_id\":{},\"category_id\":{},\"bbox\":[{},{},{},{}],\"score\":{}}}",
                   json.size() > 1 ? ",\n" : "\n", r.image_id, r.category_id, r.box.x0, r.box.y0, r.box.width(),
                   r.box.height(), r.score);
  }
  return json + "\n]\n";
}

}  // namespace yolov3
