#include "quant/histogram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"

namespace yolov3 {
namespace {

TEST(Histogram, CountsMagnitudesByHand) {
  Histogram h;
  h.add(std::vector<float>{0.0f, -0.0f, 1.0f, -1.0f, 3.0f, -2.5f});
  EXPECT_EQ(h.count(), 6);
  EXPECT_EQ(h.largest(), 3);
  EXPECT_EQ(h.bin_width(), 4.0 / 4096);  // the range is 4, the power of two over 3
  std::vector<int64_t> expected(4096, 0);
  expected[0] = expected[1024] = 2;
  expected[3072] = expected[2560] = 1;
  EXPECT_EQ(h.bins(), expected);
}

TEST(Histogram, TheRangeDoublesAndPairsOfBinsAreJoined) {
  Histogram h;
  h.add(std::vector<float>{0.25f, 0.25f + 1.0f / 4096, 1.5f});  // width 2/4096: 0.25 is the lower edge of bin 512
  EXPECT_EQ(h.bins()[512], 2);
  h.add(std::vector<float>{2.0f});  // a power of two opens the next range: width 4/4096
  EXPECT_EQ(h.bin_width(), 4.0 / 4096);
  EXPECT_EQ(h.bins()[256], 2);
  EXPECT_EQ(h.bins()[1536], 1);
  EXPECT_EQ(h.bins()[2048], 1);
  h.add(std::vector<float>{1000.0f});  // 1024: eight doublings at once
  EXPECT_EQ(h.bins()[1], 2);
  EXPECT_EQ(h.bins()[6], 1);
  EXPECT_EQ(h.bins()[8], 1);
  EXPECT_EQ(h.bins()[4000], 1);
  EXPECT_EQ(h.count(), 5);
}

// Against every value's own bin, in large blocks (threads) and small, in both orders.
TEST(Histogram, OrderAndPortionsDoNotMatter) {
  Rng rng(3);
  std::vector<float> values(3'000'000);
  for (float& value : values) value = static_cast<float>(rng.normal() * std::exp(rng.uniform(-8, 4)));
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  const double range = std::exp2(std::floor(std::log2(largest)) + 1);
  std::vector<int64_t> expected(4096, 0);
  for (const float value : values) ++expected[static_cast<size_t>(std::fabs(value) / range * 4096)];

  Histogram whole, parts;
  whole.add(values);
  EXPECT_EQ(whole.bins(), expected);
  for (size_t end = values.size(); end > 0; end -= 1000) parts.add(std::span(values).subspan(end - 1000, 1000));
  EXPECT_EQ(parts.bins(), expected);
  EXPECT_EQ(parts.largest(), largest);
  EXPECT_EQ(parts.count(), 3'000'000);
}

TEST(Histogram, ZerosTinyAndHugeValues) {
  Histogram h;
  h.add({});
  h.add(std::vector<float>{0.0f, 0.0f});
  EXPECT_EQ(h.largest(), 0);
  EXPECT_EQ(h.bins()[0], 2);
  h.add(std::vector<float>{std::numeric_limits<float>::denorm_min()});
  EXPECT_EQ(h.bins()[0], 3);
  h.add(std::vector<float>{std::numeric_limits<float>::max()});
  EXPECT_EQ(h.bins()[0], 3);
  EXPECT_EQ(h.bins()[4095], 1);
  EXPECT_EQ(std::accumulate(h.bins().begin(), h.bins().end(), int64_t{0}), h.count());
}

TEST(Histogram, RefusesWhatIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN()}) {
    Histogram h;
    EXPECT_THROW(h.add(std::vector<float>{1.0f, bad, 2.0f}), Error);
    EXPECT_EQ(h.count(), 0);
  }
}

}  // namespace
}  // namespace yolov3
