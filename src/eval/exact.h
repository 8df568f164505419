// Boxes in double, as COCO's files write them: metrics compare IoUs with thresholds such as 0.5 and areas with 1024, so
// files are judged to the last bit of what they say.
// Frame: box_image. Units: pixels.
#pragma once

#include <algorithm>

#include "base/objects.h"

namespace yolov3 {

struct ExactBox {
  double x = 0, y = 0, width = 0, height = 0;  // x,y: the upper left corner

  double area() const { return width * height; }
  bool operator==(const ExactBox&) const = default;
};

struct TruthBox {
  ExactBox box;
  int class_id = 0;
  bool difficult = false, crowd = false;  // as in Annotation
  double area = 0;                        // the data set's own

  bool ignored() const { return difficult || crowd; }
};

struct ScoredBox {
  ExactBox box;
  int class_id = 0;
  double score = 0;
};

// Differences of floats are exact in double, so nothing is lost.
inline ExactBox exact(const Box& box) { return {box.x0, box.y0, double{box.x1} - box.x0, double{box.y1} - box.y0}; }
inline TruthBox exact(const Annotation& a) { return {exact(a.box), a.class_id, a.difficult, a.crowd, a.area}; }
inline ScoredBox exact(const Detection& d) { return {exact(d.box), d.class_id, d.score}; }

// IoU; against a crowd region the share of the detection inside it. Source: pycocotools' bbIou.
inline double overlap(const ExactBox& detection, const TruthBox& truth) {
  const ExactBox& d = detection;
  const ExactBox& t = truth.box;
  const double width = std::min(d.width + d.x, t.width + t.x) - std::max(d.x, t.x);
  const double height = std::min(d.height + d.y, t.height + t.y) - std::max(d.y, t.y);
  if (width <= 0 || height <= 0) return 0;
  const double inter = width * height;
  return inter / (truth.crowd ? d.area() : d.area() + t.area() - inter);
}

}  // namespace yolov3
