#include "detect/nms.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "base/rng.h"

namespace yolov3 {
namespace {

TEST(Nms, SuppressesOverTheThresholdOfTheSameClass) {
  // IoU of the first two: 80 / 120 = 2/3.
  const Detection best{{0, 0, 10, 10}, 0, 0.9f}, near{{2, 0, 12, 10}, 0, 0.8f}, other{{2, 0, 12, 10}, 1, 0.7f};
  EXPECT_EQ(non_maximum_suppression({near, other, best}, {.iou_threshold = 0.6f}),
            (std::vector<Detection>{best, other}));
  EXPECT_EQ(non_maximum_suppression({near, other, best}, {.iou_threshold = 0.7f}),
            (std::vector<Detection>{best, near, other}));
  EXPECT_EQ(non_maximum_suppression({near, other, best}, {.iou_threshold = 0.6f, .agnostic = true}),
            (std::vector<Detection>{best}));
}

TEST(Nms, EqualToTheThresholdStays) {
  const Detection a{{0, 0, 10, 10}, 0, 0.9f}, b{{0, 0, 10, 5}, 0, 0.8f};  // IoU 0.5
  EXPECT_EQ(non_maximum_suppression({a, b}, {.iou_threshold = 0.5f}).size(), 2u);
}

// A suppressed box suppresses nothing: a-b and b-c overlap, a-c do not.
TEST(Nms, OnlyKeptBoxesSuppress) {
  const Detection a{{0, 0, 10, 10}, 0, 0.9f}, b{{4, 0, 14, 10}, 0, 0.8f}, c{{8, 0, 18, 10}, 0, 0.7f};
  EXPECT_EQ(non_maximum_suppression({c, b, a}, {.iou_threshold = 0.4f}), (std::vector<Detection>{a, c}));
}

TEST(Nms, TiesByClassThenPosition) {
  const Detection a{{0, 0, 1, 1}, 2, 0.5f}, b{{5, 0, 6, 1}, 1, 0.5f}, c{{9, 0, 10, 1}, 1, 0.5f};
  EXPECT_EQ(non_maximum_suppression({a, c, b}, {}), (std::vector<Detection>{c, b, a}));
}

TEST(Nms, LimitsTakeTheBest) {
  std::vector<Detection> many;
  for (int i = 0; i < 50; ++i) {
    const auto x = static_cast<float>(10 * i);
    many.push_back({{x, 0, x + 5, 5}, i % 3, 0.01f * static_cast<float>(i)});
  }
  const auto kept = non_maximum_suppression(many, {.max_detections = 4});
  ASSERT_EQ(kept.size(), 4u);
  EXPECT_EQ(kept.front(), many[49]);
  EXPECT_EQ(kept.back(), many[46]);
  EXPECT_EQ(non_maximum_suppression(many, {.max_detections = 0}).size(), 50u);
  EXPECT_EQ(non_maximum_suppression(many, {.max_detections = 0, .max_candidates = 7}).size(), 7u);
  EXPECT_TRUE(non_maximum_suppression({}, {}).empty());
}

TEST(Nms, EqualsThePlainRule) {
  Rng rng(11);
  std::vector<Detection> many;
  for (int i = 0; i < 1500; ++i) {
    const auto x = static_cast<float>(rng.uniform(0, 300)), y = static_cast<float>(rng.uniform(0, 300));
    many.push_back({{x, y, x + static_cast<float>(rng.uniform(1, 90)), y + static_cast<float>(rng.uniform(1, 90))},
                    static_cast<int>(rng.integer(0, 3)),
                    static_cast<float>(rng.integer(0, 200)) / 200});
  }
  std::vector<Detection> sorted = many, want;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Detection& a, const Detection& b) {
    return a.score != b.score ? a.score > b.score : a.class_id < b.class_id;
  });
  for (const Detection& d : sorted) {
    const bool gone = std::any_of(want.begin(), want.end(), [&](const Detection& k) {
      return k.class_id == d.class_id && iou(k.box, d.box) > 0.45f;
    });
    if (!gone) want.push_back(d);
  }
  EXPECT_EQ(non_maximum_suppression(many, {.max_detections = 0}), want);
}

TEST(Nms, ThirtyThousandApartInOneClassAreFast) {
  std::vector<Detection> many;
  for (int i = 0; i < 40000; ++i) {
    const auto x = static_cast<float>(i % 200) * 10, y = static_cast<float>(i / 200) * 10;
    many.push_back({{x, y, x + 8, y + 8}, 0, static_cast<float>(i) * 1e-5f});
  }
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(non_maximum_suppression(many, {}).size(), 300u);
  const std::chrono::duration<double> bounded = std::chrono::steady_clock::now() - start;
  EXPECT_LT(bounded.count(), 2.0);  // sanitizers and busy machines included
  EXPECT_EQ(non_maximum_suppression(many, {.max_detections = 0, .max_candidates = 10000}).size(), 10000u);
}

// What one picture leaves behind must not be seen in the next: fewer candidates, other classes, all classes as one.
TEST(Nms, PicturesDoNotSeeEachOther) {
  const Detection a{{0, 0, 10, 10}, 7, 0.9f}, b{{0, 0, 10, 9}, 7, 0.8f}, c{{0, 0, 10, 10}, 0, 0.7f},
      d{{50, 0, 60, 10}, 3, 0.6f};
  Nms nms;
  std::vector<Detection> kept;
  const auto expect = [&](const std::vector<Detection>& candidates, bool agnostic, const std::vector<Detection>& want) {
    nms.run(candidates, {.agnostic = agnostic}, kept);
    EXPECT_EQ(kept, want);
  };
  expect({a, b, c, d}, false, {a, c, d});
  expect({b, c}, false, {b, c});
  expect({d, c, b}, true, {b, d});
  expect({}, false, {});
  expect({c, d, a}, false, {a, c, d});
}

TEST(Nms, DegenerateInputIsHarmless) {
  const Detection nan_score{{0, 0, 1, 1}, 0, NAN}, empty{{3, 3, 3, 3}, 0, 0.5f};
  EXPECT_EQ(non_maximum_suppression({nan_score, empty, empty}, {}).size(), 2u);
  EXPECT_THROW(non_maximum_suppression({{{0, 0, 1, 1}, -1, 0.5f}}, {}), Error);
  EXPECT_THROW(non_maximum_suppression({}, {.iou_threshold = 45}), Error);
  EXPECT_THROW(non_maximum_suppression({}, {.max_detections = -1}), Error);
  EXPECT_THROW(non_maximum_suppression({}, {.max_candidates = 0}), Error);
}

}  // namespace
}  // namespace yolov3
