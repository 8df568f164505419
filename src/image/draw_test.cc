#include "image/draw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <tuple>

#include "base/error.h"
#include "base/rng.h"

namespace yolov3 {
namespace {

Color at(const Image& image, int x, int y) {
  const uint8_t* p = image.pixel(x, y);
  return {p[0], p[1], p[2]};
}

TEST(Draw, ColoursAreDistinct) {
  std::set<std::tuple<int, int, int>> seen;
  for (int i = 0; i < 80; ++i) seen.insert({class_color(i).r, class_color(i).g, class_color(i).b});
  EXPECT_EQ(seen.size(), 80u);
  for (int i = 0; i < 20; ++i) {
    for (int j = 0; j < i; ++j) {
      const Color a = class_color(i), b = class_color(j);
      EXPECT_GT(std::abs(a.r - b.r) + std::abs(a.g - b.g) + std::abs(a.b - b.b), 30) << i << " " << j;
    }
  }
  class_color(-1);  // any number has one
}

TEST(Draw, FrameLiesOnTheBoxAndInsideStaysFree) {
  Image image(400, 300, 100);
  draw_detections(image, {{{100, 120, 300, 250}, 0, 0.9f}}, {"dog"});
  EXPECT_EQ(at(image, 200, 249), class_color(0));  // bottom edge, last row inside
  EXPECT_EQ(at(image, 299, 200), class_color(0));
  EXPECT_EQ(at(image, 100, 200), class_color(0));
  EXPECT_EQ(at(image, 200, 200), (Color{100, 100, 100}));
  EXPECT_EQ(at(image, 200, 270), (Color{100, 100, 100}));
  EXPECT_EQ(at(image, 102, 117), class_color(0));  // the plate stands on the top edge
  int text = 0;
  for (int x = 100; x < 200; ++x)
    for (int y = 100; y < 118; ++y)
      text += at(image, x, y) != class_color(0) && at(image, x, y) != Color{100, 100, 100};
  EXPECT_GT(text, 40);
}

TEST(Draw, LabelOfABoxAtTheTopStaysInside) {
  Image image(300, 200, 100);
  draw_detections(image, {{{250, 0, 300, 60}, 3, 0.5f}}, {"a", "b", "c", "a rather long name"});
  int plate = 0;
  for (int y = 0; y < 90; ++y)
    for (int x = 0; x < 240; ++x) plate += at(image, x, y) == class_color(3);
  EXPECT_GT(plate, 300);  // pushed to the left of the box
}

TEST(Draw, AnyBoxAnyPicture) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  Image image(64, 48, 10), untouched = image;
  draw_detections(image, {{{nan, 0, 5, 5}, 0, 0.5f}, {{0, 0, inf, 5}, 0, 0.5f}}, {"x"});
  EXPECT_EQ(image, untouched);
  draw_detections(image, {{{-1e9f, -1e9f, 1e9f, 1e9f}, 99, 2.0f}, {{30, 30, 10, 10}, -4, 0.1f}}, {});
  EXPECT_NE(image, untouched);
  for (int side : {1, 2, 3, 10}) {
    Image tiny(side, side);
    draw_annotations(tiny, {{.box = {0, 0, 1, 1}, .class_id = 0}}, {"a very long name indeed"});
  }
  Image empty;
  draw_detections(empty, {{{0, 0, 1, 1}, 0, 1}}, {"x"});
  Rng rng(1);
  std::vector<Detection> many;
  for (int i = 0; i < 300; ++i)
    many.push_back({{float(rng.uniform(-50, 600)), float(rng.uniform(-50, 600)), float(rng.uniform(-50, 600)),
                     float(rng.uniform(-50, 600))},
                    i,
                    0.5f});
  Image crowded(500, 400);
  draw_detections(crowded, many, {});
}

TEST(Draw, Grid) {
  const Image grid = make_grid({Image(20, 10, 200), Image(10, 20, 90), Image()}, 2, 50);
  EXPECT_EQ(grid.width, 101);
  EXPECT_EQ(grid.height, 101);
  EXPECT_EQ(at(grid, 25, 25), (Color{200, 200, 200}));
  EXPECT_EQ(at(grid, 25, 5), (Color{48, 48, 48}));  // wide picture: bars above and below
  EXPECT_EQ(at(grid, 76, 5), (Color{90, 90, 90}));
  EXPECT_EQ(at(grid, 53, 25), (Color{48, 48, 48}));
  EXPECT_TRUE(make_grid({}, 3, 50).empty());
  EXPECT_EQ(make_grid({Image(5, 5, 1)}, 4, 50).width, 50);
  EXPECT_THROW(make_grid({Image(5, 5)}, 0, 50), Error);
}

}  // namespace
}  // namespace yolov3
