#include "data/cut_out.h"

#include <gtest/gtest.h>

namespace yolov3 {
namespace {

// White inside the box, black outside.
Image with_white(int width, int height, int x0, int y0, int x1, int y1) {
  Image image(width, height);
  for (int y = y0; y < y1; ++y) {
    for (int x = x0; x < x1; ++x) std::fill_n(image.pixel(x, y), 3, uint8_t{255});
  }
  return image;
}

TEST(CutOut, TwiceTheBoxAroundItsMiddle) {
  const Image image = with_white(400, 400, 100, 200, 200, 300);
  const CutOut cut = cut_out(image, {100, 200, 200, 300}, 400);
  EXPECT_EQ(cut.x0, 50);
  EXPECT_EQ(cut.y0, 150);
  EXPECT_EQ(cut.image.width, 400);  // 200 px grown twice
  EXPECT_EQ(cut.image.height, 400);
  const Box box = cut.cut_from_image({100, 200, 200, 300});
  EXPECT_EQ(box, (Box{100, 100, 300, 300}));
  EXPECT_EQ(cut.image.pixel(150, 150)[0], 255);
  EXPECT_EQ(cut.image.pixel(50, 200)[0], 0);
  EXPECT_EQ(cut.image.pixel(350, 200)[0], 0);
}

TEST(CutOut, SmallObjectsGetAQuarterOfThePicture) {
  const CutOut cut = cut_out(Image(800, 400), {100, 100, 102, 102}, 100);
  EXPECT_EQ(cut.x0, 1);  // 101 - 800 / 8
  EXPECT_EQ(cut.image.width, 100);
  EXPECT_EQ(cut.image.height, 100);
}

TEST(CutOut, BoxesOutsideAndAtTheEdgeAreSafe) {
  for (const Box& box : {Box{-50, -50, -10, -10}, Box{390, 390, 500, 500}, Box{400, 400, 400, 400}, Box{-9, -9, 999, 999},
                         Box{30, 10, 10, 30}}) {
    const CutOut cut = cut_out(Image(400, 400), box, 64);
    EXPECT_LE(cut.image.width, 64);
    EXPECT_LE(cut.image.height, 64);
    EXPECT_GE(cut.x0, 0);
    EXPECT_GE(cut.y0, 0);
  }
  EXPECT_EQ(cut_out(Image(1, 1), {0, 0, 1, 1}, 32).image.width, 32);
}

TEST(CutOut, ShrunkNeverGrows) {
  EXPECT_EQ(shrunk(Image(1000, 500), 100).width, 100);
  EXPECT_EQ(shrunk(Image(1000, 500), 100).height, 50);
  EXPECT_EQ(shrunk(Image(30, 20), 100).width, 30);
  EXPECT_EQ(shrunk(Image(5000, 1), 100).height, 1);
}

}  // namespace
}  // namespace yolov3
