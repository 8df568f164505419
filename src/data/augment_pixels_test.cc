#include "data/augment_pixels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <opencv2/imgproc.hpp>

namespace yolov3 {
namespace {

Image random_image(int width, int height, uint64_t seed) {
  Image image(width, height);
  Rng rng(seed);
  for (uint8_t& value : image.rgb) value = static_cast<uint8_t>(rng.integer(0, 255));
  return image;
}

cv::Mat view(Image& image) { return {image.height, image.width, CV_8UC3, image.rgb.data()}; }

int worst_difference(const Image& a, const Image& b) {
  int worst = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i) worst = std::max(worst, std::abs(a.rgb[i] - b.rgb[i]));
  return worst;
}

// OpenCV's conversion in float, hue in degrees, saturation and value from 0 to 1.
TEST(AugmentPixels, ColoursChangeAsOpenCvsHsvSays) {
  const ColorChange changes[] = {{0, 1, 1},   {0.1, 1, 1}, {-0.4, 1, 1},     {0, 0.3, 1},    {0, 1.9, 1},
                                 {0, 1, 0.5}, {0, 1, 1.7}, {0.25, 1.4, 0.8}, {1.0 / 3, 0, 1}};
  for (const ColorChange& change : changes) {
    Image got = random_image(64, 48, 7), want = got;
    for (int i = 0; i < 64; ++i)
      std::fill_n(got.pixel(i, 0), 3, uint8_t(4 * i)), std::fill_n(want.pixel(i, 0), 3, uint8_t(4 * i));
    change_color(got, change);
    cv::Mat hsv, rgb;
    view(want).convertTo(rgb, CV_32F, 1 / 255.0);
    cv::cvtColor(rgb, hsv, cv::COLOR_RGB2HSV);
    hsv.forEach<cv::Vec3f>([&](cv::Vec3f& p, const int*) {
      p[0] = static_cast<float>(std::fmod(p[0] + 360 * change.hue + 360, 360));
      p[1] = static_cast<float>(std::min(1.0, p[1] * change.saturation));
      p[2] = static_cast<float>(std::min(1.0, p[2] * change.value));
    });
    cv::cvtColor(hsv, rgb, cv::COLOR_HSV2RGB);
    cv::Mat target = view(want);
    rgb.convertTo(target, CV_8U, 255);
    EXPECT_LE(worst_difference(got, want), 1) << change.hue << " " << change.saturation << " " << change.value;
    if (change == ColorChange{}) {
      EXPECT_EQ(got, [&] {
        Image same = random_image(64, 48, 7);
        for (int i = 0; i < 64; ++i) std::fill_n(same.pixel(i, 0), 3, uint8_t(4 * i));
        return same;
      }());
    }
  }
}

TEST(AugmentPixels, PureColoursByHand) {
  Image image(3, 1);
  const uint8_t pixels[] = {255, 0, 0, 0, 200, 0, 100, 100, 100};
  std::copy(std::begin(pixels), std::end(pixels), image.rgb.begin());
  change_color(image, {.hue = 1.0 / 3, .saturation = 0.5, .value = 0.5});
  // Red turns to green: value 127.5, its least channel half of that; green to blue, value 100; grey only darkens.
  const std::vector<uint8_t> want{64, 128, 64, 50, 50, 100, 50, 50, 50};
  EXPECT_EQ(image.rgb, want);
}

TEST(AugmentPixels, GreyIsTheLuma) {
  Image got = random_image(50, 20, 9), before = got;
  remove_color(got);
  cv::Mat grey;
  cv::cvtColor(view(before), grey, cv::COLOR_RGB2GRAY);
  for (int y = 0; y < 20; ++y) {
    for (int x = 0; x < 50; ++x) {
      const uint8_t* p = got.pixel(x, y);
      EXPECT_NEAR(p[0], grey.at<uint8_t>(y, x), 1);
      EXPECT_EQ(p[0], p[1]);
      EXPECT_EQ(p[0], p[2]);
    }
  }
}

TEST(AugmentPixels, TheBlurIsOpenCvsGaussian) {
  for (const double deviation : {0.5, 1.0, 1.7, 2.0}) {
    for (const auto& [width, height] : {std::pair(40, 30), std::pair(3, 1), std::pair(1, 5)}) {
      Image got = random_image(width, height, 11), before = got;
      gaussian_blur(got, deviation);
      const int side = 2 * static_cast<int>(std::ceil(3 * deviation)) + 1;
      Image want(width, height);
      cv::Mat target = view(want);
      cv::GaussianBlur(view(before), target, {side, side}, deviation, deviation, cv::BORDER_REPLICATE);
      EXPECT_LE(worst_difference(got, want), 2) << deviation << " on " << width << "x" << height;
    }
  }
  Image flat(20, 20, 77);
  gaussian_blur(flat, 1.3);
  EXPECT_EQ(flat, Image(20, 20, 77));
}

TEST(AugmentPixels, NoiseHasItsDeviationAndNoBias) {
  for (const double deviation : {2.0, 8.0, 16.0}) {
    Image image(101, 99, 128);  // an odd number of values
    Rng rng(13);
    add_noise(image, deviation, rng);
    double sum = 0, squares = 0;
    for (const uint8_t value : image.rgb) sum += value - 128.0, squares += (value - 128.0) * (value - 128.0);
    const auto count = static_cast<double>(image.rgb.size());
    // Rounding to whole levels adds a variance of 1/12; five deviations of either estimate.
    const double expected = std::sqrt(deviation * deviation + 1.0 / 12);
    EXPECT_NEAR(sum / count, 0, 5 * expected / std::sqrt(count));
    EXPECT_NEAR(std::sqrt(squares / count), expected, 5 * expected / std::sqrt(2 * count));
  }
}

TEST(AugmentPixels, ColourDrawsStayWithinTheirReach) {
  ColorChange least{9, 9, 9}, most{-9, -9, -9};
  int divided = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    Rng rng(15, seed);
    const ColorChange ultralytics = random_color({.hsv_h = 0.1, .hsv_s = 0.7, .hsv_v = 0.4}, rng);
    least = {std::min(least.hue, ultralytics.hue), std::min(least.saturation, ultralytics.saturation),
             std::min(least.value, ultralytics.value)};
    most = {std::max(most.hue, ultralytics.hue), std::max(most.saturation, ultralytics.saturation),
            std::max(most.value, ultralytics.value)};
    const ColorChange darknet = random_color({.saturation = 1.5, .exposure = 2}, rng);
    EXPECT_EQ(darknet.hue, 0);
    EXPECT_GE(darknet.saturation, 1 / 1.5);
    EXPECT_LE(darknet.saturation, 1.5);
    EXPECT_GE(darknet.value, 0.5);
    EXPECT_LE(darknet.value, 2);
    divided += darknet.value < 1;
  }
  EXPECT_NEAR(least.hue, -0.1, 0.001);
  EXPECT_NEAR(most.hue, 0.1, 0.001);
  EXPECT_NEAR(least.saturation, 0.3, 0.01);
  EXPECT_NEAR(most.saturation, 1.7, 0.01);
  EXPECT_NEAR(least.value, 0.6, 0.01);
  EXPECT_NEAR(most.value, 1.4, 0.01);
  EXPECT_NEAR(divided, 1000, 5 * std::sqrt(500.0));
  Rng rng(1);
  EXPECT_EQ(random_color({}, rng), ColorChange{});
}

TEST(AugmentPixels, NothingAskedForChangesNothing) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Image image = random_image(20, 10, seed);
    const Image before = image;
    Rng rng(19, seed);
    augment_pixels(image, {}, rng);
    EXPECT_EQ(image, before);
  }
}

}  // namespace
}  // namespace yolov3
