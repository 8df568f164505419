// From matched detections to COCO's figures: of one class, and the means over classes.
// Source: pycocotools' COCOeval.accumulate and summarize.
#pragma once

#include <array>
#include <optional>

#include "eval/matching.h"
#include "eval/metrics.h"

namespace yolov3 {

// A mean that knows whether it is of anything.
class Mean {
 public:
  void add(double value) {
    sum_ += value;
    ++count_;
  }
  std::optional<double> value() const {
    return count_ > 0 ? std::optional(sum_ / static_cast<double>(count_)) : std::nullopt;
  }

 private:
  double sum_ = 0;
  int64_t count_ = 0;
};

// What one class adds to COCO's figures.
struct CocoClassFigures {
  std::array<std::array<double, kCocoThresholds>, kCocoAreas> precision{};  // average precision
  std::array<double, kCocoAreas> recall{};                                  // with 100 detections, mean over thresholds
  double recall1 = 0, recall10 = 0;                                         // of all areas
  double mean_precision(int range) const;                                   // over thresholds
};

// Sorts the detections; those of equal score keep their order.
CocoClassFigures coco_class_figures(CocoClass& judged);

// Means over the classes that have truth, each area range for itself.
class CocoMeans {
 public:
  void add(const CocoClass& judged, const CocoClassFigures& figures);
  CocoFigures figures() const;

 private:
  std::array<Mean, kCocoAreas> precision_, recall_;
  Mean ap50_, ap75_, recall1_, recall10_;
};

}  // namespace yolov3
