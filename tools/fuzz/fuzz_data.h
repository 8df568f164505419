// For the parsers of annotations: what stands between what a file states and a data set is fuzzed with them.
#pragma once

#include "data/check_boxes.h"
#include "fuzz.h"

namespace yolov3 {

// A picture of 64 x 48 under every policy that goes on.
inline void check_boxes_of(const StatedPicture& picture) {
  if (picture.defect || picture.boxes.size() > kMaxBoxesOfAPicture) return;
  for (const BadDataPolicy policy : {BadDataPolicy::skip, BadDataPolicy::repair}) {
    DefectReport report;
    DefectSink sink(policy, report);
    for (const Annotation& object : check_boxes(picture, 64, 48, {"dog", "traffic light"}, sink)) {
      const Box& box = object.box;
      if (!(box.x0 >= 0 && box.y0 >= 0 && box.x1 <= 64 && box.y1 <= 48 && box.area() > 0)) __builtin_trap();
    }
    describe(report, 10);
  }
}

}  // namespace yolov3
