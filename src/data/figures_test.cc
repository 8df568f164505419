#include "data/figures.h"

#include <gtest/gtest.h>

namespace yolov3 {
namespace {

TEST(Figures, OneAndMany) {
  EXPECT_EQ(counted(0, "picture"), "0 pictures");
  EXPECT_EQ(counted(1, "picture"), "1 picture");
  EXPECT_EQ(counted(1, "box"), "1 box");
  EXPECT_EQ(counted(12, "box"), "12 boxes");
}

// The page said "0%" beside a bar, and the terminal "0% under 16; smallest 14.2".
TEST(Figures, WhatIsThereIsNotZeroPercent) {
  EXPECT_EQ(percent_text(0), "0%");
  EXPECT_EQ(percent_text(0.0001), "<1%");
  EXPECT_EQ(percent_text(0.006), "1%");
  EXPECT_EQ(percent_text(0.384), "38%");
  EXPECT_EQ(percent_text(1), "100%");
}

}  // namespace
}  // namespace yolov3
