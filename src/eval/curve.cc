#include "eval/curve.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace yolov3 {

// With pycocotools' spacing(1) in the denominator: its figures are reproduced to the last digits.
double CurveBuilder::precision(double true_positives) const {
  return true_positives / (static_cast<double>(counted_) + std::numeric_limits<double>::epsilon());
}

Envelope CurveBuilder::envelope() {
  for (size_t j = precisions_.size(); j > 1; --j) {
    precisions_[j - 2] = std::max(precisions_[j - 2], precisions_[j - 1]);
  }
  return std::move(precisions_);
}

double coco_average_precision(const Envelope& envelope, int64_t positives) {
  double sum = 0;
  size_t j = 1;  // the first true positive whose recall reaches the point (searchsorted, left)
  for (int point = 0; point <= 100; ++point) {
    const double recall = point == 100 ? 1.0 : point * 0.01;  // numpy's linspace(0, 1, 101)
    while (j <= envelope.size() && static_cast<double>(j) / static_cast<double>(positives) < recall) ++j;
    if (j > envelope.size()) break;
    sum += envelope[j - 1];
  }
  return sum / 101;
}

double voc_area_average_precision(const Envelope& envelope, int64_t positives) {
  return std::accumulate(envelope.begin(), envelope.end(), 0.0) / static_cast<double>(positives);
}

double voc_11point_average_precision(const Envelope& envelope, int64_t positives) {
  double sum = 0;
  for (int64_t point = 0; point <= 10; ++point) {
    const int64_t j = std::max<int64_t>(1, (point * positives + 9) / 10);  // least j with j / positives >= point / 10
    if (j <= static_cast<int64_t>(envelope.size())) sum += envelope[static_cast<size_t>(j - 1)];
  }
  return sum / 11;
}

}  // namespace yolov3
