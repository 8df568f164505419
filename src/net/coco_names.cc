#include "net/coco_names.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace yolov3 {
namespace {

// VOC's word to COCO's; other words stay.
std::string_view coco_word(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> kPairs[] = {
      {"aeroplane", "airplane"},       {"motorbike", "motorcycle"},     {"sofa", "couch"},
      {"pottedplant", "potted plant"}, {"diningtable", "dining table"}, {"tvmonitor", "tv"},
  };
  for (const auto& [voc, coco] : kPairs) {
    if (name == voc) return coco;
  }
  return name;
}

}  // namespace

const std::vector<std::string>& coco_names() {
  static const std::vector<std::string> kNames = {
      "person",         "bicycle",    "car",           "motorcycle",    "airplane",     "bus",           "train",
      "truck",          "boat",       "traffic light", "fire hydrant",  "stop sign",    "parking meter", "bench",
      "bird",           "cat",        "dog",           "horse",         "sheep",        "cow",           "elephant",
      "bear",           "zebra",      "giraffe",       "backpack",      "umbrella",     "handbag",       "tie",
      "suitcase",       "frisbee",    "skis",          "snowboard",     "sports ball",  "kite",          "baseball bat",
      "baseball glove", "skateboard", "surfboard",     "tennis racket", "bottle",       "wine glass",    "cup",
      "fork",           "knife",      "spoon",         "bowl",          "banana",       "apple",         "sandwich",
      "orange",         "broccoli",   "carrot",        "hot dog",       "pizza",        "donut",         "cake",
      "chair",          "couch",      "potted plant",  "bed",           "dining table", "toilet",        "tv",
      "laptop",         "mouse",      "remote",        "keyboard",      "cell phone",   "microwave",     "oven",
      "toaster",        "sink",       "refrigerator",  "book",          "clock",        "vase",          "scissors",
      "teddy bear",     "hair drier", "toothbrush"};
  return kNames;
}

std::vector<int> coco_category_ids(const std::vector<std::string>& names) {
  constexpr int kGaps[] = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83};  // ids of classes that COCO gave up
  const bool coco = std::ranges::equal(names, coco_names(), same_class);
  std::vector<int> ids;
  for (int next = coco ? 1 : 0; ids.size() < names.size(); ++next) {
    if (!coco || std::ranges::find(kGaps, next) == std::end(kGaps)) ids.push_back(next);
  }
  return ids;
}

bool same_class(std::string_view a, std::string_view b) { return coco_word(a) == coco_word(b); }

}  // namespace yolov3
