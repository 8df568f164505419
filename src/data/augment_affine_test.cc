#include "data/augment_affine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "data/painted_test.h"

namespace yolov3 {
namespace {

Image smooth(int width, int height) {
  Image image(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      uint8_t* p = image.pixel(x, y);
      p[0] = static_cast<uint8_t>(127.5 + 100 * std::sin(0.07 * x));
      p[1] = static_cast<uint8_t>(127.5 + 100 * std::cos(0.05 * y + 0.02 * x));
      p[2] = static_cast<uint8_t>(x / 2 + y / 3);
    }
  }
  return image;
}

void expect_near(const Box& got, const Box& want, float tolerance, const std::string& what) {
  EXPECT_NEAR(got.x0, want.x0, tolerance) << what;
  EXPECT_NEAR(got.y0, want.y0, tolerance) << what;
  EXPECT_NEAR(got.x1, want.x1, tolerance) << what;
  EXPECT_NEAR(got.y1, want.y1, tolerance) << what;
}

TEST(Affine, InverseAndCompositionByHand) {
  const Affine map{2, 0, 3, 0, 4, 5};  // x' = 2x + 3, y' = 4y + 5
  const Affine back = inverse(map);
  EXPECT_DOUBLE_EQ(back.xx, 0.5);
  EXPECT_DOUBLE_EQ(back.x0, -1.5);
  EXPECT_DOUBLE_EQ(back.yy, 0.25);
  EXPECT_DOUBLE_EQ(back.y0, -1.25);
  const Affine quarter{0, -1, 10, 1, 0, 0};  // (x, y) -> (10 - y, x)
  const Affine both = after(quarter, map);   // (x, y) -> (10 - 4y - 5, 2x + 3)
  EXPECT_DOUBLE_EQ(both.xx, 0);
  EXPECT_DOUBLE_EQ(both.xy, -4);
  EXPECT_DOUBLE_EQ(both.x0, 5);
  EXPECT_DOUBLE_EQ(both.yx, 2);
  EXPECT_DOUBLE_EQ(both.y0, 3);
  EXPECT_THROW(inverse(Affine{1, 1, 0, 1, 1, 0}), Error);
}

// Pixel centres: OpenCV counts from them, we from pixels' corners, hence the halves. It rounds positions to 1/32 px, on
// which these pictures change by less than half a level; its own rounding is another half.
TEST(Affine, WarpAgreesWithOpenCv) {
  const Image image = smooth(160, 120);
  Rng rng(3);
  for (int i = 0; i < 20; ++i) {
    const Affine map = random_affine({.degrees = 180, .scale = 0.5, .shear = 20, .shift = 0.2}, 160, 120, rng);
    const Image got = warp(image, map, 160, 120);
    const cv::Mat source(120, 160, CV_8UC3, const_cast<uint8_t*>(image.rgb.data()));
    const cv::Mat matrix = (cv::Mat_<double>(2, 3) << map.xx, map.xy, map.x0 + 0.5 * (map.xx + map.xy) - 0.5, map.yx,
                            map.yy, map.y0 + 0.5 * (map.yx + map.yy) - 0.5);
    cv::Mat want;
    cv::warpAffine(source, want, matrix, {160, 120}, cv::INTER_LINEAR, cv::BORDER_REPLICATE);
    const Affine back = inverse(map);
    int compared = 0, worst = 0;
    for (int y = 0; y < 120; ++y) {
      for (int x = 0; x < 160; ++x) {
        const double sx = back.xx * (x + 0.5) + back.xy * (y + 0.5) + back.x0;
        const double sy = back.yx * (x + 0.5) + back.yy * (y + 0.5) + back.y0;
        const uint8_t* p = got.pixel(x, y);
        if (sx < 0 || sy < 0 || sx >= 160 || sy >= 120) {
          ASSERT_EQ(p[0], kPadGrey);
          ASSERT_EQ(p[1], kPadGrey);
          ASSERT_EQ(p[2], kPadGrey);
          continue;
        }
        for (int c = 0; c < 3; ++c) worst = std::max(worst, std::abs(p[c] - want.at<cv::Vec3b>(y, x)[c]));
        ++compared;
      }
    }
    EXPECT_GT(compared, 1000) << "draw " << i;
    EXPECT_LE(worst, 2) << "draw " << i;
  }
}

TEST(Affine, AMapThatOnlyMovesKeepsEveryPixel) {
  const Image image = smooth(31, 17);
  const Image moved = warp(image, {1, 0, 5, 0, 1, -2}, 31, 17);
  for (int y = 0; y < 15; ++y) {
    for (int x = 5; x < 31; ++x) {
      ASSERT_TRUE(std::equal(moved.pixel(x, y), moved.pixel(x, y) + 3, image.pixel(x - 5, y + 2)));
    }
  }
  EXPECT_EQ(moved.pixel(4, 0)[0], kPadGrey);
  EXPECT_EQ(moved.pixel(9, 15)[0], kPadGrey);
}

// In the frame itself nothing of the paint lies outside the box by more than half a pixel, where a pixel's centre can
// still be inside. Where the box ends is found in a frame eight times as fine, in which the last centre before a corner
// that points outwards is nearer.
TEST(Affine, ARectangleStaysUnderItsBox) {
  int cut = 0, gone = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Rng rng(17, seed);
    const Box box = random_rectangle(150, 110, 20, rng);
    const Sample before = painted_sample(150, 110, box, 0);
    const Letterbox letterbox = make_letterbox(150, 110, 128, 128);
    const AugmentOptions options{.degrees = 25, .scale = 0.5, .shear = 10, .shift = 0.3};
    const Affine map = after(random_affine(options, 128, 128, rng), affine_of(letterbox));
    const Image image = warp(before.image, map, 128, 128);
    const auto objects = map_objects(before.objects, map, 128, 128, 0.0);
    const Found found = find(image, 0);
    if (objects.empty()) {
      EXPECT_LE(found.pixels, 2) << "seed " << seed;
      ++gone;
      continue;
    }
    ASSERT_EQ(objects.size(), 1u);
    const Box& got = objects[0].box;
    if (found.pixels > 0) {
      EXPECT_TRUE(found.box.x0 >= got.x0 - 0.5f && found.box.y0 >= got.y0 - 0.5f && found.box.x1 <= got.x1 + 0.5f &&
                  found.box.y1 <= got.y1 + 0.5f)
          << "seed " << seed;
    }
    const Found fine = find(warp(before.image, after(Affine{8, 0, 0, 0, 8, 0}, map), 1024, 1024), 0);
    const Box ends{fine.box.x0 / 8, fine.box.y0 / 8, fine.box.x1 / 8, fine.box.y1 / 8};
    if (fine.pixels > 0) expect_near(ends, got, 0.75f, "seed " + std::to_string(seed));
    const double determinant = map.xx * map.yy - map.xy * map.yx;
    EXPECT_NEAR(objects[0].area, static_cast<double>(found.pixels), 0.1 * static_cast<double>(found.pixels) + 20);
    cut += objects[0].area < 0.95 * determinant * box.area();
  }
  EXPECT_GT(cut, 20) << "nothing was cut by the border: this tests too little";
  EXPECT_LT(gone, 100);
}

// A square of 20 turned by 45 degrees about its own centre, which is the frame's corner: a quarter shows, whose hull is
// half a diagonal each way.
TEST(Affine, BoxesByHand) {
  const double c = std::sqrt(0.5), half_diagonal = 10 * std::sqrt(2.0);
  const Affine turned{c, -c, 0, c, c, 0};  // about the origin
  const std::vector<Annotation> square{{.box = {-10, -10, 10, 10}, .class_id = 7, .difficult = true, .area = 300}};
  const auto quarter = map_objects(square, turned, 100, 100, 0.2);
  ASSERT_EQ(quarter.size(), 1u);
  EXPECT_EQ(quarter[0].class_id, 7);
  EXPECT_TRUE(quarter[0].difficult);
  expect_near(quarter[0].box, {0, 0, float(half_diagonal), float(half_diagonal)}, 1e-4f, "quarter");
  EXPECT_NEAR(quarter[0].area, 75, 1e-3);  // a quarter of what was stated
  EXPECT_TRUE(map_objects(square, turned, 100, 100, 0.26).empty());
  std::vector<Annotation> crowd = square;
  crowd[0].crowd = true;
  EXPECT_EQ(map_objects(crowd, turned, 100, 100, 0.9).size(), 1u)
      << "a region to be ignored stays, however little shows";
  EXPECT_TRUE(map_objects(crowd, Affine{1, 0, -50, 0, 1, 0}, 100, 100, 0).empty()) << "unless nothing does";
  const auto whole = map_objects(square, after(Affine{1, 0, 50, 0, 1, 50}, turned), 100, 100, 1.0);
  ASSERT_EQ(whole.size(), 1u);
  expect_near(
      whole[0].box,
      {float(50 - half_diagonal), float(50 - half_diagonal), float(50 + half_diagonal), float(50 + half_diagonal)},
      1e-4f, "whole");
}

TEST(Affine, DrawsStayWithinTheirReach) {
  Rng rng(5);
  double least = 9, most = 0, farthest = 0, steepest = 0;
  for (int i = 0; i < 2000; ++i) {
    const Affine map = random_affine({.degrees = 30, .scale = 0.5, .shift = 0.1}, 200, 100, rng);
    const double gain = std::hypot(map.xx, map.yx), angle = std::atan2(map.yx, map.xx) * 180 / std::numbers::pi;
    least = std::min(least, gain), most = std::max(most, gain);
    steepest = std::max(steepest, std::abs(angle));
    const double x = map.xx * 100 + map.xy * 50 + map.x0, y = map.yx * 100 + map.yy * 50 + map.y0;  // the middle
    EXPECT_LE(std::abs(x - 100), 20.001);
    EXPECT_LE(std::abs(y - 50), 10.001);
    farthest = std::max(farthest, std::abs(x - 100));
  }
  EXPECT_GE(least, 0.5);
  EXPECT_LT(least, 0.51);
  EXPECT_LE(most, 1.5);
  EXPECT_GT(most, 1.49);
  EXPECT_LE(steepest, 30.0001);
  EXPECT_GT(steepest, 29.5);
  EXPECT_GT(farthest, 19.5);
}

}  // namespace
}  // namespace yolov3
