#include "train/stopping.h"

#include <gtest/gtest.h>

#include "train/schedule.h"

namespace yolov3 {
namespace {

TEST(Stopping, AfterTheEpochs) {
  TrainOptions options;
  options.epochs = 3;
  EXPECT_EQ(why_over({.epoch = 2, .next_batch = 7}, options), "");
  EXPECT_EQ(why_over({.epoch = 3}, options), "all 3 epochs are done");
  EXPECT_EQ(why_over({.epoch = 5}, options), "5 epochs are done, --epochs asks for 3");
}

TEST(Stopping, AfterEpochsWithoutABetterMap) {
  TrainOptions options;
  EXPECT_EQ(why_over({.epoch = 9, .unimproved = 9}, options), "") << "patience is off";
  options.patience = 5;
  EXPECT_EQ(why_over({.epoch = 9, .unimproved = 4}, options), "");
  EXPECT_EQ(why_over({.epoch = 9, .unimproved = 5}, options), "no better mAP50 for 5 epochs (--patience 5)");
  options.patience = 6;
  EXPECT_EQ(why_over({.epoch = 9, .unimproved = 5}, options), "") << "resumed with more of it, the run goes on";
}

TEST(Stopping, WhenTheTimeIsUpWhateverTheEpochs) {
  TrainOptions options;
  options.epochs = 2;
  options.time_s = 100;
  EXPECT_EQ(why_over({.epoch = 50, .seconds = 99}, options), "");
  EXPECT_EQ(why_over({.epoch = 1, .seconds = 100}, options), "the time is up: 1:40 of --time 1:40");
  // Judging and saving took 10 seconds the last time.
  EXPECT_FALSE(time_is_up({.epoch = 1, .seconds = 89, .closing_seconds = 10}, options));
  EXPECT_TRUE(time_is_up({.epoch = 1, .seconds = 90, .closing_seconds = 10}, options));
  EXPECT_FALSE(time_is_up({.seconds = 500}, options)) << "one batch is trained, however long the start took";
  EXPECT_TRUE(time_is_up({.next_batch = 1, .seconds = 500}, options));
  EXPECT_EQ(why_over({.epoch = 1, .next_batch = 1, .seconds = 500}, options), "") << "the epoch is not judged yet";
  options.patience = 1;
  EXPECT_EQ(why_over({.epoch = 1, .unimproved = 1, .seconds = 5}, options),
            "no better mAP50 for 1 epochs (--patience 1)");
}

TEST(Stopping, WhenThePicturesAreKnownByHeart) {
  TrainOptions options;
  EXPECT_EQ(why_over({.epoch = 1, .best = 0.99}, options), "") << "only as a self-test";
  options.overfit = 8;
  EXPECT_EQ(why_over({.epoch = 1, .best = 0.95}, options), "");
  EXPECT_EQ(why_over({.epoch = 1, .best = 0.96}, options), "the pictures are known by heart");
}

// 50 updates in 20 of 110 seconds, of which the last 10 are for the end: 2.5 a second for 80 more.
TEST(Stopping, ExpectedStepsFollowTheSpeed) {
  TrainOptions options;
  options.time_s = 110;
  EXPECT_EQ(expected_steps({.step = 50, .seconds = 20, .closing_seconds = 10}, options), 250);
  EXPECT_EQ(expected_steps({.step = 250, .seconds = 100, .closing_seconds = 10}, options), 251);
  EXPECT_EQ(expected_steps({.step = 300, .seconds = 120, .closing_seconds = 10}, options), 301);
}

// A run of unsteady speed: its rate still ends at lr_end when its time does.
TEST(Stopping, TheCosineEndsWhenTheTimeDoes) {
  TrainOptions options;
  options.time_s = 1000;
  Schedule schedule{.warmup_steps = 20, .lr0 = 1.0, .lr_end = 0.01};
  RunPosition at{.closing_seconds = 50};
  double rate = 0, before = 1;
  while (!time_is_up(at, options)) {
    schedule.total_steps = expected_steps(at, options);
    rate = schedule.rate(at.step + 1);
    if (at.step > 40) {  // a slower step makes the share jump a little
      EXPECT_LT(rate, before + 0.02) << at.step;
    }
    before = rate;
    at.seconds += at.step % 100 < 50 ? 0.5 : 1.5;
    ++at.step;
    at.next_batch = 1;
  }
  EXPECT_NEAR(rate, 0.01, 1e-3);
  EXPECT_NEAR(at.step, 950, 60);
}

}  // namespace
}  // namespace yolov3
