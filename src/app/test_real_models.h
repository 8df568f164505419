// For tests: detectors that other people trained, and the pictures that they are tried on; ../shared/weights/README.md.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "base/box.h"
#include "base/files.h"
#include "base/shared_folder.h"
#include "detect/detector.h"
#include "format/load_model.h"

namespace yolov3::test {

struct RealModel {
  const char *folder, *stem;
  const char* reference;  // of opencv-reference/, or nothing
};
inline const std::vector<RealModel> kRealModels = {
    {"yolo-fastest-1.1_coco", "yolo-fastest-1.1", "yolo-fastest-1.1_coco"},
    {"mobilenetv2-yolov3-nano-coco", "MobileNetV2-YOLOv3-Nano-coco", "mobilenetv2-yolov3-nano-coco"},
    {"mobilenetv2-yolo-fastest-voc", "MobileNetV2-YOLO-Fastest-voc", nullptr},
    {"yoloface-50k", "yoloface-50k", nullptr}};

inline std::string file_of(const RealModel& model, const char* ending) {
  return (shared_folder() / "weights" / model.folder / (std::string(model.stem) + ending)).string();
}

inline LoadedModel load(const RealModel& model) {
  return load_model(ModelSource{file_of(model, ".weights"), file_of(model, ".cfg"), {}, false});
}

inline bool have_real_models() {
  return std::filesystem::exists(shared_folder() / "weights") &&
         std::filesystem::exists(shared_folder() / "data/coco128");
}

inline std::vector<std::filesystem::path> coco_pictures(size_t most) {
  std::vector<std::filesystem::path> pictures = list_files(shared_folder() / "data/coco128/images/train2017");
  pictures.resize(std::min(pictures.size(), most));
  return pictures;
}

// Of A's boxes over `judged`: those that B has too, each once, best first. What is not found has the IoU and the score
// difference of the box of its class that overlaps it most.
struct BoxShare {
  int found = 0, all = 0;
  float worst_iou = 1, worst_score = 0;  // of those that were found
  double share() const { return all > 0 ? double(found) / all : 1; }
};

struct BoxTolerance {
  float judged = 0.25f, iou = 0.95f, score = 0.01f;
};

inline void add_share(const std::vector<Detection>& a, const std::vector<Detection>& b, const BoxTolerance& tolerance,
                      BoxShare& share, std::vector<std::string>* missing = nullptr) {
  std::vector<bool> taken(b.size());
  for (const Detection& box : a) {
    if (box.score <= tolerance.judged) continue;
    ++share.all;
    size_t best = b.size();
    float best_iou = 0;
    for (size_t i = 0; i < b.size(); ++i) {
      if (taken[i] || b[i].class_id != box.class_id) continue;
      if (const float overlap = iou(b[i].box, box.box); overlap > best_iou) best = i, best_iou = overlap;
    }
    const float score = best < b.size() ? std::abs(b[best].score - box.score) : 1;
    if (best_iou > tolerance.iou && score <= tolerance.score) {
      taken[best] = true;
      ++share.found;
      share.worst_iou = std::min(share.worst_iou, best_iou);
      share.worst_score = std::max(share.worst_score, score);
    } else if (missing != nullptr) {
      missing->push_back(
          fmt::format("class {} score {:.4f} at {:.1f},{:.1f},{:.1f},{:.1f}: IoU {:.4f}, score {:.4f} away",
                      box.class_id, box.score, box.box.x0, box.box.y0, box.box.x1, box.box.y1, best_iou, score));
    }
  }
}

}  // namespace yolov3::test
