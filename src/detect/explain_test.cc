#include "detect/explain.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/rng.h"
#include "net/models.h"

namespace yolov3 {
namespace {

Annotation object(float x, float y, float width, float height, int class_id = 0) {
  return {box_from_center(x, y, width, height), class_id};
}

bool is_at(const Assignment& a, int head, int gy, int gx, int anchor, int which) {
  return a == Assignment{0, head, anchor, gy, gx, which};
}

// 10x13 in the middle of cell (5,5) of stride 8 is the first anchor exactly. 12x13 at the same place overlaps it by
// 130/156; both are below 0.3 with all others: 156/480 = 0.325 of 16x30 is not.
TEST(Explain, CollisionsAndLostObjectsByHand) {
  const std::vector<Head> all = heads(yolov3({.classes = 2}));
  const Explanation e = explain_targets({object(44, 44, 10, 13), object(44, 44, 12, 13, 1)}, all);
  ASSERT_EQ(e.targets.size(), 2u);
  EXPECT_TRUE(is_at(e.targets[0].at, 0, 5, 5, 0, 1));
  EXPECT_NEAR(e.targets[0].iou, 130.0 / 156, 1e-6);
  EXPECT_TRUE(is_at(e.targets[1].at, 0, 5, 5, 1, 1));
  EXPECT_NEAR(e.targets[1].iou, 156.0 / 480, 1e-6);
  ASSERT_EQ(e.collisions.size(), 1u);
  EXPECT_TRUE(is_at(e.collisions[0].kept, 0, 5, 5, 0, 1));
  EXPECT_EQ(e.collisions[0].overwritten, (std::vector<int>{0}));
  EXPECT_EQ(e.lost, (std::vector<int>{0}));
  EXPECT_EQ(e.objects_of_heads, (std::vector<std::vector<int>>{{0, 1}, {}, {}}));
}

TEST(Explain, OnePlaceThreeObjectsNamesAllWhoLost) {
  const std::vector<Head> all = heads(yolov3({.classes = 1}));
  const Explanation e = explain_targets({object(44, 44, 10, 13), object(44, 44, 10, 13), object(44, 44, 10, 13)}, all);
  ASSERT_EQ(e.collisions.size(), 1u);
  EXPECT_EQ(e.collisions[0].kept.object, 2);
  EXPECT_EQ(e.collisions[0].overwritten, (std::vector<int>{0, 1}));
  EXPECT_EQ(e.lost, (std::vector<int>{0, 1}));
}

// 10x13 twice: the second is moved to the second anchor, which overlaps it by 130/480.
TEST(Explain, WithFreeAnchorsTheLaterObjectIsMoved) {
  const std::vector<Head> all = heads(yolov3({.classes = 1}));
  const AssignOptions options{.measure = AnchorMeasure::shape, .collision = CollisionRule::free};
  const Explanation e = explain_targets({object(44, 44, 10, 13), object(44, 44, 10, 13)}, all, options);
  ASSERT_EQ(e.targets.size(), 2u);
  EXPECT_TRUE(is_at(e.targets[0].at, 0, 5, 5, 0, 0));
  EXPECT_FALSE(e.targets[0].moved);
  EXPECT_TRUE(is_at(e.targets[1].at, 0, 5, 5, 1, 1));
  EXPECT_TRUE(e.targets[1].moved);
  EXPECT_NEAR(e.targets[1].fit, 130.0 / 480, 1e-6);
  ASSERT_EQ(e.collisions.size(), 1u);
  EXPECT_TRUE(is_at(e.collisions[0].kept, 0, 5, 5, 0, 0));
  EXPECT_EQ(e.collisions[0].overwritten, (std::vector<int>{1}));
  EXPECT_TRUE(e.lost.empty());
}

TEST(Explain, FirstAndSmallerCollisionsNameWhoHasThePlace) {
  const std::vector<Head> all = heads(yolov3({.classes = 1}));
  const std::vector<Annotation> objects = {object(44, 44, 10, 13), object(44, 44, 12, 13)};
  for (const CollisionRule rule : {CollisionRule::first, CollisionRule::smaller, CollisionRule::fit}) {
    const Explanation e = explain_targets(objects, all, {.collision = rule});
    ASSERT_EQ(e.collisions.size(), 1u);
    EXPECT_EQ(e.collisions[0].kept.object, 0);
    EXPECT_EQ(e.collisions[0].overwritten, (std::vector<int>{1}));
    EXPECT_TRUE(e.lost.empty()) << "the wide one has the second anchor";
  }
}

// `fit` is by the measure that was asked for, `iou` always that of the cell: 10x13 in the corner of its cell.
TEST(Explain, FitAndIou) {
  const std::vector<Head> all = heads(yolov3({.classes = 1}));
  const Explanation e = explain_targets({object(40, 40, 10, 13)}, all, {.measure = AnchorMeasure::ratio});
  ASSERT_FALSE(e.targets.empty());
  EXPECT_TRUE(is_at(e.targets[0].at, 0, 5, 5, 0, 0));
  EXPECT_DOUBLE_EQ(e.targets[0].fit, 1);
  EXPECT_DOUBLE_EQ(e.targets[0].iou, 6.0 * 9 / (130 + 130 - 54));  // 4 of 10 and 4 of 13 stick out
}

TEST(Explain, NoObjectsNoTargets) {
  const Explanation e = explain_targets({}, heads(yolov3({.classes = 1})));
  EXPECT_TRUE(e.targets.empty() && e.collisions.empty() && e.lost.empty());
  EXPECT_EQ(e.objects_of_heads.size(), 3u);
}

// One head of one anchor 32x32 over 3 x 2 cells of 32 pixels, two classes. All logits 0: every cell answers with its
// middle, 32x32, objectness and classes 1/2.
struct OneHead {
  std::vector<Head> heads = {{0, 2, {{32, 32}}, 1, 2, 3, 32, 32}};
  Tensor raw{{1, 7, 2, 3}};
  std::vector<RawMap> maps() const { return {view_of(raw)}; }
};

TEST(Explain, AnswersByHand) {
  OneHead one;
  one.raw.at(0, 0, 0, 1) = 1;   // x of cell (0,1): sigmoid(1) * 32 = 23.393893 into the cell
  one.raw.at(0, 4, 0, 1) = 2;   // objectness sigmoid(2) = 0.880797
  one.raw.at(0, 6, 0, 1) = -1;  // class 1: sigmoid(-1) = 0.268941
  const std::vector<Annotation> objects = {object(48, 16, 32, 32, 1)};
  const Explanation e = explain_targets(objects, one.heads);
  ASSERT_EQ(e.targets.size(), 1u);
  const Answers answers = explain_answers(one.maps(), one.heads, objects, e);
  ASSERT_EQ(answers.of_targets.size(), 1u);
  const Answer& answer = answers.of_targets[0];
  EXPECT_NEAR(answer.box.center_x(), 32 + 23.393893, 1e-4);
  EXPECT_NEAR(answer.box.width(), 32, 1e-4);
  EXPECT_NEAR(answer.objectness, 0.880797, 1e-6);
  EXPECT_EQ(answer.best_class, 0);
  EXPECT_NEAR(answer.best_class_probability, 0.5, 1e-6);
  EXPECT_NEAR(answer.true_class_probability, 0.268941, 1e-6);
  EXPECT_NEAR(answer.iou, (32 - 7.393893) / (32 + 7.393893), 1e-6);
}

// An object of 64x32 over cells (0,0) and (0,1), its centre in (0,1): both predictions overlap it by exactly a half,
// one is its target, the other is ignored. With a limit above a half none is.
TEST(Explain, IgnoredPredictionsByHand) {
  const OneHead one;
  const std::vector<Annotation> objects = {{{0, 0, 64, 32}, 0}};
  const Explanation e = explain_targets(objects, one.heads);
  ASSERT_EQ(e.targets.size(), 1u);
  EXPECT_TRUE(is_at(e.targets[0].at, 0, 0, 1, 0, 0));
  const Answers answers = explain_answers(one.maps(), one.heads, objects, e, 0.5);
  ASSERT_EQ(answers.ignored.size(), 1u);
  EXPECT_EQ(answers.ignored[0].gx, 0);
  EXPECT_EQ(answers.ignored[0].object, 0);
  EXPECT_DOUBLE_EQ(answers.ignored[0].iou, 0.5);
  EXPECT_TRUE(explain_answers(one.maps(), one.heads, objects, e, 0.51).ignored.empty());
  EXPECT_THROW(explain_answers({}, one.heads, objects, e), Error);
}

// Two heads, the object is the first one's alone. All logits 0, so the second head's box of cell (0,0) is its anchor,
// which covers a quarter of the object and no more: ignored only if the mask sees all objects.
TEST(Explain, IgnoredByObjectsOfOtherHeads) {
  const std::vector<Head> two = {{0, 1, {{32, 32}}, 1, 2, 2, 32, 32}, {1, 1, {{64, 64}}, 1, 1, 1, 64, 64}};
  const Tensor fine{{1, 6, 2, 2}}, coarse{{1, 6, 1, 1}};
  const std::vector<RawMap> maps = {view_of(fine), view_of(coarse)};
  const std::vector<Annotation> objects = {object(16, 16, 32, 32)};
  const auto ignored = [&](bool all) {
    const Explanation e = explain_targets(objects, two, {.ignore_all = all});
    EXPECT_EQ(e.objects_of_heads, (std::vector<std::vector<int>>{{0}, {}}));
    return explain_answers(maps, two, objects, e, 0.25).ignored;
  };
  EXPECT_TRUE(ignored(false).empty());
  const std::vector<IgnoredPrediction> seen = ignored(true);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].head, 1);
  EXPECT_DOUBLE_EQ(seen[0].iou, 0.25);
}

}  // namespace
}  // namespace yolov3
