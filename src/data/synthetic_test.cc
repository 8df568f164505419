#include "data/synthetic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/checksum.h"
#include "data/test_folder.h"

namespace yolov3 {
namespace {

std::string_view bytes(const Image& image) {
  return {reinterpret_cast<const char*>(image.rgb.data()), image.rgb.size()};
}

// Where the pictures differ by more than `threshold` in any channel.
std::vector<char> difference(const Image& a, const Image& b, int threshold) {
  std::vector<char> differs(static_cast<size_t>(a.width) * static_cast<size_t>(a.height));
  for (size_t i = 0; i < differs.size(); ++i) {
    for (size_t c = 0; c < 3; ++c) differs[i] |= std::abs(a.rgb[3 * i + c] - b.rgb[3 * i + c]) > threshold;
  }
  return differs;
}

Box bounds(const std::vector<char>& mask, int width) {
  Box box{1e9f, 1e9f, -1, -1};
  for (size_t i = 0; i < mask.size(); ++i) {
    if (!mask[i]) continue;
    const auto x = static_cast<float>(i % static_cast<size_t>(width)),
               y = static_cast<float>(i / static_cast<size_t>(width));
    box = {std::min(box.x0, x), std::min(box.y0, y), std::max(box.x1, x + 1), std::max(box.y1, y + 1)};
  }
  return box;
}

TEST(Synthetic, BoxesFitTheInkThatTheyAreFor) {
  for (int64_t index = 0; index < 12; ++index) {
    SyntheticScene scene = plan_synthetic({5, index});
    const std::vector<SyntheticDigit> digits = scene.digits;
    scene.digits.clear();
    const Image ground = paint(scene);
    for (const SyntheticDigit& digit : digits) {
      scene.digits = {digit};
      const Box ink = bounds(difference(paint(scene), ground, 0), scene.width);
      const Box& box = digit.box_image;
      // The soft edge reaches half a pixel beyond the stroke, and whole pixels are counted: under 1.5 px together.
      EXPECT_NEAR(ink.x0, box.x0, 1.5) << index;
      EXPECT_NEAR(ink.y0, box.y0, 1.5) << index;
      EXPECT_NEAR(ink.x1, box.x1, 1.5) << index;
      EXPECT_NEAR(ink.y1, box.y1, 1.5) << index;
      EXPECT_TRUE(box.x0 >= 0 && box.y0 >= 0 && box.x1 <= scene.width && box.y1 <= scene.height);
    }
  }
}

TEST(Synthetic, NoDigitIsHiddenByMoreThanFortyPercent) {
  for (int64_t index = 0; index < 12; ++index) {
    SyntheticScene scene = plan_synthetic({6, index});
    const SyntheticScene whole = scene;
    for (size_t i = 0; i < whole.digits.size(); ++i) {
      // Two colours for the digit: what differs is its ink, alone and then under the later ones.
      const auto ink = [&](SyntheticScene shown, size_t at) {
        shown.digits[at].colour = {0, 0, 0};
        const Image black = paint(shown);
        shown.digits[at].colour = {255, 255, 255};
        const std::vector<char> mask = difference(paint(shown), black, 127);
        return std::count(mask.begin(), mask.end(), 1);
      };
      scene.digits = {whole.digits[i]};
      const auto all = static_cast<double>(ink(scene, 0)), seen = static_cast<double>(ink(whole, i));
      EXPECT_GE(seen, 0.58 * all) << index << " " << i;  // 0.60 and the soft edges
    }
  }
}

TEST(Synthetic, SizesSlantsContrastAndClassesAsPromised) {
  std::set<int> classes;
  int backgrounds = 0, digits = 0;
  const auto luma = [](const Colour& c) { return 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2]; };
  for (int64_t index = 0; index < 400; ++index) {
    const SyntheticScene scene = plan_synthetic({7, index});
    EXPECT_TRUE(std::clamp(scene.width, 320, 480) == scene.width && std::clamp(scene.height, 320, 480) == scene.height);
    backgrounds += scene.digits.empty();
    EXPECT_LE(scene.digits.size(), 8u);
    for (const SyntheticDigit& digit : scene.digits) {
      classes.insert(digit.digit);
      ++digits;
      EXPECT_GE(digit.height_px * 6.0001, std::max(scene.width, scene.height));
      EXPECT_LE(std::abs(std::atan2(digit.sine, digit.cosine)), 20.001 * 3.14159265 / 180);
      EXPECT_NEAR(std::hypot(digit.sine, digit.cosine), 1, 1e-12);
      EXPECT_GE(std::abs(luma(digit.colour) - luma(scene.ground.dark)), 70);
    }
  }
  EXPECT_EQ(classes.size(), 10u);
  EXPECT_GE(digits, 4 * 350);
  EXPECT_GE(backgrounds, 3);  // 12 expected of 400, binomial: 3.4 deviation, so 12 +- 9 is 2.6 deviations
  EXPECT_LE(backgrounds, 21);
}

TEST(Synthetic, TheSameSeedGivesTheSameBytes) {
  std::vector<Annotation> a, b;
  EXPECT_EQ(draw_synthetic({1, 2}, &a), draw_synthetic({1, 2}, &b));
  EXPECT_EQ(a, b);
  EXPECT_NE(draw_synthetic({1, 2}, nullptr), draw_synthetic({1, 3}, nullptr));
  EXPECT_NE(draw_synthetic({1, 2}, nullptr), draw_synthetic({2, 2}, nullptr));
}

// A guard against unwanted change, made by this code: a new value here means that everybody's synthetic data changed.
TEST(Synthetic, FirstPicturesAreTheOnesTheyHaveAlwaysBeen) {
  EXPECT_EQ(crc32c(bytes(draw_synthetic({0, 0}, nullptr))), 0xf9e5d551u);
  EXPECT_EQ(crc32c(bytes(draw_synthetic({0, 1}, nullptr))), 0x2ec3cf33u);
  EXPECT_EQ(crc32c(bytes(draw_synthetic({0, 2}, nullptr))), 0x1a48029eu);
  EXPECT_EQ(crc32c(bytes(draw_synthetic({0, 3}, nullptr))), 0xca61e0f0u);
}

TEST(Synthetic, SplitsAreDisjointAndGrowAtTheEnd) {
  const Dataset train = synthetic_dataset(3, "train", 12), more = synthetic_dataset(3, "train", 20);
  const Dataset val = synthetic_dataset(3, "val", 12), test = synthetic_dataset(3, "test", 12);
  std::set<std::string> pictures;
  for (const Dataset* set : {&train, &val, &test}) {
    EXPECT_EQ(set->names.size(), 10u);
    for (const Example& example : set->examples) {
      pictures.insert(std::string(bytes(load_example(example).image)));
      for (const Annotation& object : example.objects) EXPECT_EQ(object.area, object.box.area());
    }
  }
  EXPECT_EQ(pictures.size(), 36u);
  for (size_t i = 0; i < 12; ++i) EXPECT_EQ(train.examples[i].objects, more.examples[i].objects);
  EXPECT_TRUE(contains(error_of([] { synthetic_dataset(0, "dev", 1); }), "no split \"dev\""));
}

}  // namespace
}  // namespace yolov3
