#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
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

// By hand: 10 steps of warm-up, then 90 to the end.
TEST(Schedule, LineGoesFromTheFirstRateToTheLast) {
  const Schedule schedule{.decay = Decay::linear, .warmup_steps = 10, .total_steps = 100, .lr0 = 1.0, .lr_end = 0.1};
  EXPECT_DOUBLE_EQ(schedule.rate(5), 0.5);
  EXPECT_DOUBLE_EQ(schedule.rate(10), 1.0);
  EXPECT_DOUBLE_EQ(schedule.rate(40), 0.7);  // a third of the way
  EXPECT_DOUBLE_EQ(schedule.rate(100), 0.1);
  EXPECT_DOUBLE_EQ(schedule.rate(500), 0.1);
}

// yolov3-voc.cfg: learning_rate=0.001, max_batches=50200, steps=40000,45000, scales=.1,.1, burn_in=1000, power 4.
TEST(Schedule, StepsAndBurnInAreDarknets) {
  const Schedule schedule{.decay = Decay::steps,
                          .warm_up = WarmUp::darknet,
                          .warmup_steps = 1000,
                          .total_steps = 50200,
                          .lr0 = 1e-3,
                          .drops = {40000.0 / 50200, 45000.0 / 50200},
                          .step_scale = 0.1};
  EXPECT_DOUBLE_EQ(schedule.rate(1), 1e-15);
  EXPECT_DOUBLE_EQ(schedule.rate(500), 1e-3 / 16);
  EXPECT_DOUBLE_EQ(schedule.rate(999), 1e-3 * 0.996005996001);  // 0.999^4
  EXPECT_DOUBLE_EQ(schedule.rate(1000), 1e-3);
  EXPECT_DOUBLE_EQ(schedule.rate(39999), 1e-3);
  EXPECT_DOUBLE_EQ(schedule.rate(40000), 1e-4);
  EXPECT_DOUBLE_EQ(schedule.rate(44999), 1e-4);
  EXPECT_DOUBLE_EQ(schedule.rate(45000), 1e-5);
  EXPECT_DOUBLE_EQ(schedule.rate(60000), 1e-5);
}

TEST(Schedule, ConstantStaysAfterTheWarmUp) {
  const Schedule schedule{.decay = Decay::constant, .warmup_steps = 4, .total_steps = 10, .lr0 = 0.25};
  EXPECT_DOUBLE_EQ(schedule.rate(1), 0.0625);
  for (const int64_t step : {4, 9, 10, 1000}) EXPECT_DOUBLE_EQ(schedule.rate(step), 0.25);
}

TEST(Schedule, WordsAreRead) {
  EXPECT_EQ(parse_decay("cosine"), Decay::cosine);
  EXPECT_EQ(parse_decay("linear"), Decay::linear);
  EXPECT_EQ(parse_decay("steps"), Decay::steps);
  EXPECT_EQ(parse_decay("constant"), Decay::constant);
  EXPECT_THROW(parse_decay("poly"), Error);
  EXPECT_EQ(parse_warm_up("linear"), WarmUp::linear);
  EXPECT_EQ(parse_warm_up("darknet"), WarmUp::darknet);
  EXPECT_THROW(parse_warm_up("none"), Error);
}

}  // namespace
}  // namespace yolov3
