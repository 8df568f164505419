// Whole runs of several ranks, as threads of this process.
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>

#include "base/text.h"
#include "train/checkpoint.h"
#include "train/test_ranks.h"
#include "train/test_run.h"
#include "train/trainer.h"

namespace yolov3 {
namespace {

using Errors = std::vector<std::string>;

class RankRun : public TrainingRunTest {
 protected:
  TrainOptions run_options(const std::string& name) const {
    TrainOptions o = options(name, 3);
    o.data.data = "synthetic:18";
    o.batch = 8;
    o.optimizer = "sgd";
    o.ema = 0.9;
    o.sync_bn = true;
    o.workers = 1;
    return o;
  }
  static Errors train_as(int ranks, const TrainOptions& options) {
    return as_ranks(ranks, [&](const RankPlace& place) {
      TrainOptions mine = options;
      mine.place = place;
      train(mine, "");
    });
  }
};

TEST_F(RankRun, ThreeRanksMakeOneRunAndAnyNumberGoesOn) {
  TrainOptions whole = run_options("whole"), parts = run_options("parts");
  parts.schedule = whole.schedule = "constant";
  EXPECT_EQ(train(whole, "").epochs_done, 3);
  parts.resume = true;
  const std::pair<int, int> runs[] = {{3, 1}, {2, 2}, {1, 3}};  // ranks, epochs until then
  for (const auto& [ranks, epochs] : runs) {
    parts.epochs = epochs;
    EXPECT_EQ(train_as(ranks, parts), Errors(static_cast<size_t>(ranks)));
    const auto checkpoint = load_checkpoint(folder_ / "runs/parts/weights");
    ASSERT_TRUE(checkpoint.has_value());
    EXPECT_EQ(checkpoint->position.epoch, epochs);
    EXPECT_EQ(checkpoint->position.step, 3 * epochs);
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "runs/parts2"));
  const auto got = load_checkpoint(folder_ / "runs/parts/weights")->results();
  const auto want = load_checkpoint(folder_ / "runs/whole/weights")->results();
  const auto lines_got = split_lines(*got), lines_want = split_lines(*want);
  ASSERT_EQ(lines_got.size(), lines_want.size());
  for (size_t line = 1; line < 4; ++line) {
    for (const size_t column : {2, 3, 4, 9, 10, 11}) {  // losses
      const double loss = parse_number(split(lines_want[line], ',').at(column)).value_or(NAN);
      EXPECT_NEAR(parse_number(split(lines_got[line], ',').at(column)).value_or(NAN), loss, 1e-3 * loss)
          << "epoch " << line << ", column " << column;
    }
  }
}

TEST_F(RankRun, TheSameValidationAsOnOneRank) {
  TrainOptions one = run_options("one"), two = run_options("two");
  one.epochs = two.epochs = 1;
  one.lr0 = two.lr0 = one.lr_end = two.lr_end = 1e-12;  // the same weights afterwards, but for the last bits
  one.bn_momentum = two.bn_momentum = 1e-9;
  train(one, "");
  EXPECT_EQ(train_as(2, two), Errors(2));
  const auto row = [&](const char* run) {
    const std::string text = read_file(folder_ / "runs" / run / "results.csv");
    std::vector<double> numbers;
    for (const std::string_view field : split(split_lines(text)[1], ',')) {
      numbers.push_back(parse_number(field).value_or(0));
    }
    return numbers;
  };
  const std::vector<double> want = row("one"), got = row("two");
  ASSERT_EQ(got.size(), 13u);
  for (size_t i = 2; i < 13; ++i) EXPECT_NEAR(got[i], want[i], 1e-4 * std::abs(want[i])) << "column " << i;
}

TEST_F(RankRun, OtherOptionsOrDataOnOneRankAreNamed) {
  const TrainOptions options = run_options("different");
  const auto with = [&](const std::function<void(TrainOptions&)>& change) {
    return as_ranks(2, [&](const RankPlace& place) {
      TrainOptions mine = options;
      mine.place = place;
      if (place.rank == 1) change(mine);
      train(mine, "");
    });
  };
  for (const std::string& error : with([](TrainOptions& o) { o.lr0 = 2e-3; })) {
    EXPECT_NE(error.find("rank 0 and rank 1 differ: option lr0 '0.001' and '0.002'"), std::string::npos) << error;
  }
  for (const std::string& error : with([](TrainOptions& o) { o.data.data = "synthetic:17"; })) {
    EXPECT_NE(error.find("rank 1 differ: train pictures"), std::string::npos) << error;
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "runs/different")) << "no empty run is left behind";
}

// Rank 0's args.toml may say exp2, where it lies, and that of another machine, which has no such run, exp.
TEST_F(RankRun, WhereTheRunLiesIsTheFirstRanksAlone) {
  const Errors errors = as_ranks(2, [&](const RankPlace& place) {
    TrainOptions mine = run_options("run");
    mine.epochs = 1;
    mine.place = place;
    train(mine, fmt::format("name = \"{0}\"\nproject = \"{0}\"\n", place.rank));
  });
  EXPECT_EQ(errors, Errors(2));
}

// Stopped in the middle of an update, resumed when the time is up: the update is made, at one rate on all ranks.
TEST_F(RankRun, AResumeWithoutTimeLeftEndsAlikeOnAll) {
  TrainOptions o = run_options("late");
  o.data.data = "synthetic:40";
  o.batch = 4;
  o.nominal_batch = 16;
  const Errors stopped = as_ranks(2, [&](const RankPlace& place) {
    TrainOptions mine = o;
    mine.place = place;
    train(mine, "", [&](int64_t batches) {
      if (batches == 6 && place.rank == 0) std::raise(SIGTERM);
    });
  });
  clear_interrupt();
  EXPECT_EQ(stopped, Errors(2));
  const auto checkpoint = load_checkpoint(folder_ / "runs/late/weights");
  ASSERT_TRUE(checkpoint.has_value());
  ASSERT_GE(checkpoint->position.step, 1);
  ASSERT_NE(checkpoint->position.next_batch % 4, 0) << "gradients wait";
  o.resume = true;
  o.time_s = 1e-3;
  EXPECT_EQ(train_as(2, o), Errors(2));
  EXPECT_EQ(load_checkpoint(folder_ / "runs/late/weights")->position.step, checkpoint->position.step + 1);
}

}  // namespace
}  // namespace yolov3
