#include "quant/scales.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/rng.h"
#include "net/builder.h"
#include "net/quantization.h"

namespace yolov3 {
namespace {

Histogram histogram_of(const std::vector<float>& values) {
  Histogram h;
  h.add(values);
  return h;
}

// Magnitudes 1/n, 2/n, ..., 1.
std::vector<float> even_values(int n) {
  std::vector<float> values;
  for (int i = 1; i <= n; ++i) values.push_back(static_cast<float>(i) / static_cast<float>(n));
  return values;
}

// n values at the distribution's quantiles: Laplace with b = 1, both signs.
std::vector<float> laplace_values(int n) {
  std::vector<float> values;
  for (int i = 0; i < n; ++i) {
    const double p = (i + 0.5) / n;  // of the magnitude
    values.push_back(static_cast<float>((i % 2 ? 1 : -1) * -std::log(1 - p)));
  }
  return values;
}

TEST(Scales, PercentileOfEvenValues) {
  const Histogram h = histogram_of(even_values(100000));
  for (const double percentile : {50.0, 99.0, 99.9, 99.99}) {
    const double threshold = clipping_threshold(h, {.method = ScaleMethod::percentile, .percentile = percentile});
    EXPECT_NEAR(threshold, percentile / 100, h.bin_width()) << percentile;
  }
  EXPECT_EQ(clipping_threshold(h, {.method = ScaleMethod::percentile, .percentile = 100}), 1);
}

TEST(Scales, PercentileLeavesOutliersOut) {
  std::vector<float> values = even_values(99990);
  for (int i = 0; i < 10; ++i) values.push_back(100);  // one in ten thousand
  const Histogram h = histogram_of(values);
  EXPECT_NEAR(clipping_threshold(h, {.method = ScaleMethod::percentile, .percentile = 99.99}), 1, h.bin_width());
  EXPECT_NEAR(clipping_threshold(h, {.method = ScaleMethod::percentile, .percentile = 99.995}), 100, h.bin_width());
  for (const double bad : {0.0, -1.0, 100.1, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_THROW(clipping_threshold(h, {.method = ScaleMethod::percentile, .percentile = bad}), Error);
  }
}

// Every value quantised by itself: 400 values a bin, spread over it as the histogram takes them to be.
TEST(Scales, SquaredErrorIsThatOfTheValues) {
  Rng rng(1);
  Histogram h;
  std::vector<float> values;
  const double width = 2.0 / 4096;
  for (int bin = 0; bin < 4096; bin += 7) {
    const int64_t weight = rng.integer(0, 3);
    for (int64_t k = 0; k < 400 * weight; ++k) {
      values.push_back(static_cast<float>(width * (bin + (static_cast<double>(k % 400) + 0.5) / 400)));
    }
  }
  values.push_back(1.99999f);  // so that the range is 2
  h.add(values);
  ASSERT_EQ(h.bin_width(), width);
  for (const double threshold : {0.01, 0.3, 1.0, 1.7, 2.0}) {
    const double step = threshold / 127;
    double sum = 0;
    for (const float value : values) {
      const double error = value - step * std::min(127.0, std::round(value / step));
      sum += error * error;
    }
    const double expected = sum / static_cast<double>(values.size());
    // The values stand at 400 points of a bin instead of everywhere: relative error (width/400)^2 / step^2 at most.
    const double tolerance = 1e-4 + std::pow(width / 400 / step, 2);
    EXPECT_NEAR(squared_error(h, threshold) / expected, 1, tolerance) << threshold;
  }
}

// Even values up to 1: clipping by d loses d^3/3, and rounding gains (1 - (1-d)^2) / (12 * 127^2): d = 0.00321.
TEST(Scales, MseOfEvenValuesClipsAlmostNothing) {
  const Histogram h = histogram_of(even_values(1'000'000));
  const double d = std::sqrt(1.0 / (6 * 127 * 127));
  EXPECT_NEAR(clipping_threshold(h, {.method = ScaleMethod::mse}), 1 - d, 1e-3);
}

// ACIQ (arXiv 1810.05723): 8 bits of a Laplace distribution are best clipped at 9.89 b.
TEST(Scales, MseOfALaplaceDistributionIsAciqs) {
  const Histogram h = histogram_of(laplace_values(4'000'000));
  EXPECT_NEAR(clipping_threshold(h, {.method = ScaleMethod::mse}), 9.89, 0.1);
}

TEST(Scales, MseIsTheLeastOfAllThresholds) {
  Rng rng(2);
  for (int round = 0; round < 5; ++round) {
    std::vector<float> values(20000);
    for (float& value : values) value = static_cast<float>(rng.normal() * std::exp(rng.uniform(-3.0, 1.0 + round)));
    const Histogram h = histogram_of(values);
    double least = std::numeric_limits<double>::infinity();
    for (int i = 1; i <= 8192; ++i) least = std::min(least, squared_error(h, h.largest() * i / 8192));
    const double threshold = clipping_threshold(h, {.method = ScaleMethod::mse});
    EXPECT_LE(squared_error(h, threshold), 1.005 * least) << round;  // thresholds are tried 1/8192 of the range apart
  }
}

// As the method is told: two lists of probabilities and a sum over them.
double divergence_by_the_book(const Histogram& h, size_t bins) {
  std::vector<double> p(h.bins().begin(), h.bins().begin() + static_cast<long>(bins)), q(bins, 0.0);
  const std::vector<double> kept = p;
  for (size_t i = bins; i < h.bins().size(); ++i) p.back() += static_cast<double>(h.bins()[i]);
  for (size_t level = 0; level < 128; ++level) {
    double share = 0;
    int filled = 0;
    for (size_t i = 0; i < bins; ++i) {
      if (i * 128 / bins != level) continue;
      share += kept[i];
      filled += kept[i] > 0;
    }
    for (size_t i = 0; i < bins; ++i) {
      if (i * 128 / bins == level && kept[i] > 0) q[i] = share / filled;
    }
  }
  double p_sum = 0, q_sum = 0, sum = 0;
  for (size_t i = 0; i < bins; ++i) p_sum += p[i], q_sum += q[i];
  for (size_t i = 0; i < bins; ++i) {
    if (p[i] > 0) sum += p[i] / p_sum * std::log((p[i] / p_sum) / (q[i] / q_sum));
  }
  return sum;
}

TEST(Scales, DivergenceIsThatOfTheBook) {
  Rng rng(4);
  std::vector<float> values(50000);
  for (float& value : values) value = static_cast<float>(rng.normal() * std::exp(rng.uniform(-3.0, 1.0)));
  const Histogram h = histogram_of(values);
  for (const int bins : {128, 129, 200, 255, 777, 1500, 2048, 3001, 4095, 4096}) {
    const double expected = divergence_by_the_book(h, static_cast<size_t>(bins));
    if (std::isinf(expected)) {
      EXPECT_EQ(divergence(h, bins), expected) << bins;
    } else {
      EXPECT_NEAR(divergence(h, bins), expected, 1e-9) << bins;
    }
  }
  EXPECT_THROW(divergence(h, 127), Error);
  EXPECT_THROW(divergence(h, 4097), Error);
}

TEST(Scales, EntropyTakesTheLeastDivergence) {
  std::vector<float> values = laplace_values(200'000);
  values.push_back(60);  // an outlier that nobody should pay for
  const Histogram h = histogram_of(values);
  size_t best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (size_t bins = 128; bins <= 3841; bins += 1) {  // 60 is in bin 3840 of width 64/4096
    const double found = divergence(h, static_cast<int>(bins));
    if (found < least) best = bins, least = found;
  }
  const double threshold = clipping_threshold(h, {.method = ScaleMethod::entropy});
  EXPECT_DOUBLE_EQ(threshold, static_cast<double>(best) * h.bin_width());
  EXPECT_LT(threshold, 15);
  EXPECT_GT(threshold, 2);
}

// Three magnitudes that 128 levels can tell apart: nothing is gained by clipping. (Cut behind the first of them, the
// method sees one filled bin against itself: no divergence either.)
TEST(Scales, EntropyOfFewValuesKeepsAll) {
  const Histogram h = histogram_of({0.5f, 0.5f, 1.0f, 1.9f});
  EXPECT_NEAR(clipping_threshold(h, {.method = ScaleMethod::entropy}), 1.9, h.bin_width());
}

TEST(Scales, ZerosAndNothing) {
  for (const ScaleMethod method : {ScaleMethod::percentile, ScaleMethod::mse, ScaleMethod::entropy}) {
    EXPECT_EQ(clipping_threshold(histogram_of({0, 0, 0}), {.method = method}), 0);
    EXPECT_THROW(clipping_threshold(Histogram(), {.method = method}), Error);
    const double one = clipping_threshold(histogram_of({0, 3, 0, 0}), {.method = method, .percentile = 100});
    EXPECT_NEAR(one, 3, 0.05) << to_string(method);
    EXPECT_LE(one, 3);
  }
}

TEST(Scales, MethodsHaveNames) {
  for (const char* name : {"percentile", "mse", "entropy"}) EXPECT_EQ(to_string(parse_scale_method(name)), name);
  EXPECT_THROW(parse_scale_method("MSE"), Error);
  EXPECT_THROW(parse_scale_method(""), Error);
}

// A skip whose convolution the engine has fused, and a join.
NetworkSpec skip_and_join() {
  NetworkBuilder net({3, 32, 32});
  net.conv(8, 3).conv(8, 3, 2).conv(8, 3).shortcut(1);  // 0, 1, 2, 3
  net.conv(8, 3, 2).upsample().route({5, 3});           // 4, 5, 6
  net.conv(7, 1, 16, Activation::linear, false);        // 7
  return net.yolo({{4, 5}}, {0}, 2).build();            // 8
}

TEST(Scales, LayersThatAreNotShownTakeTheScaleOfTheirReader) {
  const NetworkSpec spec = skip_and_join();
  const ScaleOptions largest{.method = ScaleMethod::percentile, .percentile = 100};
  std::vector<Histogram> maps(9);
  const auto show = [&](size_t layer, float value) { maps[layer].add(std::vector<float>{value}); };
  show(0, 127), show(1, 2 * 127), show(3, 3 * 127), show(4, 4 * 127), show(7, 0);
  // 5 passes 4 on, 6 joins 5 and 3 and reaches as far as 5; 2 is fused into 3; 8 passes 7 on, whose map is all zeros.
  const std::vector<float> scales = scales_of_maps(spec, maps, largest);
  EXPECT_EQ(std::vector<float>(scales.begin(), scales.begin() + 7), (std::vector<float>{1, 2, 3, 3, 4, 4, 4}));
  EXPECT_GT(scales[7], 0);
  EXPECT_LT(scales[7], 1e-6f);
  check_quantization(spec, {scales, {}});
  show(6, 5 * 127), show(2, 127);  // shown: their own
  EXPECT_EQ(scales_of_maps(spec, maps, largest)[6], 5);
  EXPECT_EQ(scales_of_maps(spec, maps, largest)[2], 1);

  std::vector<Histogram> nothing(9);
  nothing[0] = maps[0];
  EXPECT_THROW(scales_of_maps(spec, nothing, largest), Error);
  nothing.pop_back();
  EXPECT_THROW(scales_of_maps(spec, nothing, largest), Error);
}

}  // namespace
}  // namespace yolov3
