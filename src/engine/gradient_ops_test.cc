#include "engine/gradient_ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/rng.h"

namespace yolov3 {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_row(int64_t count, uint64_t seed) {
  std::vector<float> row(static_cast<size_t>(count));
  Rng rng(seed);
  for (float& value : row) value = static_cast<float>(rng.uniform(-6, 6));
  return row;
}

TEST(GradientOps, NeighboursAreFolded) {
  for (const int64_t stride : {1, 2, 3}) {
    for (const int64_t run : {1, 7, 8, 16, 37}) {
      const int64_t pixels = 5;
      const std::vector<float> in = random_row(pixels * stride * run, 1);
      std::vector<float> sums = random_row(pixels * run, 2), want = sums;
      for (int64_t i = 0; i < pixels * run; ++i) {
        for (int64_t k = 0; k < stride; ++k) {
          want[static_cast<size_t>(i)] += in[static_cast<size_t>((i / run * stride + k) * run + i % run)];
        }
      }
      fold_row(in.data(), stride, run, pixels, sums.data());
      EXPECT_EQ(sums, want) << stride << " x " << run;  // the same order of f32 sums: exact
    }
  }
}

// Columns of three cells each; torch: a number replaces the largest when it is greater or not a number.
TEST(GradientOps, FirstOfEqualNumbersAndLastNanAreLargest) {
  const std::vector<std::vector<float>> cells = {{1, 5, kNan, kNan, 3, -kInfinity, -0.0f},
                                                 {2, 5, 7, kNan, kNan, -kInfinity, 0.0f},
                                                 {2, 4, kInfinity, 0, 9, -kInfinity, 0.0f}};
  std::vector<float> largest(7, -kInfinity);
  std::vector<int32_t> where(7, 10);
  for (int32_t i = 0; i < 3; ++i) {
    first_largest_row(cells[static_cast<size_t>(i)].data(), 10 + i, largest.data(), where.data(), 7);
  }
  EXPECT_EQ(where, (std::vector<int32_t>{11, 10, 10, 11, 11, 10, 10}));
  EXPECT_EQ(largest[0], 2);
  EXPECT_TRUE(std::isnan(largest[2]));
}

// Whole numbers: exact in any order. Squares beyond float32 are finite.
TEST(GradientOps, SumOfSquares) {
  for (const int64_t count : {0, 1, 2, 7, 8, 9, 37}) {
    std::vector<float> row(static_cast<size_t>(count));
    for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(i + 1);
    const auto n = static_cast<double>(count);
    EXPECT_EQ(square_sum_row(row.data(), count), n * (n + 1) * (2 * n + 1) / 6) << count;
  }
  std::vector<float> row(20, 0.0f);
  row[13] = -1e30f;
  EXPECT_NEAR(square_sum_row(row.data(), 20), 1e60, 1e53);
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    for (size_t at = 0; at < row.size(); ++at) {
      std::vector<float> spoilt(20, 1.0f);
      spoilt[at] = bad;
      EXPECT_FALSE(std::isfinite(square_sum_row(spoilt.data(), 20))) << at;
    }
  }
}

TEST(GradientOps, SumsWhereTheCellIs) {
  const std::vector<int32_t> cells = {4, 5, 4, 3, 4};
  const std::vector<float> in = {1, kNan, 3, kInfinity, 5};
  std::vector<float> sums = {10, 20, 30, 40, 50};
  add_where_row(cells.data(), 4, in.data(), sums.data(), 5);
  EXPECT_EQ(sums, (std::vector<float>{11, 20, 33, 40, 55}));
}

// Closed forms other than the code's; mish: Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", (2).
double slope(Activation activation, double x) {
  const double e = std::exp(x);
  switch (activation) {
    case Activation::linear: return 1;
    case Activation::leaky: return x > 0 ? 1 : 0.1;
    case Activation::relu: return x > 0 ? 1 : 0;
    case Activation::logistic: return 1 / (2 + e + 1 / e);
    case Activation::swish: return (e * e + e * (1 + x)) / ((1 + e) * (1 + e));
    case Activation::mish:
      return e * (4 * (x + 1) + 4 * e * e + e * e * e + e * (4 * x + 6)) / std::pow(2 * e + e * e + 2, 2);
  }
  return 0;
}

TEST(GradientOps, SlopesOfActivations) {
  std::vector<float> before = random_row(301, 3);
  before[0] = 0;
  const std::vector<float> gradient = random_row(301, 4);
  for (const Activation activation : {Activation::linear, Activation::leaky, Activation::relu, Activation::logistic,
                                      Activation::mish, Activation::swish}) {
    std::vector<float> out(301), in_place = gradient;
    activation_gradient_row(activation, before.data(), gradient.data(), out.data(), 301);
    for (size_t i = 0; i < out.size(); ++i) {
      const double want = slope(activation, before[i]) * gradient[i];
      // 0.1 as a float and the product are rounded; in the closed forms terms up to 1 cancel, in double.
      EXPECT_NEAR(out[i], want, 2 * 0x1p-24 * std::abs(want) + 0x1p-45)
          << static_cast<int>(activation) << " of " << before[i];
    }
    activation_gradient_row(activation, before.data(), in_place.data(), in_place.data(), 301);
    EXPECT_EQ(in_place, out);
    activation_gradient_row(activation, before.data(), gradient.data(), before.data(), 301);
    EXPECT_EQ(before, out);
    before = random_row(301, 3);
  }
}

TEST(GradientOps, SlopesFarOut) {
  const std::vector<float> before = {-1000, 1000}, gradient = {3, 3};
  for (const Activation activation : {Activation::relu, Activation::mish, Activation::swish, Activation::logistic}) {
    std::vector<float> out(2);
    activation_gradient_row(activation, before.data(), gradient.data(), out.data(), 2);
    EXPECT_EQ(out, (std::vector<float>{0, activation == Activation::logistic ? 0.0f : 3.0f}));
  }
  const std::vector<float> infinite = {kInfinity, kInfinity};
  std::vector<float> out(2);
  activation_gradient_row(Activation::relu, before.data(), infinite.data(), out.data(), 2);
  EXPECT_EQ(out, (std::vector<float>{0, kInfinity}));
}

// splitmix64 as its authors wrote it, one number after the other.
struct SplitMix {
  uint64_t state;
  uint64_t next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
};

TEST(GradientOps, DropoutFollowsItsStream) {
  EXPECT_EQ(SplitMix{1234567}.next(), 6457827717110365317u);  // the generator's published test value
  constexpr int64_t kCount = 20000;
  for (const double probability : {0.0, 0.1, 0.5, 0.9}) {
    const DropoutRule rule = make_dropout_rule(probability, 42);
    std::vector<float> row(kCount, 1.0f), every_third(kCount / 3, 1.0f);
    dropout_row(rule, 0, 1, row.data(), kCount);
    dropout_row(rule, 2, 3, every_third.data(), kCount / 3);
    SplitMix stream{42};
    int64_t kept = 0;
    for (int64_t i = 0; i < kCount; ++i) {
      const bool keeps = std::ldexp(static_cast<double>(stream.next() >> 11), -53) >= probability;
      const float want = keeps ? static_cast<float>(1 / (1 - probability)) : 0.0f;
      kept += keeps ? 1 : 0;
      ASSERT_EQ(row[static_cast<size_t>(i)], want) << i;
      if (i % 3 == 2 && i / 3 < kCount / 3) {
        ASSERT_EQ(every_third[static_cast<size_t>(i / 3)], want) << i;
      }
    }
    const double deviation = std::sqrt(kCount * probability * (1 - probability));
    EXPECT_NEAR(static_cast<double>(kept), kCount * (1 - probability), 4 * deviation);
  }
}

TEST(GradientOps, DroppedNumbersAreZeroWhateverTheyWere) {
  std::vector<float> row(64, kNan);
  dropout_row(make_dropout_rule(0.5, 7), 0, 1, row.data(), 64);
  int zeros = 0;
  for (const float value : row) {
    EXPECT_TRUE(value == 0 || std::isnan(value));
    zeros += value == 0 ? 1 : 0;
  }
  EXPECT_GT(zeros, 16);  // 32 +- 4 * 4
  EXPECT_LT(zeros, 48);
}

}  // namespace
}  // namespace yolov3
