#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "detect/golden_test.h"

namespace yolov3 {
namespace {

TEST(Schedule, AgreesWithGolden) {
  for (int number = 0; number < 3; ++number) {
    const std::string path = "lr/" + std::to_string(number);
    const auto steps = static_cast<int64_t>(golden_number(path, "steps_per_epoch"));
    const Schedule schedule{
        .warmup_steps = std::llround(golden_number(path, "warmup_epochs") * static_cast<double>(steps)),
        .total_steps = steps * static_cast<int64_t>(golden_number(path, "epochs")),
        .lr0 = golden_number(path, "lr_init"),
        .lr_end = golden_number(path, "lr_end")};
    const GoldenArray want = golden_array(path + "/lr");
    for (int64_t i = 0; i < want.rows(); ++i) {
      ASSERT_NEAR(schedule.rate(i + 2), want.values[static_cast<size_t>(i)], 1e-12 * schedule.lr0) << path << " " << i;
    }
  }
}

TEST(Schedule, FirstUpdateIsTheFirstStepOfTheWarmUp) {  // D37
  EXPECT_DOUBLE_EQ((Schedule{.warmup_steps = 10, .total_steps = 100, .lr0 = 1e-3, .lr_end = 0}.rate(1)), 1e-4);
}

TEST(Schedule, WarmUpAsLongAsTheRunIsNoDivisionByZero) {  // D38
  const Schedule schedule{.warmup_steps = 10, .total_steps = 10, .lr0 = 1e-3, .lr_end = 0};
  EXPECT_DOUBLE_EQ(schedule.rate(9), 9e-4);
  EXPECT_DOUBLE_EQ(schedule.rate(10), 1e-3);
  const Schedule longer{.warmup_steps = 20, .total_steps = 10, .lr0 = 1e-3, .lr_end = 0};
  EXPECT_DOUBLE_EQ(longer.rate(10), 5e-4);
}

}  // namespace
}  // namespace yolov3
