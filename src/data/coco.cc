#include "data/coco.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "data/coco_events.h"
#include "data/files_below.h"
#include "data/text_guard.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr size_t kMaxImages = 5'000'000;
constexpr size_t kMaxAnnotations = 20'000'000;
constexpr size_t kMaxCategories = 100'000;
constexpr size_t kMaxNameBytes = 256;
constexpr size_t kMaxPathBytes = 4096;
constexpr double kMaxPixels = 1e9;  // beyond this a coordinate is a defect, and areas would overflow
constexpr double kMaxSide = 65'535;

class Builder {
 public:
  explicit Builder(std::string name) : name_(std::move(name)) {
    visitor_.image = [this](const CocoEntry& entry) { add_image(entry); };
    visitor_.annotation = [this](const CocoEntry& entry) { add_annotation(entry); };
    visitor_.category = [this](const CocoEntry& entry) { add_category(entry); };
  }

  CocoVisitor& visitor() { return visitor_; }

  CocoData finish() && {
    find_double_annotations();
    for (size_t i = 0; i < waiting_.size(); ++i) place(image_of_[i], std::move(waiting_[i]));
    std::stable_sort(data_.categories.begin(), data_.categories.end(),
                     [](const CocoCategory& a, const CocoCategory& b) { return a.id < b.id; });
    for (size_t i = 1; i < data_.categories.size(); ++i) {
      check(data_.categories[i - 1].id != data_.categories[i].id, "{}: category id {} stands twice", name_,
            data_.categories[i].id);
    }
    check(visitor_.categories_only || !data_.pictures.empty(), "{}: the list of images is empty", name_);
    check(!data_.categories.empty(), "{}: the list of categories is empty; there is nothing to find", name_);
    data_.unheld = std::move(visitor_.unheld);
    return std::move(data_);
  }

 private:
  void add_image(const CocoEntry& entry) {
    check(data_.pictures.size() < kMaxImages, "{}:{}: more than {} images", name_, entry.line, kMaxImages);
    StatedPicture picture;
    picture.file = name_;
    picture.line = entry.line;
    const auto side = [](const std::optional<double>& value) {
      return value && *value >= 1 && *value <= kMaxSide ? static_cast<int>(*value) : 0;
    };
    picture.width = side(entry.width);
    picture.height = side(entry.height);
    picture.image_id = entry.id;
    std::string problem;
    if (!entry.id) {
      problem = "the image has no whole number as id";
    } else if (!entry.file_name || entry.file_name->empty() || entry.file_name->size() > kMaxPathBytes ||
               entry.file_name->find('\0') != std::string::npos) {
      problem = fmt::format("image {} has no file_name", *entry.id);
    } else if (!picture_of_.emplace(*entry.id, data_.pictures.size()).second) {
      problem = fmt::format("image id {} stands twice; its annotations go to the first", *entry.id);
    }
    if (problem.empty()) {
      picture.image = *entry.file_name;
    } else {
      picture.defect = Defect{"broken image entry", picture.origin(), problem, true, false};
    }
    data_.pictures.push_back(std::move(picture));
  }

  void add_annotation(const CocoEntry& entry) {
    check(annotations_++ < kMaxAnnotations, "{}:{}: more than {} annotations", name_, entry.line, kMaxAnnotations);
    if (entry.id) ids_.emplace_back(*entry.id, entry.line);
    StatedBox box;
    box.line = entry.line;
    box.id = entry.id;
    box.crowd = entry.crowd;
    box.difficult = entry.ignore && !entry.crowd;
    bool fits = entry.bbox_size == 4;
    for (const double v : entry.bbox) fits = fits && std::abs(v) <= kMaxPixels;
    box.unreadable = !fits;
    if (fits) {
      box.x0 = entry.bbox[0], box.x1 = entry.bbox[0] + entry.bbox[2];
      box.y0 = entry.bbox[1], box.y1 = entry.bbox[1] + entry.bbox[3];
    } else {
      box.problem = "expected \"bbox\": [x, y, width, height] in pixels";
    }
    if (entry.area && *entry.area >= 0 && *entry.area <= kMaxPixels * kMaxPixels) box.area = *entry.area;
    if (entry.category_id) {
      box.class_id = *entry.category_id;
    } else if (fits) {
      box.unreadable = true;
      box.problem = "expected a whole number as category_id";
    }
    // The list of images stands before that of annotations, or behind it.
    if (!data_.pictures.empty()) return place(entry.image_id, std::move(box));
    waiting_.push_back(std::move(box));
    image_of_.push_back(entry.image_id);
  }

  void add_category(const CocoEntry& entry) {
    check(data_.categories.size() < kMaxCategories, "{}:{}: more than {} categories", name_, entry.line,
          kMaxCategories);
    check(entry.id.has_value(), "{}:{}: the category has no whole number as id", name_, entry.line);
    check(entry.name.has_value(), "{}:{}: category {} has no name", name_, entry.line, *entry.id);
    const std::string name(trim(*entry.name));
    check(!name.empty() && name.size() <= kMaxNameBytes && shown(name, kMaxNameBytes) == name,
          "{}:{}: the name of category {} is not plain UTF-8 of 1 to {} bytes: \"{}\"", name_, entry.line, *entry.id,
          kMaxNameBytes, shown(name));
    data_.categories.push_back({*entry.id, name});
  }

  // pycocotools keeps one annotation an id, so one that stands twice is lost there.
  void find_double_annotations() {
    std::sort(ids_.begin(), ids_.end());
    for (size_t i = 1; i < ids_.size(); ++i) {
      if (ids_[i].first != ids_[i - 1].first) continue;
      data_.loose.push_back({"double annotation id", fmt::format("{}:{}", name_, ids_[i].second),
                             fmt::format("annotation id {} stands twice", ids_[i].first), false, false, true});
    }
    ids_ = {};
  }

  void place(std::optional<int64_t> image_id, StatedBox box) {
    const auto found = image_id ? picture_of_.find(*image_id) : picture_of_.end();
    if (found != picture_of_.end()) {
      data_.pictures[found->second].boxes.push_back(std::move(box));
      return;
    }
    std::string where = fmt::format("{}:{}", name_, box.line);
    if (box.id) where += fmt::format(": annotation {}", *box.id);
    data_.loose.push_back({"annotation without image", std::move(where),
                           image_id ? fmt::format("image_id {} is not among the images", *image_id)
                                    : std::string("no whole number as image_id"),
                           false, false});
  }

  std::string name_;
  CocoVisitor visitor_;
  CocoData data_;
  std::vector<StatedBox> waiting_;                // for the list of images
  std::vector<std::optional<int64_t>> image_of_;  // of each that waits
  std::vector<std::pair<int64_t, int64_t>> ids_;  // of annotations, with their lines
  size_t annotations_ = 0;
  std::unordered_map<int64_t, size_t> picture_of_;
};

std::ifstream open(const fs::path& path) {
  std::error_code reason;
  check(fs::is_regular_file(path, reason), "{}: expected a COCO instances JSON file", path.string());
  std::ifstream in(path, std::ios::binary);
  check(in.good(), "{}: cannot open", path.string());
  return in;
}

// `instances_train2017.json` -> `train2017`
std::string split_word(const fs::path& path) {
  const std::string stem = path.stem().string();
  const size_t last = stem.rfind('_');
  return last == std::string::npos ? stem : stem.substr(last + 1);
}

}  // namespace

CocoData parse_coco(std::istream& in, const std::string& name) {
  Builder builder(name);
  visit_coco(in, name, builder.visitor());
  return std::move(builder).finish();
}

CocoData read_coco(const fs::path& path) {
  std::ifstream in = open(path);
  return parse_coco(in, path.string());
}

std::vector<CocoCategory> read_coco_categories(const fs::path& path) {
  std::ifstream in = open(path);
  Builder builder(path.string());
  builder.visitor().categories_only = true;
  builder.visitor().image = nullptr;
  builder.visitor().annotation = nullptr;
  visit_coco(in, path.string(), builder.visitor());
  return std::move(builder).finish().categories;
}

void name_classes(CocoData& data, const std::vector<std::string>& names) {
  std::unordered_map<std::string, int64_t> class_of_name;
  for (size_t i = 0; i < names.size(); ++i) class_of_name.emplace(names[i], static_cast<int64_t>(i));
  std::unordered_map<int64_t, const CocoCategory*> category_of_id;
  for (const CocoCategory& category : data.categories) category_of_id.emplace(category.id, &category);
  for (StatedPicture& picture : data.pictures) {
    for (StatedBox& box : picture.boxes) {
      if (box.unreadable || !box.problem.empty()) continue;
      const auto category = category_of_id.find(box.class_id);
      if (category == category_of_id.end()) {
        box.problem = fmt::format("category {}", box.class_id);
        box.class_id = -1;
        continue;
      }
      const auto known = class_of_name.find(category->second->name);
      box.class_id = known == class_of_name.end() ? -1 : known->second;
      if (box.class_id < 0) box.problem = category->second->name;
    }
  }
}

std::vector<int64_t> category_ids(const std::vector<CocoCategory>& categories, const std::vector<std::string>& names) {
  std::map<std::string, int64_t> id_of;
  std::set<int64_t> used;
  for (const CocoCategory& category : categories) {
    id_of.emplace(category.name, category.id);
    used.insert(category.id);
  }
  std::vector<int64_t> ids;
  int64_t next = 1;
  for (const std::string& name : names) {
    const auto known = id_of.find(name);
    if (known != id_of.end()) {
      ids.push_back(known->second);
      id_of.erase(known);
      continue;
    }
    while (used.contains(next)) ++next;
    used.insert(next);
    ids.push_back(next);
  }
  return ids;
}

fs::path coco_picture(const fs::path& folder, const fs::path& file_name) {
  const fs::path path = (folder / file_name).lexically_normal();
  std::string text = file_name.string();
  if (text.find_first_of("/\\") == std::string::npos) return path;
  std::error_code reason;
  const fs::path there = existing_path(path);
  if (fs::exists(there, reason)) return there;
  std::replace(text.begin(), text.end(), '\\', '/');
  const fs::path alone = (folder / fs::path(text).filename()).lexically_normal();
  return fs::is_regular_file(alone, reason) ? alone : path;
}

fs::path find_coco_images(const fs::path& path, const CocoData& data) {
  constexpr size_t kLooked = 200;
  const fs::path folder = path.parent_path(), above = folder / "..";
  const std::string split = split_word(path);
  const std::vector<fs::path> places = {
      folder,           folder / "images", folder / split,           folder / "images" / split, above,
      above / "images", above / split,     above / "images" / split, above / "JPEGImages"};
  const size_t step = std::max<size_t>(1, data.pictures.size() / kLooked);
  size_t best_found = 0;
  fs::path best = folder;
  for (const fs::path& place : places) {
    size_t found = 0;
    for (size_t i = 0; i < data.pictures.size(); i += step) {
      std::error_code reason;
      const StatedPicture& picture = data.pictures[i];
      found += !picture.defect && fs::is_regular_file(coco_picture(place, picture.image), reason);
    }
    if (found > best_found) best = place, best_found = found;
  }
  return best.lexically_normal();
}

}  // namespace yolov3
