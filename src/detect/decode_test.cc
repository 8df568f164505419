#include "detect/decode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "detect/golden_test.h"

namespace yolov3 {
namespace {

Head head_of(int classes, std::vector<Anchor> anchors, int64_t grid_height, int64_t grid_width, float stride) {
  return {0, classes, std::move(anchors), 1.0f, grid_height, grid_width, stride, stride};
}

TEST(Decode, DenseEqualsTheNotes) {
  const GoldenArray anchors = golden_attribute("/", "anchors");
  for (int k = 0; k < 5; ++k) {
    for (int s = 0; s < 3; ++s) {
      const std::string group = "loss/" + std::to_string(k), scale = std::to_string(s);
      SCOPED_TRACE(group + " scale " + scale);
      const GoldenArray raw = golden_array(group + "/raw_" + scale), want = golden_array(group + "/decoded_" + scale);
      const int64_t n = raw.shape[0], gh = raw.shape[1], gw = raw.shape[2], a = raw.shape[3], c = raw.shape[4];
      Head head = head_of(static_cast<int>(c - 5), {}, gh, gw, static_cast<float>(8 << s));
      for (int64_t i = 0; i < a; ++i) {
        const double* wh = anchors.values.data() + (s * 3 + i) * 2;
        head.anchors.push_back({static_cast<float>(wh[0]), static_cast<float>(wh[1])});
      }
      Tensor map({n, a * c, gh, gw});
      int64_t from = 0;
      for (int64_t b = 0; b < n; ++b)
        for (int64_t y = 0; y < gh; ++y)
          for (int64_t x = 0; x < gw; ++x)
            for (int64_t channel = 0; channel < a * c; ++channel)
              map.at(b, channel, y, x) = static_cast<float>(raw.values[static_cast<size_t>(from++)]);
      double worst = 0, largest = 0;
      for (int64_t b = 0; b < n; ++b) {
        const Tensor rows = decode_dense(view_of(map), b, head);
        ASSERT_EQ(rows.shape(), (Shape{gh * gw * a, c}));
        for (int64_t i = 0; i < rows.size(); ++i) {
          const double expected = want.values[static_cast<size_t>(b * rows.size() + i)];
          worst = std::max(worst, std::abs(rows[i] - expected));
          largest = std::max(largest, std::abs(expected));
        }
      }
      EXPECT_LE(worst, 1e-5 * largest);
    }
  }
}

// One anchor of 16x32 pixels, two classes, a map of 2x3 cells of 8 pixels.
class SmallMap : public ::testing::Test {
 protected:
  SmallMap() : head(head_of(2, {{16, 32}}, 2, 3, 8)), map({1, 7, 2, 3}) {
    for (int64_t y = 0; y < 2; ++y)
      for (int64_t x = 0; x < 3; ++x) map.at(0, 4, y, x) = -20;
  }
  std::vector<Detection> decoded(const DecodeOptions& options) { return decode(views_of({map}), 0, {head}, options); }

  Head head;
  Tensor map;
};

TEST_F(SmallMap, BoxAndScoreByHand) {
  map.at(0, 4, 1, 2) = std::log(3.0f);  // objectness 0.75
  map.at(0, 6, 1, 2) = std::log(4.0f);  // class 1: 0.8, class 0: 0.5
  map.at(0, 2, 1, 2) = std::log(0.5f);  // half as wide as the anchor
  const auto found = decoded({.score_threshold = 0.25f});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].class_id, 1);
  EXPECT_NEAR(found[0].score, 0.6f, 1e-6f);
  EXPECT_NEAR(found[0].box.x0, 20 - 4, 1e-5f);  // centre (2.5, 1.5) cells
  EXPECT_NEAR(found[0].box.x1, 20 + 4, 1e-5f);
  EXPECT_NEAR(found[0].box.y0, 12 - 16, 1e-5f);  // unclipped
  EXPECT_NEAR(found[0].box.y1, 12 + 16, 1e-5f);
}

TEST_F(SmallMap, MultiLabelGivesEveryClassOverTheThreshold) {
  map.at(0, 4, 0, 1) = std::log(3.0f);
  map.at(0, 6, 0, 1) = std::log(4.0f);
  EXPECT_EQ(decoded({.score_threshold = 0.37f, .multi_label = true}).size(), 2u);  // 0.375 and 0.6
  EXPECT_EQ(decoded({.score_threshold = 0.38f, .multi_label = true}).size(), 1u);
  EXPECT_EQ(decoded({.score_threshold = 0.37f}).size(), 1u);
  EXPECT_EQ(decoded({.score_threshold = 0.61f, .multi_label = true}).size(), 0u);
}

// Darknet's scale_x_y 1.05: sigmoid(0) stays the centre, sigmoid(+large) reaches 1.025.
TEST_F(SmallMap, ScaleXyStretchesAroundTheCentre) {
  head.scale_xy = 1.05f;
  map.at(0, 0, 0, 0) = 40;
  const Tensor rows = decode_dense(view_of(map), 0, head);
  EXPECT_NEAR(rows[0], 1.025f * 8, 1e-5f);
  EXPECT_NEAR(rows[1], 0.5f * 8, 1e-5f);
}

// D24: exp of a wild logit must stay finite, its area too.
TEST_F(SmallMap, WildLogitsStayFinite) {
  map.at(0, 4, 0, 0) = 50;
  map.at(0, 5, 0, 0) = 50;
  map.at(0, 2, 0, 0) = 1e30f;
  map.at(0, 3, 0, 0) = std::numeric_limits<float>::infinity();
  const auto found = decoded({});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NEAR(found[0].box.width(), 16 * std::exp(8.0f), 1.0f);
  EXPECT_TRUE(std::isfinite(found[0].box.area()));
}

TEST_F(SmallMap, NotANumberIsNoDetection) {
  for (float& value : map.values()) value = NAN;
  EXPECT_TRUE(decoded({.score_threshold = 0}).empty());
  EXPECT_TRUE(decoded({.score_threshold = 0, .multi_label = true}).empty());
}

// How an engine may leave a map: the tensor's planes, or the channels of a cell together, with something between cells.
struct Layouts {
  explicit Layouts(const Tensor& map) : planes(view_of(map)), together(planes) {
    together.channel_stride = 1;
    together.cell_stride = planes.channels + 3;
    together.image_stride = planes.cells() * together.cell_stride + 5;
    memory.assign(static_cast<size_t>(planes.images * together.image_stride), NAN);
    together.data = memory.data();
    for (int64_t n = 0; n < planes.images; ++n)
      for (int64_t c = 0; c < planes.channels; ++c)
        for (int64_t cell = 0; cell < planes.cells(); ++cell)
          memory[static_cast<size_t>(n * together.image_stride + cell * together.cell_stride + c)] =
              planes.at(n, c, cell);
  }
  RawMap planes, together;
  std::vector<float> memory;
};

// The tests on logits may only skip work, never change the answer: against a plain double loop, in either layout.
TEST(Decode, EqualsThePlainRuleAtAnyThreshold) {
  Rng rng(3);
  const Head head = head_of(5, {{10, 13}, {16, 30}}, 7, 9, 8);
  Tensor map({2, 20, 7, 9});
  for (float& value : map.values()) value = static_cast<float>(rng.normal() * 4);
  const Layouts layouts(map);
  for (const double threshold : {0.0, 0.001, 0.3, 0.9, 0.9999}) {
    for (const bool multi_label : {false, true}) {
      std::map<int, int> want;  // detections of each class
      for (int64_t a = 0; a < 2; ++a)
        for (int64_t y = 0; y < 7; ++y)
          for (int64_t x = 0; x < 9; ++x) {
            const auto prob = [&](int64_t c) { return 1 / (1 + std::exp(-double{map.at(1, a * 10 + c, y, x)})); };
            int best = 0;
            for (int k = 1; k < 5; ++k) best = prob(5 + k) > prob(5 + best) ? k : best;
            for (int k = 0; k < 5; ++k) {
              if ((multi_label || k == best) && prob(4) * prob(5 + k) > threshold) ++want[k];
            }
          }
      for (const RawMap& view : {layouts.planes, layouts.together}) {
        std::map<int, int> got;
        for (const Detection& d : decode({&view, 1}, 1, {head}, {static_cast<float>(threshold), multi_label})) {
          ++got[d.class_id];
        }
        EXPECT_EQ(got, want) << "threshold " << threshold << " multi_label " << multi_label << " channel stride "
                             << view.channel_stride;
      }
    }
  }
}

// One class of one cell at a time, where the two layouts must find the same numbers.
TEST(Decode, BoxByHandInEitherLayout) {
  const Head head = head_of(2, {{16, 32}, {8, 8}}, 2, 3, 8);
  Tensor map({2, 14, 2, 3});
  for (float& value : map.values()) value = -20;
  for (int64_t c = 7; c < 11; ++c) map.at(1, c, 1, 2) = 0;  // of the second anchor: centre (2.5, 1.5) cells, 8 x 8
  map.at(1, 11, 1, 2) = std::log(3.0f);                     // objectness 0.75
  map.at(1, 13, 1, 2) = std::log(4.0f);                     // class 1: 0.8
  const Layouts layouts(map);
  for (const RawMap& view : {layouts.planes, layouts.together}) {
    EXPECT_TRUE(decode({&view, 1}, 0, {head}, {}).empty());
    for (const bool multi_label : {false, true}) {
      const std::vector<Detection> found = decode({&view, 1}, 1, {head}, {.multi_label = multi_label});
      ASSERT_EQ(found.size(), 1u);
      EXPECT_EQ(found[0].class_id, 1);
      EXPECT_NEAR(found[0].score, 0.6f, 1e-6f);
      EXPECT_EQ(found[0].box, (Box{16, 8, 24, 16}));
    }
  }
}

TEST(Decode, RefusesMapsOfAnotherShape) {
  const Head head = head_of(2, {{16, 32}}, 2, 3, 8);
  EXPECT_THROW(decode(views_of({Tensor({1, 7, 3, 2})}), 0, {head}, {}), Error);
  EXPECT_THROW(decode(views_of({Tensor({1, 8, 2, 3})}), 0, {head}, {}), Error);
  EXPECT_THROW(decode(views_of({Tensor()}), 0, {head}, {}), Error);
  EXPECT_THROW(decode(views_of({Tensor({1, 7, 2, 3})}), 1, {head}, {}), Error);
  EXPECT_THROW(decode({}, 0, {head}, {}), Error);
  EXPECT_THROW(decode(views_of({Tensor({1, 7, 2, 3})}), 0, {head}, {.score_threshold = 25}), Error);
}

}  // namespace
}  // namespace yolov3
