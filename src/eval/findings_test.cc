#include "eval/findings.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "eval/metrics.h"

namespace yolov3 {
namespace {

TruthBox truth(ExactBox box, int class_id) { return {box, class_id, false, false, box.area()}; }
ScoredBox answer(ExactBox box, int class_id, double score) { return {box, class_id, score}; }

Findings find(const std::vector<TruthBox>& objects, const std::vector<ScoredBox>& detections, int classes = 2,
              const FindingsOptions& options = {}) {
  FindingsBuilder builder(classes, options);
  builder.add(objects, detections);
  return builder.finish();
}

const ExactBox kHere{0, 0, 10, 10}, kThere{100, 100, 10, 10};
constexpr int kNothing = 2;  // the background of two classes

TEST(Findings, RightWrongMissedAndInvented) {
  const Findings f = find({truth(kHere, 0), truth(kThere, 1), truth({50, 0, 10, 10}, 1)},
                          {answer(kHere, 0, 0.9), answer(kThere, 0, 0.8), answer({200, 0, 10, 10}, 1, 0.7)});
  EXPECT_EQ(f.confusion.background(), kNothing);
  EXPECT_EQ(f.confusion.at(0, 0), 1);
  EXPECT_EQ(f.confusion.at(1, 0), 1);
  EXPECT_EQ(f.confusion.at(1, kNothing), 1);
  EXPECT_EQ(f.confusion.at(kNothing, 1), 1);
  int64_t sum = 0;
  for (int i = 0; i <= 2; ++i) {
    for (int j = 0; j <= 2; ++j) sum += f.confusion.at(i, j);
  }
  EXPECT_EQ(sum, 4);  // and nothing else

  ASSERT_EQ(f.misses.size(), 2u);  // both with score 0 and as large: in order
  EXPECT_EQ(f.misses[0].kind, MissKind::wrong_class);
  ASSERT_TRUE(f.misses[0].answer.has_value());
  EXPECT_EQ(f.misses[0].answer->class_id, 0);
  EXPECT_EQ(f.misses[0].box, kThere);
  EXPECT_EQ(f.misses[1].kind, MissKind::unseen);
  EXPECT_FALSE(f.misses[1].answer.has_value());
  ASSERT_EQ(f.false_alarms.size(), 2u);
  EXPECT_EQ(f.false_alarms[0].kind, AlarmKind::wrong_class);
  EXPECT_EQ(f.false_alarms[0].object.value().class_id, 1);
  EXPECT_EQ(f.false_alarms[1].kind, AlarmKind::background);
  EXPECT_FALSE(f.false_alarms[1].object.has_value());
  EXPECT_EQ(f.miss_kinds, (std::array<int64_t, 3>{1, 0, 1}));
  EXPECT_EQ(f.alarm_kinds, (std::array<int64_t, 4>{1, 0, 0, 1}));
}

TEST(Findings, TheWorkingPointIsIncluded) {
  // 10x10 on 10x5: IoU 0.5 to the bit.
  EXPECT_EQ(find({truth(kHere, 0)}, {answer({0, 0, 10, 5}, 0, 0.25)}).confusion.at(0, 0), 1);
  const Findings too_low = find({truth(kHere, 0)}, {answer(kHere, 0, 0.2499)});
  EXPECT_EQ(too_low.confusion.at(0, kNothing), 1);
  EXPECT_TRUE(too_low.false_alarms.empty());
  ASSERT_EQ(too_low.misses.size(), 1u);
  EXPECT_EQ(too_low.misses[0].score, 0.2499);  // it was seen, but not surely enough
  EXPECT_EQ(too_low.misses[0].kind, MissKind::unseen);
}

TEST(Findings, BestScoreFirstWhateverTheClass) {
  // Class 1 is surer and takes the object; class 0, which is right, comes too late.
  const Findings f = find({truth(kHere, 0)}, {answer(kHere, 0, 0.6), answer(kHere, 1, 0.7)});
  EXPECT_EQ(f.confusion.at(0, 1), 1);
  EXPECT_EQ(f.confusion.at(kNothing, 0), 1);
  EXPECT_EQ(f.confusion.at(0, 0), 0);
  ASSERT_EQ(f.false_alarms.size(), 2u);
  EXPECT_EQ(f.false_alarms[0].class_id, 1);
  EXPECT_EQ(f.false_alarms[0].kind, AlarmKind::wrong_class);
  EXPECT_EQ(f.false_alarms[1].kind, AlarmKind::duplicate);
  ASSERT_EQ(f.misses.size(), 1u);
  EXPECT_EQ(f.misses[0].answer.value().class_id, 1);
  EXPECT_EQ(f.misses[0].score, 0.6);
}

TEST(Findings, ItsOwnClassGoesBeforeALargerOverlap) {
  // The answer of class 0 overlaps the object of class 1 wholly, that of its own class by 80/100.
  const Findings f =
      find({truth(kHere, 1), truth({0, 0, 10, 8}, 0)}, {answer(kHere, 0, 0.9), answer({0, 0, 10, 9}, 1, 0.8)});
  EXPECT_EQ(f.confusion.at(0, 0), 1);
  EXPECT_EQ(f.confusion.at(1, 1), 1);
  EXPECT_TRUE(f.misses.empty());
  EXPECT_TRUE(f.false_alarms.empty());
}

TEST(Findings, TheLargerOverlapOfOneClassIsTaken) {
  const Findings f = find({truth({0, 0, 10, 7}, 0), truth({0, 0, 10, 9}, 0)}, {answer(kHere, 0, 0.9)});
  ASSERT_EQ(f.misses.size(), 1u);
  EXPECT_EQ(f.misses[0].box, (ExactBox{0, 0, 10, 7}));
}

TEST(Findings, LooseAndDuplicate) {
  // 4x10 of 10x10: IoU 0.4; the second of two on one object.
  const Findings f = find({truth(kHere, 0), truth(kThere, 1)},
                          {answer({0, 0, 4, 10}, 0, 0.9), answer(kThere, 1, 0.8), answer({100, 100, 10, 9}, 1, 0.7)});
  ASSERT_EQ(f.false_alarms.size(), 2u);
  EXPECT_EQ(f.false_alarms[0].kind, AlarmKind::loose);
  EXPECT_DOUBLE_EQ(f.false_alarms[0].overlap, 0.4);
  EXPECT_EQ(f.false_alarms[1].kind, AlarmKind::duplicate);
  EXPECT_DOUBLE_EQ(f.false_alarms[1].overlap, 0.9);
  ASSERT_EQ(f.misses.size(), 1u);
  EXPECT_EQ(f.misses[0].kind, MissKind::loose);
  EXPECT_DOUBLE_EQ(f.misses[0].overlap, 0.4);
  EXPECT_EQ(f.misses[0].score, 0);  // nothing with the IoU
  EXPECT_EQ(f.misses[0].answer.value().box, (ExactBox{0, 0, 4, 10}));
  EXPECT_EQ(f.false_alarms[0].object.value().box, kHere);
  // Under 0.1 the two have nothing to do with each other.
  const Findings far = find({truth(kHere, 0)}, {answer({0, 0, 10, 0.9}, 0, 0.9)});
  EXPECT_EQ(far.false_alarms.at(0).kind, AlarmKind::background);
  EXPECT_EQ(far.misses.at(0).kind, MissKind::unseen);
}

TEST(Findings, AnAnswerOnATakenObjectOfAnotherClassIsOfTheWrongClass) {
  const Findings f = find({truth(kHere, 0)}, {answer(kHere, 0, 0.9), answer(kHere, 1, 0.8)});
  EXPECT_EQ(f.confusion.at(0, 0), 1);
  EXPECT_EQ(f.confusion.at(kNothing, 1), 1);
  ASSERT_EQ(f.false_alarms.size(), 1u);
  EXPECT_EQ(f.false_alarms[0].kind, AlarmKind::wrong_class);
  EXPECT_EQ(f.false_alarms[0].object.value().class_id, 0);
}

TEST(Findings, DifficultAndCrowdCountForNothing) {
  TruthBox difficult = truth(kHere, 0), crowd = truth({100, 100, 100, 100}, 0);
  difficult.difficult = true;
  crowd.crowd = true;
  const std::vector<TruthBox> objects = {difficult, crowd};
  const Findings unfound = find(objects, {});
  EXPECT_TRUE(unfound.misses.empty());
  EXPECT_EQ(unfound.sizes.objects, SizeCounts().objects);
  const Findings found = find(objects, {answer(kHere, 0, 0.9), answer({120, 120, 5, 5}, 0, 0.9)});
  EXPECT_TRUE(found.false_alarms.empty());
  EXPECT_EQ(found.confusion.at(kNothing, 0), 0);
  // Another class on them is an invention.
  EXPECT_EQ(find(objects, {answer(kHere, 1, 0.9)}).confusion.at(kNothing, 1), 1);
}

TEST(Findings, SizesAreOfTheNetworksInput) {
  FindingsBuilder builder(1, {});
  builder.add(std::vector{truth({0, 0, 7.9, 7.9}, 0), truth({20, 0, 8, 8}, 0), truth({50, 0, 16, 4}, 0)},
              std::vector{answer({20, 0, 8, 8}, 0, 0.5)});
  builder.add(std::vector{truth({0, 0, 8, 8}, 0), truth({0, 100, 400, 400}, 0)}, {}, 2.0);  // 16 and 800 px
  const SizeCounts sizes = builder.finish().sizes;
  EXPECT_EQ(sizes.objects, (std::array<int64_t, 8>{1, 2, 1, 0, 0, 0, 0, 1}));
  EXPECT_EQ(sizes.found, (std::array<int64_t, 8>{0, 1, 0, 0, 0, 0, 0, 0}));
}

TEST(Findings, WorstFirstAndNoMoreThanAsked) {
  FindingsOptions options;
  options.listed = 2;
  FindingsBuilder builder(1, options);
  // Picture 0: an object seen at 0.1; picture 1: two not seen at all, the larger is the worse; alarms 0.5, 0.9, 0.7.
  builder.add(std::vector{truth(kHere, 0)}, std::vector{answer(kHere, 0, 0.1), answer(kThere, 0, 0.5)});
  builder.add(std::vector{truth(kHere, 0), truth({30, 0, 20, 20}, 0)},
              std::vector{answer(kThere, 0, 0.9), answer({200, 200, 3, 3}, 0, 0.7)});
  const Findings f = builder.finish();
  ASSERT_EQ(f.misses.size(), 2u);
  EXPECT_EQ(f.misses[0].box, (ExactBox{30, 0, 20, 20}));
  EXPECT_EQ(f.misses[0].picture, 1);
  EXPECT_EQ(f.misses[1].box, kHere);
  EXPECT_EQ(f.misses[1].picture, 1);
  ASSERT_EQ(f.false_alarms.size(), 2u);
  EXPECT_EQ(f.false_alarms[0].score, 0.9);
  EXPECT_EQ(f.false_alarms[1].score, 0.7);
  EXPECT_EQ(f.miss_kinds[0], 3);
  EXPECT_EQ(f.alarm_kinds[0], 3);
}

// What is cut meanwhile to save memory must not change what is kept.
TEST(Findings, TheWorstOfManyPictures) {
  FindingsOptions options;
  options.listed = 1;
  FindingsBuilder builder(1, options);
  for (int i = 0; i < 1000; ++i) {
    const double score = i == 777 ? 0.99 : 0.5;
    builder.add(std::vector{truth({0, 0, i == 333 ? 50.0 : 10.0, 10}, 0)}, std::vector{answer(kThere, 0, score)});
  }
  const Findings f = builder.finish();
  ASSERT_EQ(f.misses.size(), 1u);
  EXPECT_EQ(f.misses[0].picture, 333);
  ASSERT_EQ(f.false_alarms.size(), 1u);
  EXPECT_EQ(f.false_alarms[0].picture, 777);
  EXPECT_EQ(f.confusion.at(0, 1), 1000);
}

TEST(Evaluator, FindsWithTheScaleOfEachPicture) {
  Evaluator evaluator(1);
  evaluator.add({{{0, 0, 10, 10}, 0, false, false, 100}}, {});
  const std::vector<double> pixels = {4.0};
  EXPECT_EQ(evaluator.find({}, pixels).sizes.objects[3], 1);  // 40 px
  EXPECT_EQ(evaluator.find().sizes.objects[1], 1);            // 10 px
  const std::vector<double> too_many = {1.0, 1.0};
  EXPECT_THROW(evaluator.find({}, too_many), Error);
}

}  // namespace
}  // namespace yolov3
