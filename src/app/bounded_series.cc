#include "app/bounded_series.h"

#include <cmath>
#include <limits>

namespace yolov3 {

void BoundedSeries::add(int64_t step, double value) {
  if (!std::isfinite(value)) value = std::numeric_limits<double>::quiet_NaN();
  while (!points_.empty() && points_.back().last >= step) points_.pop_back();
  if (!points_.empty() && points_.back().count < together_) {
    Point& last = points_.back();
    last.last = step;
    last.sum += value;
    ++last.count;
    return;
  }
  if (points_.size() == capacity_) join_neighbours();
  if (!points_.empty() && points_.back().count < together_) {
    add(step, value);
  } else {
    points_.push_back({step, step, 1, value});
  }
}

void BoundedSeries::join_neighbours() {
  together_ *= 2;
  size_t kept = 0;
  for (size_t i = 0; i < points_.size(); i += 2) {
    Point joined = points_[i];
    if (i + 1 < points_.size()) {
      joined.last = points_[i + 1].last;
      joined.count += points_[i + 1].count;
      joined.sum += points_[i + 1].sum;
    }
    points_[kept++] = joined;
  }
  points_.resize(kept);
}

}  // namespace yolov3
