#include "data/augment_cutout.h"

#include <gtest/gtest.h>

#include <cmath>

#include "data/painted_test.h"
#include "image/letterbox.h"

namespace yolov3 {
namespace {

Sample with_box(Box box, bool crowd = false) {
  return {Image(100, 100, 50), {{.box = box, .class_id = 1, .crowd = crowd, .area = box.area() / 2}}};
}

std::vector<Annotation> left_of(Sample sample, const std::vector<Box>& rectangles, double min_visible = 0.25) {
  cut_out(sample, rectangles, min_visible);
  return sample.objects;
}

TEST(Cutout, BoxesByHand) {
  const Box box{20, 20, 60, 40};
  EXPECT_EQ(left_of(with_box(box), {{30, 25, 40, 35}})[0].box, box) << "a hole in the middle";
  EXPECT_EQ(left_of(with_box(box), {{0, 25, 40, 35}})[0].box, box) << "a bite into a side";
  EXPECT_EQ(left_of(with_box(box), {{10, 10, 40, 50}})[0].box, (Box{40, 20, 60, 40})) << "the left half";
  EXPECT_FLOAT_EQ(left_of(with_box(box), {{10, 10, 40, 50}})[0].area, 200) << "of the 400 stated";
  EXPECT_EQ(left_of(with_box(box), {{50, 0, 90, 50}})[0].box, (Box{20, 20, 50, 40})) << "right";
  EXPECT_EQ(left_of(with_box(box), {{0, 0, 90, 30}})[0].box, (Box{20, 30, 60, 40})) << "top";
  EXPECT_EQ(left_of(with_box(box), {{20, 35, 60, 90}})[0].box, (Box{20, 20, 60, 35})) << "bottom";
  EXPECT_EQ(left_of(with_box(box), {{20, 20, 40, 28}, {0, 28, 30, 40}})[0].box, box) << "no side is hidden";
  // The left half, then what is left of the top: the second covers a whole side only once the first has cut.
  EXPECT_EQ(left_of(with_box(box), {{40, 10, 70, 30}, {10, 10, 40, 50}})[0].box, (Box{40, 30, 60, 40}));
}

TEST(Cutout, TooLittleLeftIsNoObjectAnyMore) {
  const Box box{20, 20, 60, 40};
  EXPECT_EQ(left_of(with_box(box), {{20, 20, 50, 40}}).size(), 1u) << "a quarter is left";
  EXPECT_TRUE(left_of(with_box(box), {{20, 20, 51, 40}}).empty());
  EXPECT_TRUE(left_of(with_box(box), {{20, 20, 45, 40}, {35, 10, 51, 50}}).empty()) << "overlaps count once: 9 of 40";
  EXPECT_EQ(left_of(with_box(box), {{20, 20, 45, 40}, {21, 20, 44, 40}}).size(), 1u) << "15 of 40 are left";
  EXPECT_TRUE(left_of(with_box(box), {{0, 0, 100, 100}}, 0.0).empty());
  EXPECT_EQ(left_of(with_box(box, true), {{0, 0, 100, 100}}).size(), 1u) << "a crowd region stays";
}

TEST(Cutout, ARectangleStaysUnderItsBoxAndTheHolesAreGrey) {
  int trimmed = 0, gone = 0, kept = 0, exact = 0;
  for (uint64_t seed = 0; seed < 600; ++seed) {
    Rng rng(21, seed);
    const Box box = random_rectangle(90, 70, 4, rng);
    Sample sample = painted_sample(90, 70, box, 0);
    const Image before = sample.image;
    random_cutout(sample, 1.0, 0.25, rng);
    const Found found = find(sample.image, 0);
    for (size_t i = 0; i < before.rgb.size(); ++i) {
      ASSERT_TRUE(sample.image.rgb[i] == before.rgb[i] || sample.image.rgb[i] == kPadGrey);
    }
    EXPECT_NE(sample.image, before);
    if (sample.objects.empty()) {
      EXPECT_LT(static_cast<double>(found.pixels), 0.25 * box.area());
      ++gone;
    } else {
      EXPECT_GE(static_cast<double>(found.pixels), 0.25 * box.area());
      const Box got = sample.objects[0].box;
      ++kept;
      trimmed += got != box;
      // Never smaller than what shows; larger only where rectangles hide a side together, none of them alone.
      exact += got == found.box;
      EXPECT_TRUE(got.x0 <= found.box.x0 && got.y0 <= found.box.y0 && got.x1 >= found.box.x1 && got.y1 >= found.box.y1);
    }
  }
  EXPECT_GT(exact, kept * 9 / 10);
  EXPECT_GT(trimmed, 15);
  EXPECT_GT(gone, 5);
}

TEST(Cutout, HappensWithItsProbability) {
  int changed = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    Sample sample{Image(40, 40, 10), {}};
    Rng rng(23, seed);
    random_cutout(sample, 0.3, 0.25, rng);
    changed += sample.image != Image(40, 40, 10);
  }
  EXPECT_NEAR(changed, 300, 5 * std::sqrt(210.0));
}

}  // namespace
}  // namespace yolov3
