#include "app/bounded_series.h"

#include <gtest/gtest.h>

#include <cmath>

namespace yolov3 {
namespace {

std::vector<int64_t> steps_of(const BoundedSeries& series) {
  std::vector<int64_t> steps;
  for (const auto& point : series.points()) steps.push_back(point.last);
  return steps;
}

std::vector<double> values_of(const BoundedSeries& series) {
  std::vector<double> values;
  for (const auto& point : series.points()) values.push_back(point.value());
  return values;
}

TEST(BoundedSeries, JoinsNeighboursWhenFull) {
  BoundedSeries series(4);
  for (int step = 1; step <= 4; ++step) series.add(step, step);
  EXPECT_EQ(steps_of(series), (std::vector<int64_t>{1, 2, 3, 4}));
  series.add(5, 5);
  EXPECT_EQ(steps_of(series), (std::vector<int64_t>{2, 4, 5}));
  EXPECT_EQ(values_of(series), (std::vector<double>{1.5, 3.5, 5}));
  series.add(6, 6);
  EXPECT_EQ(values_of(series), (std::vector<double>{1.5, 3.5, 5.5}));
}

TEST(BoundedSeries, AMillionPointsStayFewAndKeepTheirMean) {
  BoundedSeries series(100);
  double sum = 0;
  for (int64_t step = 1; step <= 1000000; ++step) series.add(step, static_cast<double>(step % 7));
  ASSERT_LE(series.points().size(), 100u);
  ASSERT_GE(series.points().size(), 50u);
  int64_t count = 0, before = 0;
  for (const auto& point : series.points()) {
    EXPECT_EQ(point.first, before + 1);
    before = point.last;
    count += point.count;
    sum += point.sum;
  }
  EXPECT_EQ(count, 1000000);
  EXPECT_EQ(before, 1000000);
  EXPECT_EQ(sum, 2999998);  // 142857 times 0+1+...+6, and 1 of the last step
}

TEST(BoundedSeries, OddCapacities) {
  BoundedSeries series(3);
  for (int step = 1; step <= 50; ++step) {
    series.add(step, 1);
    ASSERT_LE(series.points().size(), 3u);
    ASSERT_EQ(series.points().back().last, step);
  }
}

TEST(BoundedSeries, AResumedRunTakesItsLaterPointsBack) {
  BoundedSeries series;
  for (int step = 1; step <= 10; ++step) series.add(step, step);
  series.add(8, 80);
  series.add(9, 90);
  EXPECT_EQ(steps_of(series), (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(series.points().back().value(), 90);
  EXPECT_EQ(series.points()[7].value(), 80);
}

TEST(BoundedSeries, WhatIsNotFiniteIsAGap) {
  BoundedSeries series(2);
  series.add(1, 1);
  series.add(2, INFINITY);
  series.add(3, 3);
  EXPECT_TRUE(std::isnan(series.points()[0].value()));
  EXPECT_EQ(series.points()[1].value(), 3);
}

}  // namespace
}  // namespace yolov3
