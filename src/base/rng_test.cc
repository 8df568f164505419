#include "base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

namespace yolov3 {
namespace {

constexpr int kDraws = 60000;

// From a Python implementation that gives the published outputs of splitmix64 (seed 1234567: 6457827717110365317, ...)
// and of xoshiro256** (state 1, 2, 3, 4: 11520, 0, 1509978240, ...).
TEST(Rng, AgreesWithAnotherImplementation) {
  Rng zero(0);
  for (const uint64_t expected : {0x8c4986f3f0e565d5u, 0xf4547fdf5c2f56b6u, 0x6a9e0d6a14f022fbu, 0xdf483d9e238576e0u}) {
    EXPECT_EQ(zero.next(), expected);
  }
  Rng sample(42, 3, 1000);
  for (const uint64_t expected : {0xb009c25a6cc24e7eu, 0x64d2b0e9dd5a3a2fu, 0x5ae9701afad834b8u, 0xc195f347921059c4u}) {
    EXPECT_EQ(sample.next(), expected);
  }
}

TEST(Rng, EverySeedEpochAndIndexIsAStreamOfItsOwn) {
  std::set<uint64_t> firsts;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    for (uint64_t epoch = 0; epoch < 10; ++epoch) {
      for (uint64_t index = 0; index < 10; ++index) firsts.insert(Rng(seed, epoch, index).next());
    }
  }
  EXPECT_EQ(firsts.size(), 1000u);
}

// Streams of neighbouring samples must not go together: the correlation of n pairs has the deviation 1/sqrt(n).
TEST(Rng, NeighbouringStreamsAreIndependent) {
  double product = 0;
  for (uint64_t index = 0; index < kDraws; ++index) {
    product += (Rng(1, 0, index).uniform() - 0.5) * (Rng(1, 0, index + 1).uniform() - 0.5) * 12;
  }
  EXPECT_LT(std::abs(product / kDraws), 5 / std::sqrt(kDraws));
}

TEST(Rng, UniformFillsItsRange) {
  Rng rng(1);
  double sum = 0, low = 1, high = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = rng.uniform();
    sum += value;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  EXPECT_GE(low, 0);
  EXPECT_LT(high, 1);
  EXPECT_LT(low, 0.001);
  EXPECT_GT(high, 0.999);
  EXPECT_NEAR(sum / kDraws, 0.5, 5 / std::sqrt(12.0 * kDraws));
  for (int i = 0; i < 1000; ++i) {
    const double value = rng.uniform(-3, -1);
    EXPECT_TRUE(value >= -3 && value < -1) << value;
  }
}

TEST(Rng, IntegersIncludeBothEndsEquallyOften) {
  Rng rng(2);
  std::map<int64_t, int> seen;
  for (int i = 0; i < kDraws; ++i) ++seen[rng.integer(-2, 3)];
  ASSERT_EQ(seen.size(), 6u);
  EXPECT_EQ(seen.begin()->first, -2);
  EXPECT_EQ(seen.rbegin()->first, 3);
  const double deviation = std::sqrt(kDraws * (1.0 / 6) * (5.0 / 6));
  for (const auto& [value, count] : seen) EXPECT_NEAR(count, kDraws / 6.0, 5 * deviation) << value;
}

TEST(Rng, IntegersOfExtremeRanges) {
  Rng rng(3);
  EXPECT_EQ(rng.integer(7, 7), 7);
  EXPECT_EQ(rng.integer(INT64_MIN, INT64_MIN), INT64_MIN);
  bool negative = false, positive = false;
  for (int i = 0; i < 100; ++i) {
    const int64_t value = rng.integer(INT64_MIN, INT64_MAX);
    negative |= value < 0;
    positive |= value > 0;
    EXPECT_GE(rng.integer(INT64_MAX - 1, INT64_MAX), INT64_MAX - 1);
    EXPECT_LE(rng.integer(INT64_MIN, 0), 0);
  }
  EXPECT_TRUE(negative && positive);
}

TEST(Rng, ChanceIsExactAtItsEnds) {
  Rng rng(4);
  int half = 0;
  for (int i = 0; i < kDraws; ++i) {
    EXPECT_FALSE(rng.chance(0));
    EXPECT_TRUE(rng.chance(1));
    half += rng.chance(0.5);
  }
  EXPECT_NEAR(half, kDraws / 2, 5 * std::sqrt(kDraws / 4.0));
}

TEST(Rng, NormalHasMeanZeroAndDeviationOne) {
  Rng rng(5);
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = rng.normal();
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / kDraws, 0, 5 / std::sqrt(kDraws));
  EXPECT_NEAR(squares / kDraws, 1, 5 * std::sqrt(2.0 / kDraws));
}

TEST(Rng, ShuffleGivesEveryOrderEquallyOften) {
  Rng rng(6);
  std::map<std::vector<int>, int> seen;
  for (int i = 0; i < kDraws; ++i) {
    std::vector<int> items = {1, 2, 3};
    rng.shuffle(items);
    ++seen[items];
  }
  ASSERT_EQ(seen.size(), 6u);
  const double deviation = std::sqrt(kDraws * (1.0 / 6) * (5.0 / 6));
  for (const auto& [order, count] : seen) EXPECT_NEAR(count, kDraws / 6.0, 5 * deviation);
}

TEST(Rng, ShuffleIsAPermutation) {
  std::vector<int> items(1000), all(1000);
  std::iota(items.begin(), items.end(), 0);
  all = items;
  Rng(7).shuffle(items);
  EXPECT_NE(items, all);
  std::sort(items.begin(), items.end());
  EXPECT_EQ(items, all);
  std::vector<int> none;
  Rng(7).shuffle(none);
  EXPECT_TRUE(none.empty());
}

}  // namespace
}  // namespace yolov3
