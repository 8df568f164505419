// A curve that takes any number of points in bounded memory: when it is full, neighbours are joined two by two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace yolov3 {

class BoundedSeries {
 public:
  // At most `capacity` points (2 or more) are kept.
  explicit BoundedSeries(size_t capacity = 2000) : capacity_(capacity) {}

  // Steps rise. One that does not is a run that was resumed: the points from there on are taken back first, joined ones
  // whole.
  void add(int64_t step, double value);

  // A point stands at the last of its steps and is their mean; NaN when one of them is not finite.
  struct Point {
    int64_t first = 0, last = 0;  // steps
    int64_t count = 0;
    double sum = 0;
    double value() const { return sum / static_cast<double>(count); }
  };
  const std::vector<Point>& points() const { return points_; }

 private:
  void join_neighbours();

  size_t capacity_;
  int64_t together_ = 1;  // values a point
  std::vector<Point> points_;
};

}  // namespace yolov3
