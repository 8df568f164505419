// A model on a data set: every picture through the detector, its boxes against the truth.
#pragma once

#include <cmath>
#include <vector>

#include "data/dataset.h"
#include "detect/detector.h"
#include "eval/coco_json.h"
#include "eval/metrics.h"
#include "image/letterbox.h"

namespace yolov3 {

// Scores low enough for the whole precision-recall curve, every class of a box, no limit on boxes a picture.
inline DetectOptions metrics_detect_options() {
  return {.decode = {.score_threshold = 0.001f, .multi_label = true},
          .nms = {.iou_threshold = 0.6f, .max_detections = 0}};
}

// Pixels of the network's input for one of the picture: for Evaluator::find().
inline double net_pixels(const Letterbox& letterbox) { return std::sqrt(letterbox.scale_x * letterbox.scale_y); }

struct EvaluateOptions {
  int batch = 8;
  bool exact_decode = false;
};

// Shows progress with ETA. `results`: filled with every detection when not null (category ids of the data set).
// `findings`: likewise with what is wrong at the usual working point; its pictures are those of the data set.
Metrics evaluate(const Dataset& dataset, Detector& detector, const EvaluateOptions& options,
                 std::vector<CocoResult>* results = nullptr, Findings* findings = nullptr);

}  // namespace yolov3
