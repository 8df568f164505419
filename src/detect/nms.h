// Greedy non-maximum suppression: the best box stays, and those of its class with IoU > iou_threshold go.
// Candidates whose score is not a number are left out. Errors: thresholds outside [0,1], negative limits.
#pragma once

#include <vector>

#include "base/objects.h"

namespace yolov3 {

struct NmsOptions {
  float iou_threshold = 0.45f;
  bool agnostic = false;        // boxes of other classes suppress too
  int max_detections = 300;     // kept a picture, best first; 0 = all
  int max_candidates = 30000;   // looked at, best first
};

// Highest score first; ties by class, then by position in the input, so the result is one, whatever the machine.
std::vector<Detection> non_maximum_suppression(std::vector<Detection> candidates, const NmsOptions& options);

}  // namespace yolov3
