#include "data/check_boxes.h"

#include <gtest/gtest.h>

#include <limits>

#include "data/test_folder.h"

namespace yolov3 {
namespace {

const std::vector<std::string> kNames = {"cat", "dog"};

StatedBox stated(double x0, double y0, double x1, double y1, int64_t class_id = 0) {
  StatedBox box;
  box.x0 = x0, box.y0 = y0, box.x1 = x1, box.y1 = y1, box.class_id = class_id, box.line = 7;
  return box;
}

struct Outcome {
  std::vector<Annotation> kept;
  DefectReport report;
};

// In a picture of 100x80.
Outcome check_in(BadDataPolicy policy, std::vector<StatedBox> boxes, bool voc = false) {
  StatedPicture picture;
  picture.file = "t.txt";
  picture.voc_corners = voc;
  picture.boxes = std::move(boxes);
  Outcome outcome;
  DefectSink sink(policy, outcome.report);
  outcome.kept = check_boxes(picture, 100, 80, kNames, sink);
  return outcome;
}

TEST(CheckBoxes, D4GoodBoxesStayTheFloatsTheyAre) {
  const Outcome outcome = check_in(BadDataPolicy::error, {stated(10.25, 20.5, 30.125, 40.75, 1)});
  ASSERT_EQ(outcome.kept.size(), 1u);
  EXPECT_EQ(outcome.kept[0].box, (Box{10.25f, 20.5f, 30.125f, 40.75f}));
  EXPECT_EQ(outcome.kept[0].class_id, 1);
  EXPECT_EQ(outcome.kept[0].area, 19.875f * 20.25f);
}

TEST(CheckBoxes, VocCornersCountFromOneInclusive) {
  const Outcome outcome = check_in(BadDataPolicy::error, {stated(1, 1, 100, 80), stated(11, 21, 30, 40)}, true);
  ASSERT_EQ(outcome.kept.size(), 2u);
  EXPECT_EQ(outcome.kept[0].box, (Box{0, 0, 100, 80}));
  EXPECT_EQ(outcome.kept[1].box, (Box{10, 20, 30, 40}));
}

struct Case {
  StatedBox box;
  const char* reason;
  bool repairable;
  Box repaired;
};

TEST(CheckBoxes, D7D8EveryDefectByItsReason) {
  const double huge = std::numeric_limits<double>::max();
  const std::vector<Case> cases = {
      {stated(30, 20, 10, 40), "inverted box", true, {10, 20, 30, 40}},
      {stated(10, 40, 30, 20), "inverted box", true, {10, 20, 30, 40}},
      {stated(10, 20, 10, 40), "zero-area box", false, {}},
      {stated(10, 20, 30, 20), "zero-area box", false, {}},
      {stated(100, 20, 120, 40), "box outside image", false, {}},
      {stated(-20, 20, 0, 40), "box outside image", false, {}},
      {stated(10, 80, 20, 90), "box outside image", false, {}},
      {stated(90, 20, 102, 40), "box exceeds image", true, {90, 20, 100, 40}},
      {stated(-3, -3, 10, 10), "box exceeds image", true, {0, 0, 10, 10}},
      {stated(-huge, -huge, huge, huge), "box exceeds image", true, {0, 0, 100, 80}},
      {stated(10, 20, 30, 40, 2), "wrong class", false, {}},
      {stated(10, 20, 30, 40, -1), "wrong class", false, {}},
      {stated(10, 20, 30, 40, std::numeric_limits<int64_t>::max()), "wrong class", false, {}},
  };
  for (const Case& one : cases) {
    const Outcome skipped = check_in(BadDataPolicy::skip, {one.box});
    EXPECT_TRUE(skipped.kept.empty()) << one.reason;
    ASSERT_EQ(skipped.report.defects.size(), 1u) << one.reason;
    EXPECT_EQ(skipped.report.defects[0].reason, one.reason);
    EXPECT_EQ(skipped.report.defects[0].where, "t.txt:7");
    EXPECT_FALSE(skipped.report.defects[0].repaired || skipped.report.defects[0].image);

    const Outcome repaired = check_in(BadDataPolicy::repair, {one.box});
    ASSERT_EQ(repaired.report.defects.size(), 1u) << one.reason;
    EXPECT_EQ(repaired.report.defects[0].repaired, one.repairable) << one.reason;
    ASSERT_EQ(repaired.kept.size(), one.repairable ? 1u : 0u) << one.reason;
    for (const Annotation& object : repaired.kept) EXPECT_EQ(object.box, one.repaired) << one.reason;

    const std::string message = error_of([&] { check_in(BadDataPolicy::error, {one.box}); });
    EXPECT_TRUE(contains(message, std::string("t.txt:7: ") + one.reason));
  }
}

TEST(CheckBoxes, OnePixelOverTheBorderIsAConventionNotADefect) {
  const Outcome outcome = check_in(BadDataPolicy::error, {stated(-1, -1, 101, 81), stated(90, 70, 101, 80.5)});
  ASSERT_EQ(outcome.kept.size(), 2u);
  EXPECT_EQ(outcome.kept[0].box, (Box{0, 0, 100, 80}));
  EXPECT_EQ(outcome.kept[1].box, (Box{90, 70, 100, 80}));
  EXPECT_EQ(check_in(BadDataPolicy::skip, {stated(90, 70, 101.01, 80)}).kept.size(), 0u);
}

TEST(CheckBoxes, NearlyTheSamePlaceIsReportedAndOnlyRepairTakesItAway) {
  // 20x20 moved by 1 px: 19*20 / (2*400 - 380) = 0.905; by 3 px: 340 / 460 = 0.739.
  const std::vector<StatedBox> doubled = {stated(10, 10, 30, 30), stated(11, 10, 31, 30)};
  for (const BadDataPolicy policy : {BadDataPolicy::skip, BadDataPolicy::error}) {
    const Outcome outcome = check_in(policy, doubled);
    EXPECT_EQ(outcome.kept.size(), 2u);
    EXPECT_EQ(outcome.report.counts(), (std::map<std::string, int64_t>{{"doubled box", 1}}));
    EXPECT_TRUE(outcome.report.defects[0].kept);
  }
  EXPECT_EQ(check_in(BadDataPolicy::repair, doubled).kept.size(), 1u);
  const Outcome neighbours = check_in(BadDataPolicy::repair, {stated(10, 10, 30, 30), stated(13, 10, 33, 30)});
  EXPECT_EQ(neighbours.kept.size(), 2u);
  EXPECT_TRUE(neighbours.report.defects.empty());
}

TEST(CheckBoxes, DuplicatesOfTheSameClassOnly) {
  const std::vector<StatedBox> boxes = {stated(1, 2, 3, 4, 0), stated(1, 2, 3, 4, 1), stated(1, 2, 3, 4, 0)};
  const Outcome skipped = check_in(BadDataPolicy::skip, boxes);
  EXPECT_EQ(skipped.kept.size(), 2u);
  EXPECT_EQ(skipped.report.counts(), (std::map<std::string, int64_t>{{"duplicate box", 1}}));
  EXPECT_FALSE(skipped.report.defects[0].repaired);
  const Outcome repaired = check_in(BadDataPolicy::repair, boxes);
  EXPECT_EQ(repaired.kept.size(), 2u);
  EXPECT_TRUE(repaired.report.defects[0].repaired);
}

TEST(CheckBoxes, UnreadableAndUnknownNamesSayWhatWasFound) {
  StatedBox unreadable = stated(0, 0, 0, 0);
  unreadable.unreadable = true;
  unreadable.problem = "found \"x\"";
  StatedBox misspelt = stated(1, 2, 3, 4, -1);
  misspelt.problem = "dgo";
  const Outcome outcome = check_in(BadDataPolicy::repair, {unreadable, misspelt});
  ASSERT_EQ(outcome.report.defects.size(), 2u);
  EXPECT_EQ(outcome.report.defects[0].reason, "unreadable box");
  EXPECT_EQ(outcome.report.defects[1].reason, "wrong class");
  EXPECT_TRUE(contains(outcome.report.defects[1].detail, "\"dgo\""));
  EXPECT_TRUE(contains(outcome.report.defects[1].detail, "did you mean \"dog\""));
}

DefectReport left_out(int64_t boxes, int64_t boxes_seen, int64_t pictures, int64_t pictures_seen) {
  DefectReport report;
  report.boxes_seen = boxes_seen;
  report.images_seen = pictures_seen;
  for (int64_t i = 0; i < boxes; ++i) report.defects.push_back({"zero-area box", "t:1", "d", false, false});
  for (int64_t i = 0; i < pictures; ++i) report.defects.push_back({"missing image", "t:2", "d", true, false});
  return report;
}

TEST(CheckLimits, MoreThanFivePercentAndMoreThanOne) {
  EXPECT_NO_THROW(check_limits(left_out(5, 100, 0, 10), "d"));
  EXPECT_THROW(check_limits(left_out(6, 100, 0, 10), "d"), Error);
  EXPECT_NO_THROW(check_limits(left_out(1, 2, 1, 3), "d"));
  EXPECT_THROW(check_limits(left_out(1, 1, 0, 3), "d"), Error);  // nothing is left
  EXPECT_THROW(check_limits(left_out(0, 9, 1, 1), "d"), Error);
  EXPECT_NO_THROW(check_limits(left_out(0, 0, 0, 3), "d"));  // nothing but backgrounds
  EXPECT_THROW(check_limits(left_out(0, 100, 2, 39), "d"), Error);
  EXPECT_NO_THROW(check_limits(left_out(0, 100, 2, 40), "d"));
  DefectReport repaired = left_out(50, 100, 0, 10);
  for (Defect& defect : repaired.defects) defect.repaired = true;
  EXPECT_NO_THROW(check_limits(repaired, "d"));
  try {
    check_limits(left_out(6, 100, 0, 10), "d.txt");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::bad_data);
    EXPECT_TRUE(contains(error.what(), "zero-area box"));
    EXPECT_TRUE(contains(error.what(), "--bad-data repair"));
  }
}

TEST(CheckBoxes, PixelsWhereSharesBelongAreCalledThat) {
  StatedPicture picture;
  picture.file = "a.txt";
  picture.relative = true;
  picture.boxes = {stated(295, 210, 345, 270)};  // `0 320 240 50 60`: the corners of a box in pixels
  DefectReport report;
  DefectSink sink(BadDataPolicy::skip, report);
  EXPECT_TRUE(check_boxes(picture, 100, 80, {"cat", "dog"}, sink).empty());
  ASSERT_EQ(report.defects.size(), 1u);
  EXPECT_EQ(report.defects[0].reason, "box outside image");
  EXPECT_TRUE(contains(report.defects[0].detail, "are these pixels?"));
  // A share of 1.2 is a slip of the hand, not another unit.
  picture.boxes = {stated(1.1, 0.1, 1.2, 0.2)};
  check_boxes(picture, 100, 80, {"cat", "dog"}, sink);
  EXPECT_EQ(report.defects.back().detail.find("pixels"), std::string::npos);
}

TEST(CheckBoxes, ACopySaysWhereTheFirstOneIs) {
  const Outcome outcome = check_in(BadDataPolicy::skip, {stated(10, 10, 30, 30), stated(11, 10, 31, 30)});
  ASSERT_EQ(outcome.report.defects.size(), 1u);
  EXPECT_EQ(outcome.report.defects[0].box_image, (Box{11, 10, 31, 30}));
  EXPECT_EQ(outcome.report.defects[0].other_image, (Box{10, 10, 30, 30}));
}

TEST(CheckLimits, WhoOnlyLooksHasNone) {
  EXPECT_NO_THROW(check_limits(left_out(100, 100, 10, 10), "d", 1));
  EXPECT_THROW(check_limits(left_out(3, 10, 0, 10), "d", 0.2), Error);
  EXPECT_NO_THROW(check_limits(left_out(2, 10, 0, 10), "d", 0.2));
  DefectReport beside = left_out(0, 100, 9, 10);
  for (Defect& defect : beside.defects) defect.beside = true;
  EXPECT_NO_THROW(check_limits(beside, "d")) << "they never were a part of it";
}

}  // namespace
}  // namespace yolov3
