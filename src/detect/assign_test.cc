#include "detect/assign.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <tuple>

#include "base/error.h"
#include "base/rng.h"
#include "detect/golden_test.h"

namespace yolov3 {
namespace {

std::vector<Head> yolov3_heads(int width, int height, int classes) {
  const std::vector<std::vector<Anchor>> anchors = {
      {{10, 13}, {16, 30}, {33, 23}}, {{30, 61}, {62, 45}, {59, 119}}, {{116, 90}, {156, 198}, {373, 326}}};
  std::vector<Head> heads;
  for (int i = 0; i < 3; ++i) {
    const int stride = 8 << i;
    heads.push_back({i, classes, anchors[static_cast<size_t>(i)], 1.0f, height / stride, width / stride,
                     static_cast<float>(stride), static_cast<float>(stride)});
  }
  return heads;
}

Annotation object(float x0, float y0, float x1, float y1, int class_id = 0) {
  return {{x0, y0, x1, y1}, class_id, false, false, (x1 - x0) * (y1 - y0)};
}

std::vector<double> xywh(const Box& box) {
  return {0.5 * (double{box.x0} + box.x1), 0.5 * (double{box.y0} + box.y1), double{box.x1} - box.x0,
          double{box.y1} - box.y0};
}

TEST(Assign, EqualsTheNotes) {
  for (int k = 0; k < 6; ++k) {
    SCOPED_TRACE(k);
    const std::string group = "assign/" + std::to_string(k);
    const int size = static_cast<int>(golden_number(group, "input_size"));
    const GoldenArray boxes = golden_array(group + "/boxes");
    std::vector<Annotation> objects;
    for (int64_t i = 0; i < boxes.rows(); ++i) {
      const double* b = boxes.row(i);
      objects.push_back(object(static_cast<float>(b[0]), static_cast<float>(b[1]), static_cast<float>(b[2]),
                               static_cast<float>(b[3]), static_cast<int>(b[4])));
    }
    const int classes = static_cast<int>(golden_number(group, "num_classes"));
    const Targets targets = assign({objects}, yolov3_heads(size, size, classes));

    std::vector<std::pair<std::vector<double>, std::vector<double>>> got, want;  // cell, its box
    for (const Assignment& p : targets.positives) {
      const Annotation& truth = objects[static_cast<size_t>(p.object)];
      got.push_back({{1.0 * p.head, 1.0 * p.gy, 1.0 * p.gx, 1.0 * p.anchor, 1.0 * truth.class_id}, xywh(truth.box)});
    }
    std::sort(got.begin(), got.end());
    const GoldenArray cells = golden_array(group + "/cells"), cell_xywh = golden_array(group + "/cell_xywh");
    for (int64_t i = 0; i < cells.rows(); ++i) {
      want.push_back({{cells.row(i), cells.row(i) + 5}, {cell_xywh.row(i), cell_xywh.row(i) + 4}});
    }
    EXPECT_EQ(got, want);

    for (size_t head = 0; head < 3; ++head) {
      std::vector<double> ignored;
      for (const int i : targets.true_objects[head][0]) {
        const std::vector<double> box = xywh(objects[static_cast<size_t>(i)].box);
        ignored.insert(ignored.end(), box.begin(), box.end());
      }
      EXPECT_EQ(ignored, golden_array(group + "/true_boxes_" + std::to_string(head)).values) << "head " << head;
    }
  }
}

// 10x13 in the centre of cell (5,5) of stride 8 is the first anchor exactly; 16x30 overlaps it 130/480 < 0.3 and
// 33x23 by 130/759.
TEST(Assign, AnExactAnchorInACellCentre) {
  const Targets targets = assign({{}, {object(39, 37.5, 49, 50.5)}}, yolov3_heads(416, 416, 1));
  EXPECT_EQ(targets.positives, (std::vector<Assignment>{{1, 0, 0, 5, 5, 0}}));
  EXPECT_EQ(targets.true_objects[0], (std::vector<std::vector<int>>{{}, {0}}));
  EXPECT_EQ(targets.true_objects[1], (std::vector<std::vector<int>>{{}, {}}));
}

// The notes' rule D10: the same box at the corner of its cell has IoU 0.262 with that anchor, and no other is better.
TEST(Assign, BestAnchorOfAllWhenNoneIsPositive) {
  const std::vector<std::vector<Annotation>> objects = {{object(35, 33.5, 45, 46.5)}};
  const Targets targets = assign(objects, yolov3_heads(416, 416, 1));
  EXPECT_EQ(targets.positives, (std::vector<Assignment>{{0, 0, 0, 5, 5, 0}}));
  EXPECT_TRUE(assign(objects, yolov3_heads(416, 416, 1), {.best_of_all = false}).positives.empty());
}

TEST(Assign, ALaterObjectOverwritesButBothAreIgnored) {
  const Targets targets =
      assign({{object(39, 37.5, 49, 50.5, 1), object(39, 37.5, 49, 50.5, 2)}}, yolov3_heads(416, 416, 3));
  EXPECT_EQ(targets.positives, (std::vector<Assignment>{{0, 0, 0, 5, 5, 1}}));
  EXPECT_EQ(targets.true_objects[0][0], (std::vector<int>{0, 1}));
}

TEST(Assign, NonSquareNetUsesItsOwnRowsAndColumns) {
  const Targets targets = assign({{object(599, 5, 607, 19)}}, yolov3_heads(608, 352, 1));
  for (const Assignment& p : targets.positives) {
    EXPECT_EQ(p.gx, 603 / (8 << p.head));
    EXPECT_EQ(p.gy, 12 / (8 << p.head));
  }
  EXPECT_FALSE(targets.positives.empty());
}

// D7: a centre on the right border labelled the left side of the picture, or crashed.
TEST(Assign, RefusesObjectsWithoutAreaOrOutside) {
  for (const Annotation& bad : {object(10, 10, 10, 20), object(20, 10, 10, 20), object(-30, 10, 10, 20),
                                object(412, 10, 420, 20), object(10, 412, 20, 420), object(NAN, 10, 20, 20)}) {
    EXPECT_THROW(assign({{bad}}, yolov3_heads(416, 416, 1)), Error);
  }
}

// The measures by hand, 20x40 against 10x13, 16x30 and 30x61, centre (44,44), the middle of its cell of stride 8.
TEST(Assign, MeasuresByHand) {
  const std::vector<Head> heads = yolov3_heads(416, 416, 1);
  const Box box = object(34, 24, 54, 64).box;
  EXPECT_DOUBLE_EQ(fit_of_anchor(box, heads[0], 0, AnchorMeasure::shape), 130.0 / 800);
  EXPECT_DOUBLE_EQ(fit_of_anchor(box, heads[0], 0, AnchorMeasure::cell), 130.0 / 800);
  EXPECT_DOUBLE_EQ(fit_of_anchor(box, heads[0], 0, AnchorMeasure::ratio), 13.0 / 40);
  EXPECT_DOUBLE_EQ(fit_of_anchor(box, heads[0], 1, AnchorMeasure::ratio), 30.0 / 40);
  EXPECT_DOUBLE_EQ(fit_of_anchor(box, heads[0], 2, AnchorMeasure::ratio), 23.0 / 40);
  EXPECT_DOUBLE_EQ(fit_of_anchor(box, heads[1], 0, AnchorMeasure::ratio), 40.0 / 61);  // the anchor is the larger one
  // Elsewhere in the cell the shapes are the same, the place is not: 2 to the left, 8 of 10 columns overlap.
  const Box moved = object(37, 40.5, 47, 47.5).box;  // 10x7, centre (42,44)
  EXPECT_DOUBLE_EQ(fit_of_anchor(moved, heads[0], 0, AnchorMeasure::shape), 70.0 / 130);
  EXPECT_DOUBLE_EQ(fit_of_anchor(moved, heads[0], 0, AnchorMeasure::cell), 56.0 / (130 + 70 - 56));
}

// D10: 10x13 in the corner of its cell is the first anchor, whatever its place; 16x30 covers 130/480 of it.
TEST(Assign, ByShapeThePlaceInTheCellDoesNotMatter) {
  for (const float x : {35.0f, 37.0f, 39.0f, 42.9f}) {
    const Targets targets = assign({{object(x, 33.5, x + 10, 46.5)}}, yolov3_heads(416, 416, 1),
                                   {.best_of_all = false, .measure = AnchorMeasure::shape});
    EXPECT_EQ(targets.positives, (std::vector<Assignment>{{0, 0, 0, 5, static_cast<int>(x + 5) / 8, 0}})) << x;
  }
}

// 12x13 overlaps the first anchor by 130/156 and the second by 156/480; both are above 0.3.
TEST(Assign, TheBestAloneOrAllAboveTheThreshold) {
  const std::vector<std::vector<Annotation>> objects = {{object(38, 37.5, 50, 50.5)}};
  const std::vector<Head> heads = yolov3_heads(416, 416, 1);
  EXPECT_EQ(assign(objects, heads).positives, (std::vector<Assignment>{{0, 0, 0, 5, 5, 0}, {0, 0, 1, 5, 5, 0}}));
  const AssignOptions best{.matching = Matching::best, .measure = AnchorMeasure::shape};
  EXPECT_EQ(assign(objects, heads, best).positives, (std::vector<Assignment>{{0, 0, 0, 5, 5, 0}}));
  // Even where none is above it, and whatever best_of_all says.
  const AssignOptions far{.positive_iou = 0.99, .best_of_all = false, .matching = Matching::best};
  EXPECT_EQ(assign(objects, heads, far).positives, (std::vector<Assignment>{{0, 0, 0, 5, 5, 0}}));
}

// 20x40: 3.08 times the sides of 10x13, 1.33 of 16x30, 1.74 of 33x23, and 1/1.525 of 30x61, 3.1 of 62x45, 2.98 of
// 59x119; the last head's are 5.8 times as large and more.
TEST(Assign, ByRatio) {
  const std::vector<std::vector<Annotation>> objects = {{object(34, 24, 54, 64)}};
  const std::vector<Head> heads = yolov3_heads(416, 416, 1);
  const auto anchors = [&](double ratio) {
    std::vector<std::pair<int, int>> found;
    const AssignOptions options{.best_of_all = false, .measure = AnchorMeasure::ratio, .positive_ratio = ratio};
    for (const Assignment& p : assign(objects, heads, options).positives) found.emplace_back(p.head, p.anchor);
    return found;
  };
  using Found = std::vector<std::pair<int, int>>;
  EXPECT_EQ(anchors(4), (Found{{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}, {1, 2}}));
  EXPECT_EQ(anchors(3), (Found{{0, 1}, {0, 2}, {1, 0}, {1, 2}}));
  EXPECT_EQ(anchors(1.5), (Found{{0, 1}}));
  EXPECT_EQ(anchors(1.25), Found{});
  // The ratio itself is not below the ratio: 40x13 against 10x13.
  const AssignOptions four{.best_of_all = false, .measure = AnchorMeasure::ratio, .positive_ratio = 4};
  for (const Assignment& p : assign({{object(24, 37.5, 64, 50.5)}}, heads, four).positives) {
    EXPECT_NE(std::pair(p.head, p.anchor), std::pair(0, 0));
  }
}

// Whose the first two anchors of cell (5,5) of scale 0 are. 10x13 wants the first, 12x13 both.
struct Owners {
  int first = -1, second = -1;
  bool operator==(const Owners&) const = default;
};

Owners owners(const std::vector<Annotation>& objects, CollisionRule rule) {
  Owners owners;
  for (const Assignment& p : assign({objects}, yolov3_heads(416, 416, 1), {.collision = rule}).positives) {
    EXPECT_TRUE(p.head == 0 && p.gy == 5 && p.gx == 5 && p.anchor < 2);
    (p.anchor == 0 ? owners.first : owners.second) = p.object;
  }
  return owners;
}

TEST(Assign, CollisionsByEachRule) {
  const Annotation small = object(39, 37.5, 49, 50.5), wide = object(38, 37.5, 50, 50.5);
  using enum CollisionRule;
  EXPECT_EQ(owners({small, wide}, last), (Owners{1, 1}));
  EXPECT_EQ(owners({small, wide}, first), (Owners{0, 1}));
  EXPECT_EQ(owners({small, wide}, smaller), (Owners{0, 1}));
  EXPECT_EQ(owners({small, wide}, fit), (Owners{0, 1}));
  EXPECT_EQ(owners({small, wide}, CollisionRule::free), (Owners{0, 1}));
  EXPECT_EQ(owners({wide, small}, last), (Owners{1, 0}));
  EXPECT_EQ(owners({wide, small}, first), (Owners{0, 0}));
  EXPECT_EQ(owners({wide, small}, smaller), (Owners{1, 0}));
  EXPECT_EQ(owners({wide, small}, fit), (Owners{1, 0}));
  // The first object has the first anchor, which suits it best. The second is 130/480 of the second anchor: better than
  // none, and it comes before the first one's wish for a second anchor.
  EXPECT_EQ(owners({wide, small}, CollisionRule::free), (Owners{0, 1}));
  // Equals: the last.
  EXPECT_EQ(owners({small, small}, smaller), (Owners{1, -1}));
  EXPECT_EQ(owners({small, small}, fit), (Owners{1, -1}));
  // Smaller is not the same as better: 8x10 is less of the first anchor than 10x13.
  const Annotation tiny = object(40, 39, 48, 49);
  EXPECT_EQ(owners({tiny, small}, smaller), (Owners{0, -1}));
  EXPECT_EQ(owners({small, tiny}, fit), (Owners{0, -1}));
}

// Ten equal objects, nine anchors: each of the first nine gets one, the best that is left.
TEST(Assign, FreeAnchorsGoRoundOnce) {
  const std::vector<Annotation> objects(10, object(39, 37.5, 49, 50.5));
  const std::vector<Head> heads = yolov3_heads(416, 416, 1);
  const Targets targets = assign({objects}, heads, {.collision = CollisionRule::free});
  ASSERT_EQ(targets.positives.size(), 9u);
  std::vector<int> owners;
  for (const Assignment& p : targets.positives) owners.push_back(p.object);
  EXPECT_EQ(owners[0], 0);  // 10x13 itself, then 16x30 with 130/480, then 33x23 with 130/759
  EXPECT_EQ(owners[1], 1);
  EXPECT_EQ(owners[2], 2);
  std::sort(owners.begin(), owners.end());
  EXPECT_EQ(owners, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  // Only anchors above the threshold, when no other may: there is one.
  const Targets strict = assign({objects}, heads, {.best_of_all = false, .collision = CollisionRule::free});
  EXPECT_EQ(strict.positives, (std::vector<Assignment>{{0, 0, 0, 5, 5, 0}}));
}

// Two heads of one anchor each. Both objects want the first; the second is moved to the other head, whose mask then
// sees it too.
TEST(Assign, AMovedObjectIsOneOfItsNewHead) {
  const std::vector<Head> heads = {{0, 1, {{10, 10}}, 1, 8, 8, 8, 8}, {1, 1, {{20, 20}}, 1, 4, 4, 16, 16}};
  const std::vector<Annotation> objects(2, object(31, 31, 41, 41));
  const Targets targets = assign({objects}, heads, {.collision = CollisionRule::free});
  EXPECT_EQ(targets.positives, (std::vector<Assignment>{{0, 0, 0, 4, 4, 0}, {0, 1, 0, 2, 2, 1}}));
  EXPECT_EQ(targets.true_objects[0][0], (std::vector<int>{0, 1}));
  EXPECT_EQ(targets.true_objects[1][0], (std::vector<int>{1}));
  EXPECT_EQ(targets.ignore_objects, targets.true_objects);
}

// D13.
TEST(Assign, TheIgnoreMaskSeesItsOwnObjectsOrAll) {
  const std::vector<std::vector<Annotation>> objects = {{object(39, 37.5, 49, 50.5), object(21.5, 45, 394.5, 371)}, {}};
  const std::vector<Head> heads = yolov3_heads(416, 416, 1);
  const Targets own = assign(objects, heads), all = assign(objects, heads, {.ignore_all = true});
  EXPECT_EQ(own.positives, all.positives);
  EXPECT_EQ(own.true_objects, all.true_objects);
  using Lists = std::vector<std::vector<int>>;
  EXPECT_EQ(own.ignore_objects, (std::vector<Lists>{{{0}, {}}, {{}, {}}, {{1}, {}}}));
  EXPECT_EQ(all.ignore_objects, (std::vector<Lists>{{{0, 1}, {}}, {{0, 1}, {}}, {{0, 1}, {}}}));
}

// Whatever the options: every place once, in order, an object at its own cell, and no object without a place that the
// rules could give it.
TEST(Assign, PromisesOfEveryCombination) {
  Rng rng(11);
  std::vector<std::vector<Annotation>> images(4);
  for (auto& objects : images) {
    for (int i = 0; i < 60; ++i) {
      const auto x = static_cast<float>(rng.uniform(60, 130)), y = static_cast<float>(rng.uniform(60, 130));
      objects.push_back(
          object(x, y, x + static_cast<float>(rng.uniform(3, 180)), y + static_cast<float>(rng.uniform(3, 180))));
    }
  }
  const std::vector<Head> heads = yolov3_heads(416, 416, 1);
  for (const Matching matching : {Matching::threshold, Matching::best}) {
    for (const AnchorMeasure measure : {AnchorMeasure::cell, AnchorMeasure::shape, AnchorMeasure::ratio}) {
      for (int rule = 0; rule <= static_cast<int>(CollisionRule::free); ++rule) {
        const AssignOptions options{.matching = matching, .measure = measure, .collision = CollisionRule{rule}};
        const Targets targets = assign(images, heads, options);
        const auto key = [](const Assignment& p) { return std::tuple(p.image, p.head, p.gy, p.gx, p.anchor); };
        EXPECT_TRUE(std::ranges::is_sorted(targets.positives, std::less_equal<>{}, key));
        std::vector<std::vector<bool>> has(4, std::vector<bool>(60));
        for (const Assignment& p : targets.positives) {
          const Box& box = images[static_cast<size_t>(p.image)][static_cast<size_t>(p.object)].box;
          const Head& head = heads[static_cast<size_t>(p.head)];
          EXPECT_EQ(p.gx, static_cast<int>((double{box.x0} + box.x1) / 2 / head.stride_x));
          EXPECT_EQ(p.gy, static_cast<int>((double{box.y0} + box.y1) / 2 / head.stride_y));
          has[static_cast<size_t>(p.image)][static_cast<size_t>(p.object)] = true;
        }
        if (CollisionRule{rule} != CollisionRule::free) continue;
        for (const auto& image : has) EXPECT_EQ(std::ranges::count(image, true), 60);
      }
    }
  }
}

TEST(Assign, TenThousandObjectsAreFast) {
  Rng rng(7);
  std::vector<Annotation> objects;
  for (int i = 0; i < 10000; ++i) {
    const auto x = static_cast<float>(rng.uniform(0, 400)), y = static_cast<float>(rng.uniform(0, 400));
    objects.push_back(object(x, y, x + 10, y + 14));
  }
  for (const CollisionRule rule : {CollisionRule::last, CollisionRule::free}) {
    const auto start = std::chrono::steady_clock::now();
    const Targets targets = assign({objects}, yolov3_heads(416, 416, 1), {.collision = rule});
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    EXPECT_LT(seconds.count(), 2.0);
    size_t ignored = 0;
    for (const auto& head : targets.true_objects) ignored += head[0].size();
    EXPECT_GE(ignored, objects.size());
  }
}

}  // namespace
}  // namespace yolov3
