#include "eval/class_curves.h"

#include <gtest/gtest.h>

#include <cmath>

#include "eval/metrics.h"

namespace yolov3 {
namespace {

Annotation object(Box box, int class_id = 0) { return {box, class_id, false, false, box.area()}; }

// Right 0.75, wrong 0.5, right 0.25; three objects. Scores that are exact in binary, so that "at least" is exact too.
Metrics three_objects() {
  Evaluator evaluator(2);
  const Box a{0, 0, 10, 10}, b{20, 0, 30, 10}, c{40, 0, 50, 10};
  evaluator.add({object(a), object(b), object(c)}, {{{60, 60, 70, 70}, 0, 0.5f}, {b, 0, 0.25f}, {a, 0, 0.75f}});
  return evaluator.compute();
}

TEST(ClassCurves, AgainstTheScoreByHand) {
  const ClassCurves curves = three_objects().classes[0].curves;
  EXPECT_EQ(curves.objects, 3);
  const auto expect_counts = [&](size_t point, int64_t right, int64_t wrong) {
    EXPECT_EQ(curves.right[point], right) << point;
    EXPECT_EQ(curves.wrong[point], wrong) << point;
  };
  expect_counts(0, 2, 1);
  expect_counts(25, 2, 1);  // 0.25 is at least 0.25
  expect_counts(26, 1, 1);
  expect_counts(50, 1, 1);
  expect_counts(51, 1, 0);
  expect_counts(75, 1, 0);
  expect_counts(76, 0, 0);
  expect_counts(100, 0, 0);
  EXPECT_DOUBLE_EQ(curves.precision(0), 2.0 / 3);
  EXPECT_DOUBLE_EQ(curves.recall(0), 2.0 / 3);
  EXPECT_DOUBLE_EQ(curves.f1(0), 4.0 / 6);   // 2 right, 3 said, 3 there
  EXPECT_DOUBLE_EQ(curves.f1(50), 2.0 / 5);  // 1 right, 2 said, 3 there
  EXPECT_DOUBLE_EQ(curves.precision(60), 1);
  EXPECT_TRUE(std::isnan(curves.precision(76)));  // nothing was said
  EXPECT_EQ(curves.recall(76), 0);
  EXPECT_EQ(curves.f1(76), 0);
}

// Precision 1 up to recall 1/3, then 2/3 (2 right of 3) up to 2/3, then nothing: 34, 33 and 34 points.
TEST(ClassCurves, AgainstRecallByHandAndItsMeanIsAp50) {
  const ClassMetrics judged = three_objects().classes[0];
  const std::vector<double>& points = judged.curves.precision_at_recall;
  ASSERT_EQ(points.size(), 101u);
  for (size_t i = 0; i <= 100; ++i) EXPECT_NEAR(points[i], i <= 33 ? 1 : i <= 66 ? 2.0 / 3 : 0, 1e-12) << i;
  EXPECT_NEAR(*judged.ap50, (34 + 33 * 2.0 / 3) / 101, 1e-12);
}

TEST(ClassCurves, WithoutTruthThereIsNoRecall) {
  Evaluator evaluator(1);
  evaluator.add({}, {{{0, 0, 5, 5}, 0, 0.5f}});
  const ClassCurves curves = evaluator.compute().classes[0].curves;
  EXPECT_TRUE(curves.precision_at_recall.empty());
  EXPECT_TRUE(std::isnan(curves.recall(0)));
  EXPECT_TRUE(std::isnan(curves.f1(0)));
  EXPECT_EQ(curves.precision(0), 0);
  EXPECT_EQ(curves.wrong[50], 1);
}

ClassCurves flat(int64_t objects, int64_t right, int64_t wrong, size_t up_to) {
  ClassCurves curves;
  curves.objects = objects;
  for (size_t i = 0; i <= up_to; ++i) curves.right[i] = right, curves.wrong[i] = wrong;
  if (objects > 0)
    curves.precision_at_recall.assign(kCurvePoints, static_cast<double>(right) / static_cast<double>(objects));
  return curves;
}

TEST(MeanCurves, EachClassWithTruthCountsTheSame) {
  // 1 of 1 up to score 0.6; 50 of 100 with 50 wrong up to 0.4; a class without truth that must not matter.
  const std::vector<ClassCurves> classes = {flat(1, 1, 0, 60), flat(100, 50, 50, 40), flat(0, 0, 7, 100)};
  const MeanCurves mean = mean_curves(classes);
  EXPECT_DOUBLE_EQ(mean.precision[40], 0.75);  // 1 and 1/2
  EXPECT_DOUBLE_EQ(mean.recall[40], 0.75);
  EXPECT_DOUBLE_EQ(mean.f1[40], 0.75);      // 1 and 100/200
  EXPECT_DOUBLE_EQ(mean.precision[41], 1);  // only the first says anything there
  EXPECT_DOUBLE_EQ(mean.recall[41], 0.5);
  EXPECT_DOUBLE_EQ(mean.f1[41], 0.5);
  EXPECT_TRUE(std::isnan(mean.precision[61]));
  EXPECT_EQ(mean.recall[61], 0);
  EXPECT_EQ(mean.best, 40u);
  EXPECT_DOUBLE_EQ(mean.precision_at_recall.at(50), 0.75);
  EXPECT_TRUE(mean_curves(std::vector{flat(0, 0, 7, 100)}).precision_at_recall.empty());
  EXPECT_TRUE(std::isnan(mean_curves({}).f1[0]));
}

TEST(Reliability, BinsAndErrorByHand) {
  VocClass judged;
  judged.detections = {{1.0, true}, {0.96875, true}, {0.5, true}, {0.53125, false}, {0.25, false}, {0.125, false}};
  Reliability reliability;
  reliability.add(judged);
  EXPECT_EQ(reliability.bins[19].detections, 2);  // 1 belongs to the last bin
  EXPECT_EQ(reliability.bins[19].right, 2);
  EXPECT_EQ(reliability.bins[10].detections, 2);  // 0.5 begins its bin
  EXPECT_EQ(reliability.bins[10].right, 1);
  EXPECT_DOUBLE_EQ(reliability.bins[10].score_sum, 1.03125);
  EXPECT_EQ(reliability.bins[5].detections, 1);
  EXPECT_EQ(reliability.bins[2].detections, 1);
  // |2 - 1.96875| + |1 - 1.03125| + |0 - 0.25| over the five detections from 0.25 on
  EXPECT_DOUBLE_EQ(reliability.expected_error(), (0.03125 + 0.03125 + 0.25) / 5);
  EXPECT_EQ(Reliability().expected_error(), 0);
}

}  // namespace
}  // namespace yolov3
