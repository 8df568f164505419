// Which detections of one class in one picture are right, by COCO's rules and by VOC's.
//
// Detections come best score first. Source: pycocotools' COCOeval.evaluateImg; VOC's development kit.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "eval/exact.h"

namespace yolov3 {

constexpr int kCocoThresholds = 10;      // IoU 0.50, 0.55, ... 0.95
constexpr int kCocoMaxDetections = 100;  // a picture and class
enum CocoArea { kAllAreas, kSmall, kMedium, kLarge, kCocoAreas };

struct CocoDetection {
  double score = 0;
  int rank = 0;  // in its picture, 0 = best
  // Bit t: at threshold t it found an object / counts neither as right nor as wrong.
  std::array<uint16_t, kCocoAreas> matched{}, ignored{};
};

// All pictures of one class, appended picture by picture.
struct CocoClass {
  std::array<int64_t, kCocoAreas> positives{};  // objects to be found
  std::vector<CocoDetection> detections;
};
void match_coco(std::span<const TruthBox> truth, std::span<const ScoredBox> detections, CocoClass& out);

struct VocDetection {
  double score = 0;
  bool true_positive = false;
};
struct VocClass {
  int64_t positives = 0;
  std::vector<VocDetection> detections;  // without ignored ones
};
// IoU >= 0.5 with the nearest object, each found once; those whose nearest is difficult are ignored, and wrong ones
// that lie at least half in a crowd region.
void match_voc(std::span<const TruthBox> truth, std::span<const ScoredBox> detections, VocClass& out);

}  // namespace yolov3
