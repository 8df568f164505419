#include "image/canvas.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace yolov3 {
namespace {

Color at(const Image& image, int x, int y) {
  const uint8_t* p = image.pixel(x, y);
  return {p[0], p[1], p[2]};
}

constexpr Color kRed{200, 0, 0}, kBlack{0, 0, 0};

TEST(Canvas, FillsWhatIsInside) {
  Image image(20, 10);
  fill_box(image, {-5, 2, 4, 50}, kRed, 1);
  EXPECT_EQ(at(image, 0, 2), kRed);
  EXPECT_EQ(at(image, 3, 9), kRed);
  EXPECT_EQ(at(image, 4, 5), kBlack);
  EXPECT_EQ(at(image, 0, 1), kBlack);
  fill_box(image, {10, 0, 12, 2}, kRed, 0.5);
  EXPECT_EQ(at(image, 10, 0), (Color{100, 0, 0}));
  fill_box(image, {30, 30, 40, 40}, kRed, 1);  // outside: nothing
  mix(image, {255, 255, 255}, 1);
  EXPECT_EQ(at(image, 19, 9), (Color{255, 255, 255}));
}

TEST(Canvas, OutlinesTheLastPixelInside) {
  Image image(20, 20);
  outline_box(image, {2, 3, 12, 13}, kRed, 1);
  EXPECT_EQ(at(image, 2, 3), kRed);
  EXPECT_EQ(at(image, 11, 12), kRed);
  EXPECT_EQ(at(image, 12, 13), kBlack);
  EXPECT_EQ(at(image, 6, 6), kBlack);
  outline_box(image, {-1e9f, -1e9f, 1e9f, 1e9f}, kRed, 1, true);  // far outside: no harm
}

TEST(Canvas, EnlargesAndStacks) {
  Image image(4, 3, 100);
  const Image large = enlarged(image, 3);
  EXPECT_EQ(large.width, 12);
  EXPECT_EQ(large.height, 9);
  EXPECT_EQ(at(large, 5, 5), (Color{100, 100, 100}));
  const Image both = stacked(large, image, kRed);
  EXPECT_EQ(both.width, 12);
  EXPECT_EQ(both.height, 12);
  EXPECT_EQ(at(both, 3, 11), (Color{100, 100, 100}));
  EXPECT_EQ(at(both, 4, 11), kRed);
  EXPECT_THROW(enlarged(Image(), 2), Error);
}

TEST(Canvas, TextIsAsWideAsItSays) {
  Image image(200, 40, 255);
  const int width = draw_text(image, "IoU 0.5", 10, 10, 14, kBlack);
  EXPECT_EQ(width, text_width("IoU 0.5", 14));
  int rightmost = 0, dark = 0;
  for (int x = 0; x < 200; ++x) {
    for (int y = 0; y < 40; ++y) {
      if (at(image, x, y).r < 128) rightmost = x, ++dark;
    }
  }
  EXPECT_GT(dark, 50);
  EXPECT_LE(rightmost, 10 + width + 2);
  EXPECT_GE(rightmost, 10 + width - 8);
}

}  // namespace
}  // namespace yolov3
