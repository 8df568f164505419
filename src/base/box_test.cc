#include "base/box.h"

#include <gtest/gtest.h>

#include <limits>

namespace yolov3 {
namespace {

TEST(Box, MeasuresItself) {
  const Box box{2, 3, 12, 7};
  EXPECT_EQ(box.width(), 10);
  EXPECT_EQ(box.height(), 4);
  EXPECT_EQ(box.center_x(), 7);
  EXPECT_EQ(box.center_y(), 5);
  EXPECT_EQ(box.area(), 40);
  EXPECT_EQ(box_from_center(7, 5, 10, 4), box);
}

TEST(Box, AreaIsNeverNegative) {
  EXPECT_EQ(Box().area(), 0);
  EXPECT_EQ((Box{5, 0, 1, 4}).area(), 0);
  EXPECT_EQ((Box{5, 4, 1, 0}).area(), 0);  // inverted on both axes: no product of two negatives
}

TEST(Box, ClipKeepsThePartInside) {
  EXPECT_EQ(clip({-5, 2, 30, 40}, 20, 10), (Box{0, 2, 20, 10}));
  EXPECT_EQ(clip({1, 2, 3, 4}, 20, 10), (Box{1, 2, 3, 4}));
  EXPECT_EQ(clip({-9, -9, -1, -1}, 20, 10).area(), 0);
  EXPECT_EQ(clip({21, 0, 30, 5}, 20, 10).area(), 0);
}

TEST(Box, IouIsTheShareOfBothThatBothCover) {
  const Box square{0, 0, 10, 10};
  EXPECT_EQ(iou(square, square), 1);
  EXPECT_FLOAT_EQ(iou(square, {5, 5, 15, 15}), 25.0f / 175.0f);
  EXPECT_FLOAT_EQ(iou({5, 5, 15, 15}, square), 25.0f / 175.0f);
  EXPECT_FLOAT_EQ(iou(square, {2, 2, 4, 4}), 0.04f);  // inside
  EXPECT_FLOAT_EQ(iou(square, {0, 5, 10, 15}), 1.0f / 3);
  EXPECT_EQ(iou(square, {10, 0, 20, 10}), 0);  // they touch
  EXPECT_EQ(iou(square, {30, 30, 40, 40}), 0);
}

TEST(Box, IouOfEmptyBoxesIsZeroAndNotNan) {
  EXPECT_EQ(iou({3, 3, 3, 3}, {3, 3, 3, 3}), 0);
  EXPECT_EQ(iou({0, 0, 10, 10}, {8, 8, 2, 2}), 0);  // inverted
  EXPECT_EQ(intersection_area({0, 0, 10, 10}, {3, 3, 3, 9}), 0);
}

}  // namespace
}  // namespace yolov3
