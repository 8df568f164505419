#include "data/cut_out.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace yolov3 {
namespace {

// Blue inside the box, black outside.
Image with_blue(int width, int height, int x0, int y0, int x1, int y1) {
  Image image(width, height);
  for (int y = y0; y < y1; ++y) {
    for (int x = x0; x < x1; ++x) image.pixel(x, y)[2] = 255;
  }
  return image;
}

bool is_red(const uint8_t* pixel) { return pixel[0] > 200 && pixel[1] < 100; }
bool is_yellow(const uint8_t* pixel) { return pixel[0] > 200 && pixel[1] > 180; }

TEST(CutOut, TwiceTheBoxAroundItsMiddleWithTheBoxMarked) {
  const Image cut = cut_out(with_blue(400, 400, 100, 200, 200, 300), {100, 200, 200, 300}, std::nullopt, 400);
  ASSERT_EQ(cut.width, 400);  // of 50 to 250 and 150 to 350, grown twice: the box is at 100 to 300
  ASSERT_EQ(cut.height, 400);
  EXPECT_EQ(cut.pixel(200, 200)[2], 255);
  EXPECT_EQ(cut.pixel(50, 200)[2], 0);
  EXPECT_EQ(cut.pixel(350, 200)[2], 0);
  EXPECT_TRUE(is_red(cut.pixel(100, 200)) || is_red(cut.pixel(99, 200)));
  EXPECT_TRUE(is_red(cut.pixel(200, 300)) || is_red(cut.pixel(200, 299)));
  for (int i = 0; i < 400; ++i) EXPECT_FALSE(is_yellow(cut.pixel(i, 200)));
}

TEST(CutOut, TheOtherBoxIsDashedInYellow) {
  const Image cut = cut_out(Image(400, 400), {100, 200, 200, 300}, Box{80, 200, 180, 300}, 400);
  int yellow = 0;
  for (int y = 100; y < 300; ++y) yellow += is_yellow(cut.pixel(60, y)) || is_yellow(cut.pixel(59, y)) ? 1 : 0;
  EXPECT_GT(yellow, 50);
  EXPECT_LT(yellow, 190);
}

TEST(CutOut, SmallObjectsGetAQuarterOfThePictureAndARing) {
  const Image cut = cut_out(Image(800, 400), {100, 100, 102, 102}, std::nullopt, 100);
  EXPECT_EQ(cut.width, 100);  // 200 px shrunk by two
  EXPECT_EQ(cut.height, 100);
  // The middle is at 50; the ring 14 px around the box of 1 px.
  int red = 0;
  for (int x = 30; x < 70; ++x) red += is_red(cut.pixel(x, 50)) ? 1 : 0;
  EXPECT_GT(red, 20);
}

TEST(CutOut, BoxesOutsideAndAtTheEdgeAreSafe) {
  for (const Box& box : {Box{-50, -50, -10, -10}, Box{390, 390, 500, 500}, Box{400, 400, 400, 400},
                         Box{-9, -9, 999, 999}, Box{30, 10, 10, 30}, Box{-1e9f, -1e9f, 1e9f, 1e9f}}) {
    const Image cut = cut_out(Image(400, 400), box, box, 64);
    EXPECT_LE(cut.width, 64);
    EXPECT_LE(cut.height, 64);
  }
  EXPECT_EQ(cut_out(Image(1, 1), {0, 0, 1, 1}, std::nullopt, 32).width, 32);
}

TEST(CutOut, ShrunkNeverGrows) {
  EXPECT_EQ(shrunk(Image(1000, 500), 100).width, 100);
  EXPECT_EQ(shrunk(Image(1000, 500), 100).height, 50);
  EXPECT_EQ(shrunk(Image(30, 20), 100).width, 30);
  EXPECT_EQ(shrunk(Image(5000, 1), 100).height, 1);
}

}  // namespace
}  // namespace yolov3
