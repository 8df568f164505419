// A model on a data set: every picture through the detector, its boxes against the truth.
#pragma once

#include <vector>

#include "data/dataset.h"
#include "detect/detector.h"
#include "eval/coco_json.h"
#include "eval/metrics.h"

namespace yolov3 {

// Scores low enough for the whole precision-recall curve, every class of a box, no limit on boxes a picture.
inline DetectOptions metrics_detect_options() {
  return {.decode = {.score_threshold = 0.001f, .multi_label = true},
          .nms = {.iou_threshold = 0.6f, .max_detections = 0}};
}

struct EvaluateOptions {
  int batch = 8;
  bool exact_decode = false;
};

// Shows progress with ETA. `results`: filled with every detection when not null (category ids of the data set).
Metrics evaluate(const Dataset& dataset, Detector& detector, const EvaluateOptions& options,
                 std::vector<CocoResult>* results = nullptr);

}  // namespace yolov3
