#include "quant/histogram.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "base/error.h"

namespace yolov3 {
namespace {

constexpr uint32_t kMagnitudeBits = 0x7fffffff, kInfinityBits = 0x7f800000;
// Below this all magnitudes are as good as 0, and the factor to bins would leave float32.
constexpr double kSmallestRange = 0x1p-60;
constexpr int64_t kBlock = int64_t{1} << 20;  // values: fewer than 2^32, so that a block's counts fit 32 bits

// The greatest magnitude as bits, whose order is that of the values; infinities and not-a-number come last.
uint32_t largest_bits(std::span<const float> values) {
  uint32_t largest = 0;
  const auto n = static_cast<int64_t>(values.size());
#pragma omp parallel for simd reduction(max : largest) if (n > kBlock / 8)
  for (int64_t i = 0; i < n; ++i) {
    largest = std::max(largest, std::bit_cast<uint32_t>(values[static_cast<size_t>(i)]) & kMagnitudeBits);
  }
  return largest;
}

// `factor` is a power of two and |value| * factor < kBins: the product is exact.
void count_block(std::span<const float> values, float factor, std::vector<int64_t>& bins) {
  std::array<uint32_t, Histogram::kBins> counts{};
  for (const float value : values) ++counts[static_cast<size_t>(std::fabs(value) * factor)];
#pragma omp critical(yolov3_histogram)
  for (size_t i = 0; i < counts.size(); ++i) bins[i] += counts[i];
}

}  // namespace

void Histogram::add(std::span<const float> values) {
  const uint32_t bits = largest_bits(values);
  check(bits < kInfinityBits, "it holds values that are not finite");
  grow(std::bit_cast<float>(bits));
  const auto n = static_cast<int64_t>(values.size());
  const auto factor = static_cast<float>(kBins / range_);
#pragma omp parallel for if (n > kBlock)
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    count_block(values.subspan(static_cast<size_t>(begin), static_cast<size_t>(std::min(kBlock, n - begin))), factor,
                bins_);
  }
  count_ += n;
}

void Histogram::grow(double largest) {
  largest_ = std::max(largest_, largest);
  const double needed =
      largest > 0 ? std::max(std::ldexp(1.0, std::ilogb(largest) + 1), kSmallestRange) : kSmallestRange;
  if (count_ == 0) range_ = std::max(range_, needed);
  for (; range_ < needed; range_ *= 2) {
    for (size_t i = 0; i < kBins / 2; ++i) bins_[i] = bins_[2 * i] + bins_[2 * i + 1];
    std::fill(bins_.begin() + kBins / 2, bins_.end(), 0);
  }
}

}  // namespace yolov3
