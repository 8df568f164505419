// The life of a run: when it saves, what it survives, when it ends.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>

#include "base/text.h"
#include "data/synthetic.h"
#include "data/write.h"
#include "format/model_file.h"
#include "train/checkpoint.h"
#include "train/run_directory.h"
#include "train/test_run.h"
#include "train/trainer.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

using RunLife = TrainingRunTest;

// No file of this process can grow over some size, as on a full disk.
class FullDisk {
 public:
  FullDisk() : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &normal_);
    rlimit full = normal_;
    full.rlim_cur = 16384;
    ::setrlimit(RLIMIT_FSIZE, &full);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &normal_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  rlimit normal_{};
};

// --- Saving -----------------------------------------------------------------------------------------------------------

TEST_F(RunLife, SavesInsideAnEpochWhenTheTimeHasCome) {
  TrainOptions o = options("often", 1);
  o.save_every_s = 1e-9;
  train(o, "", [&](int64_t batches) {
    const Checkpoint now = *load_checkpoint(o.project / "often/weights");
    EXPECT_EQ(now.position.next_batch, batches);
    EXPECT_EQ(now.position.epoch, 0);
    EXPECT_EQ(fs::exists(o.project / "often/weights/last.prev.h5"), batches > 1);
  });
  o = options("never", 1);
  train(o, "", [&](int64_t) { EXPECT_FALSE(fs::exists(o.project / "never/weights/last.h5")); });
  EXPECT_TRUE(fs::exists(o.project / "never/weights/last.h5"));
}

TEST_F(RunLife, ADiskThatIsFullForAWhileCostsNothing) {
  const TrainResult want = train(options("whole"), "");
  TrainOptions o = options("full");
  o.save_every_s = 1e-9;
  std::optional<FullDisk> full;
  const TrainResult got = train(o, "", [&](int64_t batches) {
    if (batches == 2) full.emplace();
    if (batches < 5) {  // the last that could be saved
      EXPECT_EQ(load_checkpoint(o.project / "full/weights")->position.next_batch, std::min<int64_t>(batches, 2));
    }
    if (batches == 4) full.reset();
  });
  expect_same(at_end(got), at_end(want));
  EXPECT_EQ(rows(got.run_directory).size(), 2u) << "the row that could not be written came later";
}

TEST_F(RunLife, WhatCannotBeWrittenIsToldOnce) {
  TrainOptions o = options("exp", 4);
  ::testing::internal::CaptureStderr();
  train(o, "", [&](int64_t batches) {
    if (batches == 1) fs::create_directories(o.project / "exp/val_batch0_pred.jpg/in the way");
  });
  const std::string told = ::testing::internal::GetCapturedStderr(), words = "the pictures of the validation could not";
  const size_t first = told.find(words);
  EXPECT_NE(first, std::string::npos) << told;
  EXPECT_EQ(told.find(words, first + 1), std::string::npos) << told;
}

// Killed while the disk was full: the results that could not be written are not lost, where the checkpoint was saved.
TEST_F(RunLife, TheCheckpointKeepsTheResults) {
  TrainOptions o = options("exp", 3);
  train(o, "", [](int64_t batches) {
    if (batches == 7) std::raise(SIGTERM);
  });
  clear_interrupt();
  fs::remove(o.project / "exp/results.csv");
  o.resume = true;
  const TrainResult end = train(o, "");
  ASSERT_EQ(rows(end.run_directory).size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(rows(end.run_directory)[i][0], std::to_string(i));
}

TEST_F(RunLife, AFolderThatIsTakenAwayIsMadeAgain) {
  const TrainResult want = train(options("whole"), "");
  TrainOptions o = options("taken");
  const TrainResult got = train(o, "seed = 0\n", [&](int64_t batches) {
    if (batches == 4) fs::remove_all(o.project / "taken");
  });
  expect_same(at_end(got), at_end(want));
  EXPECT_EQ(rows(got.run_directory).size(), 2u) << "that of the first epoch too";
  EXPECT_EQ(read_file(got.run_directory / "args.toml"), "seed = 0\n");
  int events = 0;
  for (const fs::path& file : list_files(got.run_directory)) events += file.filename().string().starts_with("events.");
  EXPECT_EQ(events, 1);
}

// As somebody who may not write there; root always may.
TEST_F(RunLife, AReadOnlyFolderNeverStopsTheRunNorTouchesTheLastCheckpoint) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
  TrainOptions o = options("exp", 1);
  const Weights before = at_end(train(o, "")).model.weights;
  o.epochs = 3;
  o.resume = true;
  fs::permissions(folder_, fs::perms::all);
  int64_t batches = 0;
  ASSERT_EQ(::seteuid(65534), 0);
  const std::string message = error_of([&] { train(o, "", [&](int64_t done) { batches = done; }); });
  ASSERT_EQ(::seteuid(0), 0);
  EXPECT_EQ(batches, 9) << "the run went on to its end";
  for (const char* words : {"all 3 epochs are done, but its last weights could not be written", "Permission denied"}) {
    EXPECT_NE(message.find(words), std::string::npos) << message;
  }
  EXPECT_EQ(load_model(o.project / "exp/weights/last.h5").weights, before);
}

// --- The end ----------------------------------------------------------------------------------------------------------

// A network that does not learn is never better than after its first epoch.
TEST_F(RunLife, PatienceEndsARunThatGetsNoBetter) {
  TrainOptions o = options("exp", 20);
  o.lr0 = o.lr_end = o.bn_momentum = 1e-12;
  o.patience = 2;
  const TrainResult end = train(o, "");
  EXPECT_EQ(end.epochs_done, 3);
  EXPECT_EQ(end.ended, "no better mAP50 for 2 epochs (--patience 2)");
  EXPECT_EQ(at_end(end).model.facts.at("ended"), end.ended);
  EXPECT_EQ(rows(end.run_directory).size(), 3u);
  o.resume = true;
  EXPECT_EQ(train(o, "", [](int64_t) { FAIL() << "it is over"; }).ended, end.ended);
  o.patience = 3;
  EXPECT_EQ(train(o, "").epochs_done, 4) << "with more of it, the run goes on";
}

TEST_F(RunLife, PatienceCountsThroughAResume) {
  TrainOptions o = options("exp", 20);
  o.lr0 = o.lr_end = o.bn_momentum = 1e-12;
  o.patience = 3;
  train(o, "", [](int64_t batches) {
    if (batches == 7) std::raise(SIGTERM);  // in the third epoch
  });
  clear_interrupt();
  EXPECT_EQ(load_checkpoint(o.project / "exp/weights")->position.unimproved, 1);
  o.resume = true;
  EXPECT_EQ(train(o, "").epochs_done, 4);
}

TEST_F(RunLife, TimeEndsARunAndItsCosine) {
  TrainOptions o = options("exp");
  o.epochs = 1;  // not asked
  o.time_s = 1.5;
  o.warmup_epochs = 0;
  const auto start = std::chrono::steady_clock::now();
  const TrainResult end = train(o, "");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_GT(seconds, 0.5 * o.time_s);
  EXPECT_LT(seconds, o.time_s + 1);
  EXPECT_TRUE(end.ended.starts_with("the time is up: ")) << end.ended;
  EXPECT_GT(end.epochs_done, 1);
  EXPECT_EQ(at_end(end).model.facts.at("ended"), end.ended);
  const std::vector<double> lr = rates(end.run_directory);
  EXPECT_EQ(lr.size(), static_cast<size_t>(end.epochs_done));
  EXPECT_LT(lr.back(), 0.25 * o.lr0);  // how near to 0 depends on how evenly the machine runs
  const std::string csv = read_file(end.run_directory / "results.csv");
  for (const std::string_view line : split_lines(csv)) {
    if (line.empty() || line.starts_with("epoch")) continue;
    EXPECT_GT(parse_number(split(line, ',').at(2)).value_or(0), 0) << "an epoch without a batch: " << line;
  }
  o.resume = true;
  EXPECT_EQ(train(o, "", [](int64_t) { FAIL() << "it is over"; }).epochs_done, end.epochs_done);
  o.time_s = at_end(end).position.seconds + at_end(end).position.closing_seconds + 1;
  EXPECT_GT(train(o, "").epochs_done, end.epochs_done) << "with more time, the run goes on";
}

// Stopped between the last batch that --time had room for and its judgement.
TEST_F(RunLife, AnEpochThatTheTimeHasCutIsJudgedOnResume) {
  TrainOptions o = options("exp");
  o.time_s = 1e-9;
  o.warmup_epochs = 0;
  const TrainResult stopped = train(o, "", [](int64_t) { std::raise(SIGTERM); });
  clear_interrupt();
  EXPECT_TRUE(stopped.interrupted);
  EXPECT_FALSE(fs::exists(stopped.run_directory / "results.csv"));
  o.resume = true;
  const TrainResult end = train(o, "", [](int64_t) { FAIL() << "no time for another batch"; });
  EXPECT_TRUE(end.ended.starts_with("the time is up: ")) << end.ended;
  EXPECT_EQ(at_end(end).model.facts.at("ended"), end.ended);
  ASSERT_EQ(rows(end.run_directory).size(), 1u);
  EXPECT_TRUE(fs::exists(end.run_directory / "weights/best.h5"));
}

TEST_F(RunLife, TheFirstUpdateOfATimeHasTheFullRate) {
  TrainOptions o = options("exp");
  o.time_s = 1e-9;
  o.warmup_epochs = 0;
  EXPECT_NEAR(rates(train(o, "").run_directory).at(0), o.lr0, 0.1 * o.lr0) << "no speed is known yet";
}

// Its rate is that of a run that ends there, not of --epochs, which does not count.
TEST_F(RunLife, AnEpochThatIsJudgedOnResumeHasTheRateOfTheTimesEnd) {
  TrainOptions o = options("exp");
  o.time_s = 1e6;
  o.warmup_epochs = 0;
  train(o, "", [](int64_t batches) {
    if (batches == 5) std::raise(SIGTERM);  // in the second epoch
  });
  clear_interrupt();
  o.resume = true;
  o.time_s = 1e-9;
  const TrainResult end = train(o, "", [](int64_t) { FAIL() << "no time for another batch"; });
  ASSERT_EQ(rows(end.run_directory).size(), 2u);
  EXPECT_LT(rates(end.run_directory)[1], 0.1 * o.lr0);  // update 5 of 6: (1 + cos(5/6 pi)) / 2 = 0.067
}

// One batch of four, then the time is up: its update is made all the same.
TEST_F(RunLife, GradientsThatWaitWhenTheTimeIsUpAreAnUpdate) {
  TrainOptions o = options("exp");
  o.time_s = 1e-9;
  o.warmup_epochs = 0;
  o.schedule = "constant";
  o.nominal_batch = 4 * o.batch;
  const Checkpoint end = at_end(train(o, ""));
  EXPECT_EQ(end.position.step, 1);
  EXPECT_EQ(end.state.values.at("accumulated"), "0");
  o.name = "plain";
  o.nominal_batch = 0;
  EXPECT_EQ(end.model.weights, at_end(train(o, "")).model.weights) << "the mean over one batch is the batch's";
}

TEST_F(RunLife, ARunThatGoesOnHasNotEnded) {
  TrainOptions o = options("exp", 1);
  EXPECT_EQ(at_end(train(o, "")).model.facts.at("ended"), "all 1 epochs are done");
  o.resume = true;
  o.epochs = 2;
  const TrainResult stopped = train(o, "", [](int64_t) { std::raise(SIGTERM); });
  clear_interrupt();
  EXPECT_EQ(at_end(stopped).model.facts.count("ended"), 0u);
}

// A validation loss may be no number while the training's is one.
TEST_F(RunLife, RowsOfLossesThatAreNoNumbersSurviveAResume) {
  ResultsCsv before(folder_ / "results.csv");
  before.add({.epoch = 0, .box_loss = 1, .val_box_loss = NAN, .val_obj_loss = INFINITY, .validated = true});
  before.add({.epoch = 1, .box_loss = 2, .val_box_loss = -INFINITY, .validated = true});
  ResultsCsv after(folder_ / "other.csv");
  after.take_over(before.text(), 2);
  EXPECT_EQ(after.records().size(), 2u);
  EXPECT_EQ(after.text(), before.text());
}

// --- What is refused -------------------------------------------------------------------------------------------------

TEST_F(RunLife, PicturesWithoutObjectsAreRefused) {
  write_file(folder_ / "empty.ppm", "P6 64 64 255\n" + std::string(64 * 64 * 3, 'g'));
  write_file(folder_ / "train.txt", "empty.ppm\n");
  write_file(folder_ / "data.yaml", "train: train.txt\nval: train.txt\nnames: [a, b, c, d, e, f, g, h, i, j]\n");
  TrainOptions o = options("exp");
  o.data.data = (folder_ / "data.yaml").string();
  for (const bool validate : {true, false}) {
    o.validate = validate;
    const std::string message = error_of([&] { train(o, ""); });
    EXPECT_NE(message.find("the train split's 1 pictures have no objects"), std::string::npos) << message;
  }
  EXPECT_FALSE(fs::exists(o.project / "exp"));
}

TEST_F(RunLife, RefusesWhatCannotWork) {
  const auto refuse = [&](const std::string& word, auto change) {
    TrainOptions o = options("refused");
    change(o);
    Error::Kind kind = Error::Kind::failure;
    const std::string message = error_of([&] {
      try {
        train(o, "");
      } catch (const Error& error) {
        kind = error.kind();
        throw;
      }
    });
    EXPECT_NE(message.find(word), std::string::npos) << message;
    EXPECT_EQ(kind, Error::Kind::usage) << message;
    EXPECT_FALSE(fs::exists(o.project / "refused"));
  };
  refuse("--schedule", [](TrainOptions& o) { o.schedule = "poly"; });
  refuse("--warmup", [](TrainOptions& o) { o.warmup = "quick"; });
  refuse("--steps", [](TrainOptions& o) { o.schedule = "steps", o.steps = {}; });
  refuse("--steps", [](TrainOptions& o) { o.steps = {0.9, 0.8}; });
  refuse("--steps", [](TrainOptions& o) { o.steps = {1}; });
  refuse("--steps", [](TrainOptions& o) { o.steps = {0, 0.5}; });
  refuse("--steps", [](TrainOptions& o) { o.steps = {NAN}; });
  refuse("--step-scale", [](TrainOptions& o) { o.step_scale = 0; });
  refuse("--step-scale", [](TrainOptions& o) { o.step_scale = 1; });
  refuse("--optimizer adamw", [](TrainOptions& o) { o.optimizer = "adamw"; });
  refuse("--nesterov", [](TrainOptions& o) { o.nesterov = true; });
  refuse("--nesterov", [](TrainOptions& o) { o.optimizer = "sgd", o.momentum = 0, o.nesterov = true; });
  refuse("--patience", [](TrainOptions& o) { o.patience = -1; });
  refuse("--patience", [](TrainOptions& o) { o.patience = 2, o.validate = false; });
  refuse("--time", [](TrainOptions& o) { o.time_s = -1; });
  refuse("--save-every", [](TrainOptions& o) { o.save_every_s = NAN; });
  refuse("--on-nan", [](TrainOptions& o) { o.on_nan = "pray"; });
  refuse("--multi-scale 100: sizes are multiples of 32 up to 8192, e.g. 96", [](TrainOptions& o) {
    o.multi_scale = {64, 100};
  });
  refuse("--freeze 24", [](TrainOptions& o) { o.freeze = "24"; });
  refuse("--name 'a/b'", [](TrainOptions& o) { o.name = "a/b"; });
  refuse("--device gpu", [](TrainOptions& o) { o.device = "gpu"; });
  refuse("--nominal-batch 3", [](TrainOptions& o) { o.nominal_batch = 3; });
  refuse("--head-balance 1", [](TrainOptions& o) { o.loss.head_balance = {1, 1}; });
  refuse("--class-weights 1,2", [](TrainOptions& o) { o.class_weights = "1,2"; });
  refuse("--training-plan", [](TrainOptions& o) { o.training_plan = "garbage"; });
  refuse("--training-plan \"\" drops it", [](TrainOptions& o) { o.training_plan = "a plan", o.engine = "torch"; });
  refuse("--overfit 8: --batch auto", [](TrainOptions& o) { o.overfit = 8, o.batch = kAutoBatch; });
  refuse("--close-mosaic 1: with --time",
         [](TrainOptions& o) { o.augment.mosaic = 1, o.close_mosaic = 1, o.time_s = 1, o.resume = true; });
}

}  // namespace
}  // namespace yolov3
