// A model on a data set: every picture through the detector, its boxes against the truth.
#pragma once

#include <vector>

#include "data/dataset.h"
#include "detect/detector.h"
#include "eval/coco_json.h"
#include "eval/metrics.h"

namespace yolov3 {

struct EvaluateOptions {
  int batch = 8;
  bool exact_decode = false;
};

// Shows progress with ETA. `results`: filled with every detection when not null (category ids of the data set).
Metrics evaluate(const Dataset& dataset, Detector& detector, const EvaluateOptions& options,
                 std::vector<CocoResult>* results = nullptr);

}  // namespace yolov3
