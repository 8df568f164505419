#include "data/augment_mosaic.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "data/painted_test.h"
#include "image/letterbox.h"

namespace yolov3 {
namespace {

TEST(Mosaic, TheSeamLiesWithinTheWindow) {
  int least = 1000, most = 0;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    Rng rng(31, seed);
    const MosaicPlan plan = plan_mosaic(200, 100, false, rng);
    EXPECT_EQ(plan.width, 200);
    EXPECT_EQ(plan.height, 100);
    EXPECT_GE(plan.seam_y, 20);
    EXPECT_LE(plan.seam_y, 80);
    least = std::min(least, plan.seam_x), most = std::max(most, plan.seam_x);
    Rng again(31, seed);
    const MosaicPlan wide = plan_mosaic(200, 100, true, again);
    EXPECT_EQ(wide.width, 400);
    EXPECT_EQ(wide.height, 200);
    EXPECT_EQ(wide.seam_x, plan.seam_x + 100);
    EXPECT_EQ(wide.seam_y, plan.seam_y + 50);
  }
  EXPECT_GE(least, 40);
  EXPECT_LT(least, 45);
  EXPECT_LE(most, 160);
  EXPECT_GT(most, 155);
}

// Four pictures, a paint each. A box has the colour of its class under it, cut where the quadrant ends, and is gone where
// less than a quarter of its pixels shows.
TEST(Mosaic, RectanglesStayUnderTheirBoxes) {
  int kept = 0, gone = 0, cut = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(33, seed);
    const bool wide = seed % 2 == 1;
    const MosaicPlan plan = plan_mosaic(128, 96, wide, rng);
    Sample canvas{Image(plan.width, plan.height, kPadGrey), {}};
    double whole[4] = {};
    for (int k = 0; k < 4; ++k) {
      const int width = static_cast<int>(rng.integer(60, 260)), height = static_cast<int>(rng.integer(60, 200));
      const Box box = random_rectangle(width, height, 30, rng);
      const Letterbox fit = make_letterbox(width, height, 128, 96);
      whole[k] = box.area() * fit.scale_x * fit.scale_y;
      lay_tile(canvas, plan, k, painted_sample(width, height, box, k), 0.25, rng);
    }
    for (int k = 0; k < 4; ++k) {
      const Found found = find(canvas.image, k);
      const auto object = std::ranges::find(canvas.objects, k, &Annotation::class_id);
      if (object == canvas.objects.end()) {
        EXPECT_LT(static_cast<double>(found.pixels), 0.3 * whole[k] + 30) << "seed " << seed << ", picture " << k;
        ++gone;
        continue;
      }
      ++kept;
      const Box& box = object->box;
      cut += box.area() < 0.9 * whole[k];
      EXPECT_NEAR(object->area, box.area(), 1e-2 * box.area());
      EXPECT_NEAR(found.box.x0, box.x0, 1.001f) << "seed " << seed << ", picture " << k;
      EXPECT_NEAR(found.box.y0, box.y0, 1.001f) << "seed " << seed << ", picture " << k;
      EXPECT_NEAR(found.box.x1, box.x1, 1.001f) << "seed " << seed << ", picture " << k;
      EXPECT_NEAR(found.box.y1, box.y1, 1.001f) << "seed " << seed << ", picture " << k;
      const bool left = k % 2 == 0, top = k / 2 == 0;
      EXPECT_TRUE(left ? box.x1 <= float(plan.seam_x) : box.x0 >= float(plan.seam_x));
      EXPECT_TRUE(top ? box.y1 <= float(plan.seam_y) : box.y0 >= float(plan.seam_y));
    }
  }
  EXPECT_GT(kept, 400);
  EXPECT_GT(gone, 10);
  EXPECT_GT(cut, 50);
}

// A 100 x 100 picture in a quadrant of 40 x 40 shows every part of itself, by lot.
TEST(Mosaic, AnyPartOfALargePictureMayShow) {
  const MosaicPlan plan{100, 100, 100, 100, 40, 40};
  Image ramp(100, 100);
  for (int y = 0; y < 100; ++y) {
    for (int x = 0; x < 100; ++x)
      ramp.pixel(x, y)[0] = static_cast<uint8_t>(x), ramp.pixel(x, y)[1] = static_cast<uint8_t>(y);
  }
  int least = 255, most = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Rng rng(35, seed);
    Sample canvas{Image(100, 100, kPadGrey), {}};
    lay_tile(canvas, plan, 0, {ramp, {}}, 0, rng);
    const int first = canvas.image.pixel(0, 0)[0];
    least = std::min(least, first), most = std::max(most, first);
    EXPECT_EQ(canvas.image.pixel(39, 39)[0], first + 39);
    EXPECT_EQ(canvas.image.pixel(40, 39)[0], kPadGrey);
  }
  EXPECT_LE(least, 1);
  EXPECT_GE(most, 59);
}

// A picture smaller than its quadrant touches the seam with its inner corner.
TEST(Mosaic, ASmallPictureTouchesTheSeam) {
  const MosaicPlan plan{200, 200, 100, 100, 120, 110};
  for (int k = 0; k < 4; ++k) {
    Rng rng(37);
    Sample canvas{Image(200, 200, kPadGrey), {}};
    lay_tile(canvas, plan, k, {Image(50, 25, 7), {}}, 0, rng);  // shown at 100 x 50
    const int x0 = k % 2 == 0 ? 20 : 120, y0 = k / 2 == 0 ? 60 : 110;
    const int width = std::min(100, 200 - x0);
    int64_t shown = 0;
    for (int y = 0; y < 200; ++y) {
      for (int x = 0; x < 200; ++x) shown += canvas.image.pixel(x, y)[0] == 7;
    }
    EXPECT_EQ(shown, 50 * width) << "quadrant " << k;
    EXPECT_EQ(canvas.image.pixel(k % 2 == 0 ? 119 : 120, k / 2 == 0 ? 109 : 110)[0], 7);
    EXPECT_EQ(canvas.image.pixel(k % 2 == 0 ? 119 : 120, y0)[0], 7);
  }
}

TEST(Mosaic, CrowdsAndDifficultObjectsFollow) {
  const MosaicPlan plan{100, 100, 100, 100, 50, 50};
  Sample tile{Image(100, 100, 9), {}};
  tile.objects = {{.box = {0, 0, 100, 100}, .class_id = 1, .crowd = true, .area = 10000},
                  {.box = {0, 0, 100, 100}, .class_id = 2, .difficult = true, .area = 10000},
                  {.box = {0, 0, 100, 100}, .class_id = 3, .area = 5000}};
  Rng rng(39);
  Sample canvas{Image(100, 100, kPadGrey), {}};
  lay_tile(canvas, plan, 3, tile, 0.25, rng);  // exactly a quarter of it shows
  ASSERT_EQ(canvas.objects.size(), 3u);
  for (const Annotation& object : canvas.objects) EXPECT_EQ(object.box, (Box{50, 50, 100, 100}));
  EXPECT_TRUE(canvas.objects[0].crowd);
  EXPECT_TRUE(canvas.objects[1].difficult);
  EXPECT_FLOAT_EQ(canvas.objects[2].area, 1250);
  Sample strict{Image(100, 100, kPadGrey), {}};
  lay_tile(strict, plan, 0, tile, 0.26, rng);
  ASSERT_EQ(strict.objects.size(), 1u);
  EXPECT_TRUE(strict.objects[0].crowd);
}

TEST(Mixup, PixelsAreMixedAndAllObjectsCount) {
  Sample a = painted_sample(10, 8, {1, 1, 4, 4}, 0);
  const Sample b = painted_sample(10, 8, {5, 5, 9, 8}, 1);
  mix_in(a, b, 0.25);
  ASSERT_EQ(a.objects.size(), 2u);
  EXPECT_EQ(a.objects[0].box, (Box{1, 1, 4, 4}));
  EXPECT_EQ(a.objects[1].box, (Box{5, 5, 9, 8}));
  EXPECT_EQ(a.image.pixel(0, 0)[0], 20);
  EXPECT_EQ(a.image.pixel(2, 2)[0], 79);   // (255 + 3 * 20) / 4 = 78.75
  EXPECT_EQ(a.image.pixel(2, 2)[1], 15);   // 3 * 20 / 4
  EXPECT_EQ(a.image.pixel(6, 6)[1], 196);  // (20 + 3 * 255) / 4 = 196.25
  Sample other{Image(9, 8), {}};
  EXPECT_THROW(mix_in(a, other, 0.5), Error);
}

// Beta(32, 32): mean 1/2, variance 1/(4 * 65).
TEST(Mixup, TheShareIsNearAHalf) {
  constexpr int kDraws = 4000;
  double sum = 0, squares = 0;
  Rng rng(41);
  for (int i = 0; i < kDraws; ++i) {
    const double share = random_mixup_share(rng);
    EXPECT_GT(share, 0);
    EXPECT_LT(share, 1);
    sum += share, squares += (share - 0.5) * (share - 0.5);
  }
  const double deviation = std::sqrt(1 / 260.0);
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * deviation / std::sqrt(double{kDraws}));
  EXPECT_NEAR(std::sqrt(squares / kDraws), deviation, 5 * deviation / std::sqrt(2.0 * kDraws));
}

}  // namespace
}  // namespace yolov3
