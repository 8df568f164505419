// What a person marked in a picture, and what a network found in one.
#pragma once

#include "base/box.h"

namespace yolov3 {

struct Annotation {
  Box box;
  int class_id = 0;
  bool difficult = false;  // VOC: neither rewarded nor punished when found
  bool crowd = false;      // COCO iscrowd: a region of many objects, ignored in evaluation
  float area = 0;          // pixels^2; the box's, unless the data set states its own (COCO segmentations)

  bool operator==(const Annotation&) const = default;
};

struct Detection {
  Box box;
  int class_id = 0;
  float score = 0;  // in [0,1]

  bool operator==(const Detection&) const = default;
};

}  // namespace yolov3
