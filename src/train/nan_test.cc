// Steps that are not finite: what --on-nan does about them, what a run leaves behind for `yolov3 replay`, and what that
// says. The runs are of a network whose frozen first layers overflow float32 on any picture that is not black.
#include <gtest/gtest.h>

#include <cmath>

#include "format/model_file.h"
#include "train/checkpoint.h"
#include "train/recovery.h"
#include "train/replay.h"
#include "train/test_run.h"
#include "train/trainer.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

class NanRun : public TrainingRunTest {
 protected:
  NanRun() {
    NetworkBuilder net({3, 64, 64});
    net.conv(4, 3, 2, Activation::linear, false).conv(4, 3, 2, Activation::linear, false);
    net.conv(8, 3, 2, Activation::linear, false).conv(18, 1, 1, Activation::linear, false);
    net.yolo({{10, 12}, {18, 24}, {30, 36}}, {0, 1, 2}, 1);
    overflowing_ = net.build();
    write_file(folder_ / "overflowing.cfg", write_cfg(overflowing_));
    Model model{overflowing_, random_weights(overflowing_), {"a"}, {}, {}};
    const std::vector<ParamSlot> slots = param_slots(overflowing_);
    for (size_t i = 0; i < slots.size(); ++i) {
      if (slots[i].layer > 1 || slots[i].kind != ParamKind::kernel) continue;
      for (float& value : model.weights.tensors[i].values()) value = 1e20f;
    }
    save_model(folder_ / "overflowing.h5", model);
  }

  // So many black and white pictures, each with the box 10,10,30,34.
  void write_pictures(int black, int white) const {
    std::string lines;
    const auto add = [&](const std::string& name, char shade) {
      write_file(folder_ / name, "P6\n64 64\n255\n" + std::string(64 * 64 * 3, shade));
      lines += name + " 10,10,30,34,0\n";
    };
    for (int i = 0; i < black; ++i) add(fmt::format("black{}.ppm", i), '\0');
    const std::string val = black > 0 ? "black0.ppm 10,10,30,34,0\n" : "";
    for (int i = 0; i < white; ++i) add(fmt::format("white{}.ppm", i), '\xff');
    write_file(folder_ / "train.txt", lines);
    write_file(folder_ / "val.txt", val.empty() ? lines : val);
    write_file(folder_ / "data.yaml", "train: train.txt\nval: val.txt\nnames: [a]\n");
  }

  TrainOptions run_of(const std::string& name, const std::string& on_nan) const {
    TrainOptions o = options(name);
    o.data.data = (folder_ / "data.yaml").string();
    o.model = (folder_ / "overflowing.cfg").string();
    o.weights = folder_ / "overflowing.h5";
    o.freeze = "2";
    o.augment = {0, 0, 0};  // moved pictures have a grey border
    o.batch = 1;
    o.on_nan = on_nan;
    return o;
  }

  static std::string message_of(const TrainOptions& o) {
    try {
      train(o, "");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  static std::vector<fs::path> replays(const fs::path& run) {
    std::vector<fs::path> files = list_files(run);
    std::erase_if(files, [](const fs::path& file) { return !file.filename().string().starts_with("replay-"); });
    return files;
  }

  NetworkSpec overflowing_;
};

void expect_parts(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
}

TEST_F(NanRun, StopNamesEverythingAndLeavesTheStepBehind) {
  write_pictures(3, 1);
  const TrainOptions o = run_of("exp", "stop");
  const std::string message = message_of(o);
  const auto files = replays(o.project / "exp");
  ASSERT_EQ(files.size(), 1u);
  expect_parts(message, {"white0.ppm", "train.txt:4", "layer 1's", "in layer 0", "--on-nan stop",
                         "yolov3 replay " + files[0].string(), "last.h5 holds the run up to there"});
  EXPECT_EQ(load_checkpoint(o.project / "exp/weights")->position.skipped, 0);
}

TEST_F(NanRun, SkipLeavesTheBatchOut) {
  write_pictures(5, 1);
  const TrainOptions o = run_of("exp", "skip");
  const TrainResult end = train(o, "");
  EXPECT_EQ(end.epochs_done, 2);
  const Checkpoint last = *load_checkpoint(end.run_directory / "weights");
  EXPECT_EQ(last.position.skipped, 2) << "once an epoch";
  EXPECT_EQ(last.position.step, 2 * 5);
  EXPECT_EQ(last.model.facts.at("skipped_batches"), "2");
  EXPECT_FALSE(last.model.facts.contains("rollbacks"));
  EXPECT_EQ(replays(end.run_directory).size(), 2u);
  EXPECT_EQ(read_file(end.run_directory / "results.csv").find("nan"), std::string::npos);
}

TEST_F(NanRun, SkipStillMakesTheUpdateOfTheOtherBatches) {
  write_pictures(3, 1);
  TrainOptions o = run_of("exp", "skip");
  o.nominal_batch = 4;
  o.epochs = 4;
  const Checkpoint last = *load_checkpoint(train(o, "").run_directory / "weights");
  EXPECT_EQ(last.position.skipped, 4);
  EXPECT_EQ(last.position.step, 4) << "one an epoch, wherever the picture that is left out stands";
}

TEST_F(NanRun, SkipGivesUpWhenItNeverEnds) {
  write_pictures(0, 12);
  const TrainOptions o = run_of("exp", "skip");
  expect_parts(message_of(o), {"batch 11", "10 batches in a row"});
  EXPECT_EQ(load_checkpoint(o.project / "exp/weights")->position.skipped, 10);
  EXPECT_EQ(replays(o.project / "exp").size(), static_cast<size_t>(kMostReplays));
}

TEST_F(NanRun, RollbackGivesUpAfterThreeTimesAtAnEighthOfTheRate) {
  write_pictures(3, 1);
  TrainOptions o = run_of("exp", "rollback");
  expect_parts(message_of(o), {"rolled back 3 times", "white0.ppm"});
  const Checkpoint last = *load_checkpoint(o.project / "exp/weights");
  EXPECT_EQ(last.position.rollbacks, 3);
  EXPECT_EQ(last.position.rate_scale, 0.125);
}

// A rate so high that the run ends, while half of it does not (found by bisection): rolled back once, to the beginning,
// it is the run at half the rate, bit for bit.
TEST_F(NanRun, RollbackGoesOnAtHalfTheRate) {
  const auto at_rate = [&](const std::string& name, double lr0, const std::string& on_nan) {
    TrainOptions o = options(name, 1);  // no checkpoint but that of the beginning
    o.optimizer = "sgd";
    o.momentum = 0;
    o.schedule = "constant";
    o.warmup_epochs = 0;
    o.validate = false;
    o.lr0 = lr0;
    o.on_nan = on_nan;
    return o;
  };
  int good = 0, bad = 120;  // lr0 = 2^k
  while (bad - good > 1) {
    const int middle = (good + bad) / 2;
    const std::string message = message_of(at_rate(fmt::format("try{}", middle), std::ldexp(1.0, middle), "stop"));
    (message.empty() ? good : bad) = middle;
  }
  ASSERT_LT(bad, 120);
  const TrainResult half = train(at_rate("half", std::ldexp(1.0, good), "stop"), "");
  const TrainResult rolled = train(at_rate("rolled", std::ldexp(1.0, bad), "rollback"), "");
  const Checkpoint got = *load_checkpoint(rolled.run_directory / "weights");
  EXPECT_EQ(got.position.rollbacks, 1);
  EXPECT_EQ(got.position.rate_scale, 0.5);
  EXPECT_EQ(got.model.facts.at("rollbacks"), "1");
  const Checkpoint want = *load_checkpoint(half.run_directory / "weights");
  EXPECT_EQ(got.model.weights, want.model.weights);
  EXPECT_EQ(got.state.tensors, want.state.tensors);
}

TEST(Recovery, GivesUpByItsLimits) {
  EXPECT_NE(why_given_up(OnNan::stop, {}), "");
  EXPECT_EQ(why_given_up(OnNan::skip, {.skipped = 99, .skipped_in_row = kMostSkippedInRow - 1}), "");
  EXPECT_NE(why_given_up(OnNan::skip, {.skipped_in_row = kMostSkippedInRow}), "");
  EXPECT_EQ(why_given_up(OnNan::rollback, {.rollbacks = kMostRollbacks - 1}), "");
  EXPECT_NE(why_given_up(OnNan::rollback, {.rollbacks = kMostRollbacks}), "");
  EXPECT_THROW(parse_on_nan("ignore"), Error);
}

// The commonest cause: no arithmetic would help, and none is advised.
TEST_F(NanRun, ADivergedRunIsToldAsSuch) {
  TrainOptions o = options("exp", 20);
  o.optimizer = "sgd";
  o.lr0 = 10;
  o.warmup_epochs = 0;
  o.schedule = "constant";
  o.validate = false;
  o.engine = "torch";
  expect_parts(message_of(o), {"--resume comes to this step again", "lower --lr0"});
  const ReplayReport report = replay_step(load_replay(replays(o.project / "exp").at(0)), o);
  EXPECT_FALSE(report.as_trained.value_or(true));
  expect_parts(report.text, {"a run that has diverged", "--lr0"});
  EXPECT_EQ(report.text.find("--engine torch"), std::string::npos) << report.text;
  EXPECT_EQ(report.text.find("--precision f32"), std::string::npos) << report.text;
}

// --- Replay -----------------------------------------------------------------------------------------------------------

TEST_F(NanRun, AReplayFileGivesBackTheStep) {
  ReplayCase step;
  step.model = {spec_, random_weights(spec_), {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, {}, {}};
  step.batch.images = Tensor({2, 3, 32, 64});
  for (int64_t i = 0; i < step.batch.images.size(); ++i) step.batch.images[i] = static_cast<float>(i) * 0.1f;
  step.batch.images[7] = NAN;
  step.batch.objects_net = {{},
                            {{.box = {1.25f, 2, 33, 4.5f}, .class_id = 9, .difficult = true, .area = 77},
                             {.box = {0, 0, 5, 6}, .crowd = true}}};
  step.pictures = {"a.jpg", "b c.jpg"};
  step.origins = {"", "list.txt:7"};
  step.sums["layer0.kernel"] = Tensor({8, 3, 3, 3});
  step.sums["layer0.kernel"][5] = 2.5f;
  step.accumulated = 6;
  step.update = false;
  step.lr = 0.1;
  step.epoch = 3;
  step.batch_in_epoch = 4;
  step.step = 5;
  step.draws = -8;
  step.reason = "no\nreason";
  step.args_toml = "seed = 1\n";
  step.plan = "torch";
  save_replay(folder_ / "replay.h5", step);
  const ReplayCase got = load_replay(folder_ / "replay.h5");
  EXPECT_EQ(got.model.weights, step.model.weights);
  EXPECT_EQ(got.model.spec, spec_);
  EXPECT_EQ(got.batch.images.shape(), step.batch.images.shape());
  EXPECT_TRUE(std::isnan(got.batch.images[7]));
  EXPECT_EQ(got.batch.images[8], 0.8f);
  EXPECT_EQ(got.batch.objects_net, step.batch.objects_net);
  EXPECT_EQ(got.pictures, step.pictures);
  EXPECT_EQ(got.origins, step.origins);
  EXPECT_EQ(got.sums, step.sums);
  EXPECT_EQ(got.accumulated, 6);
  EXPECT_FALSE(got.update);
  EXPECT_EQ(got.lr, 0.1);
  EXPECT_EQ(got.epoch, 3);
  EXPECT_EQ(got.batch_in_epoch, 4);
  EXPECT_EQ(got.step, 5);
  EXPECT_EQ(got.draws, -8);
  EXPECT_EQ(got.reason, step.reason);
  EXPECT_EQ(got.args_toml, step.args_toml);
  EXPECT_EQ(got.plan, step.plan);
  fs::resize_file(folder_ / "replay.h5", 5000);
  EXPECT_THROW(load_replay(folder_ / "replay.h5"), Error);
}

TEST_F(NanRun, AnyOtherFileIsNoReplay) {
  train(options("exp", 1), "");
  for (const char* file : {"last.h5", "best.h5"}) {
    try {
      load_replay(folder_ / "runs/exp/weights" / file);
      ADD_FAILURE() << file;
    } catch (const Error& error) {
      expect_parts(error.what(), {file, "batch/images", "not a step to replay"});
    }
  }
}

// The overflow is float32's alone: in float64 the step is finite. Layer 1 is the first whose map is not; by hand, layer
// 0's inner cells are 27 * 1e20 on the white picture.
TEST_F(NanRun, ReplayFindsAnOverflow) {
  write_pictures(3, 1);
  const TrainOptions o = run_of("exp", "stop");
  message_of(o);
  const ReplayReport report = replay_step(load_replay(replays(o.project / "exp").at(0)), o);
  ASSERT_TRUE(report.as_trained.has_value());
  EXPECT_FALSE(*report.as_trained);
  EXPECT_FALSE(report.reference);
  EXPECT_TRUE(report.libtorch);
  expect_parts(report.text,
               {"white0.ppm", "1 boxes", "As trained (oneDNN in f32): not finite",
                "Reference engine in f32, forwards: not finite",
                "layer 1's (convolutional, 4 filters of 3x3), the largest number before it is 2.7e+21, in "
                "layer 0",
                "LibTorch in float64: finite", "box 10.0,10.0,30.0,34.0 of class a", "leave the range of float32"});
  EXPECT_FALSE(replay_step(load_replay(replays(o.project / "exp").at(0)), o, "f32").libtorch);
}

// No file of weights may hold one (it is refused when read), so the case is made in memory.
TEST_F(NanRun, ReplayFindsAWeightThatIsNoNumber) {
  ReplayCase step;
  step.model = {spec_, random_weights(spec_), {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, {}, {}};
  const std::vector<ParamSlot> slots = param_slots(spec_);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].name == "layer3.gamma") step.model.weights.tensors[i][2] = NAN;
  }
  step.batch.images = Tensor({1, 3, 64, 64});
  step.batch.objects_net = {{{.box = {10, 10, 30, 34}}}};
  step.batch.examples = {0};
  step.pictures = {"a.jpg"};
  step.origins = {""};
  step.plan = "torch";
  const ReplayReport report = replay_step(step, options("none"));
  EXPECT_FALSE(report.as_trained.value_or(true));
  EXPECT_FALSE(report.reference);
  EXPECT_FALSE(report.libtorch);
  expect_parts(report.text, {"layer3.gamma itself holds nan", "No arithmetic makes this step finite"});
}

// What each of the three ways says of the whole class loss, in its first line of losses.
std::vector<double> class_losses(const std::string& text) {
  std::vector<double> losses;
  for (const char* way : {"As trained", "Reference engine", "LibTorch in"}) {
    const size_t at = text.find(", prob ", text.find(way));
    if (at != std::string::npos) losses.push_back(std::strtod(text.c_str() + at + 7, nullptr));
  }
  return losses;
}

// Of a run that was not, replayed: all three ways agree on the losses.
TEST_F(NanRun, AHealthyStepIsFiniteEveryWay) {
  ReplayCase step;
  step.model = {overflowing_, random_weights(overflowing_), {"a"}, {}, {}};
  step.batch.images = Tensor({1, 3, 64, 64});
  for (float& value : step.batch.images.values()) value = 0.25f;
  step.batch.objects_net = {{{.box = {10, 10, 30, 34}}}};
  step.batch.examples = {0};
  step.pictures = {"a.jpg"};
  step.origins = {""};
  step.plan = "torch";
  TrainOptions o = run_of("none", "stop");
  const ReplayReport report = replay_step(step, o);
  EXPECT_TRUE(report.as_trained.value_or(false));
  EXPECT_TRUE(report.reference);
  EXPECT_TRUE(report.libtorch);
  expect_parts(report.text, {"As trained (LibTorch in f32): finite here", "all maps are finite", "2 positives",
                             "The step is finite here"});
  const std::vector<double> plain = class_losses(report.text);
  ASSERT_EQ(plain.size(), 3u) << report.text;
  step.class_weights = {3};
  save_replay(folder_ / "weighted.h5", step);
  const std::vector<double> weighted = class_losses(replay_step(load_replay(folder_ / "weighted.h5"), o).text);
  ASSERT_EQ(weighted.size(), 3u);
  for (size_t way = 0; way < 3; ++way) {  // f32 and f64 of a small network, printed with six digits
    EXPECT_NEAR(plain[way], plain[0], 1e-4 * plain[0]) << way;
    EXPECT_NEAR(weighted[way], 3 * plain[0], 3e-4 * plain[0]) << "--class-weights 3, " << way;
  }
}

}  // namespace
}  // namespace yolov3
