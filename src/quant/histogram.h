// How often a map takes which magnitude, in bounded memory and one pass: a fixed number of bins whose range doubles, by
// joining pairs of bins, whenever a greater value comes.
//
// The range is always the smallest power of two over the greatest magnitude, so the bins depend only on the values seen,
// not on their order, and at least half of the bins are below that magnitude.
// Errors: values that are not finite. Threads: one thread adds to a Histogram; add() itself uses OpenMP.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace yolov3 {

class Histogram {
 public:
  static constexpr int kBins = 4096;

  void add(std::span<const float> values);  // their magnitudes

  int64_t count() const { return count_; }                    // values added
  double largest() const { return largest_; }                 // magnitude; exact
  double bin_width() const { return range_ / kBins; }         // bin i holds [i * width, (i + 1) * width)
  const std::vector<int64_t>& bins() const { return bins_; }  // kBins of them

 private:
  void grow(double largest);

  std::vector<int64_t> bins_ = std::vector<int64_t>(kBins, 0);
  int64_t count_ = 0;
  double largest_ = 0, range_ = 0;
};

}  // namespace yolov3
