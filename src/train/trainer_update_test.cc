// How a run's updates are made: several batches each, averaged weights, SGD, frozen layers.
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>

#include "base/text.h"
#include "format/model_file.h"
#include "train/checkpoint.h"
#include "train/setup.h"
#include "train/test_run.h"
#include "train/trainer.h"
#include "train/validate.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

class TrainerUpdateTest : public TrainingRunTest {
 protected:
  Weights initial_weights(const TrainOptions& o) const {
    return make_initial_weights(o, spec_, {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
  }
  static Weights weights_in(const TrainResult& result, const std::string& name) {
    return load_model(result.run_directory / "weights" / name).weights;
  }
};

// The options of each, with the batches after which the run is stopped and resumed: bit for bit the run that was not.
TEST_F(TrainerUpdateTest, SlowResumeGivesTheSameBits) {
  const auto run = [&](const std::string& name, const std::vector<int64_t>& stops, auto change) {
    SCOPED_TRACE(name);
    TrainOptions whole = options(name + "-whole");
    change(whole);
    const Checkpoint want = at_end(train(whole, ""));
    for (const int64_t stop : stops) {
      SCOPED_TRACE(stop);
      TrainOptions stopped = options(name + std::to_string(stop));
      change(stopped);
      EXPECT_TRUE(train(stopped, "", [&](int64_t batches) {
                    if (batches == stop) std::raise(SIGTERM);
                  }).interrupted);
      clear_interrupt();
      stopped.resume = true;
      const Checkpoint got = at_end(train(stopped, ""));
      EXPECT_EQ(got.model.weights, want.model.weights);
      EXPECT_EQ(got.state.tensors, want.state.tensors);
      EXPECT_EQ(got.position.step, want.position.step);
    }
  };
  run("sgd", {2}, [](TrainOptions& o) { o.optimizer = "sgd", o.weight_decay = 0.01; });
  run("ema", {2, 4}, [](TrainOptions& o) { o.ema = 0.99; });
  // Updates of 2 batches and 1: stopped with sums waiting (1, 4), after an update (2) and after an epoch (3).
  run("nominal", {1, 2, 3, 4}, [](TrainOptions& o) { o.nominal_batch = 7, o.clip_norm = 0.1; });
  run("all", {1, 5}, [](TrainOptions& o) { o.optimizer = "sgd", o.ema = 0.9, o.nominal_batch = 100, o.freeze = "2"; });
}

TEST_F(TrainerUpdateTest, StepsCountUpdates) {
  TrainOptions o = options("exp");
  o.nominal_batch = 8;
  int64_t batches = 0;
  const TrainResult result = train(o, "", [&](int64_t done) { EXPECT_EQ(done, ++batches); });
  EXPECT_EQ(batches, 6);
  EXPECT_EQ(at_end(result).position.step, 4) << "8 and 2 pictures an epoch";
  // Warm-up of one epoch is 2 updates, so the first epoch ends at the full rate, the second at the last one.
  const std::string csv = read_file(result.run_directory / "results.csv");
  const auto rate = [&](size_t line) { return *parse_number(split(split_lines(csv)[line], ',').back()); };
  EXPECT_NEAR(rate(1), o.lr0, 1e-9);
  EXPECT_NEAR(rate(2), o.lr_end, 1e-9);
}

TEST_F(TrainerUpdateTest, NothingIsUpdatedUntilTheNominalBatchIsFull) {
  TrainOptions o = options("exp");
  o.nominal_batch = 12;
  train(o, "", [](int64_t batches) {
    if (batches == 2) std::raise(SIGTERM);
  });
  const Checkpoint checkpoint = *load_checkpoint(o.project / "exp/weights");
  EXPECT_EQ(checkpoint.position.step, 0);
  EXPECT_EQ(checkpoint.position.next_batch, 2);
  const Weights initial = initial_weights(o);
  const std::vector<ParamSlot> slots = param_slots(spec_);
  for (size_t i = 0; i < slots.size(); ++i) {
    EXPECT_EQ(checkpoint.model.weights.tensors[i] == initial.tensors[i], slots[i].trainable) << slots[i].name;
    EXPECT_EQ(checkpoint.state.tensors.contains("sum/" + slots[i].name), slots[i].trainable) << slots[i].name;
  }
}

// One update an epoch, so that the weights of each epoch are those after each update. The average changes nothing of
// the training, and is what plain loops make of the weights without it.
TEST_F(TrainerUpdateTest, TheAverageIsWhatIsSavedAndJudged) {
  TrainOptions plain = options("plain", 3), averaged = options("averaged", 3);
  plain.batch = averaged.batch = 16;
  plain.save_period = averaged.save_period = 1;
  averaged.ema = 0.9;
  const TrainResult without = train(plain, ""), with = train(averaged, "");
  Weights average = initial_weights(plain);
  for (int epoch = 0; epoch < 3; ++epoch) {
    const std::string name = "epoch-" + std::to_string(epoch) + ".h5";
    const Weights trained = weights_in(without, name);
    const auto rate = static_cast<float>(1 - 0.9 * (1 - std::exp(-(epoch + 1) / 2000.0)));
    for (size_t i = 0; i < trained.tensors.size(); ++i) {
      for (int64_t k = 0; k < trained.tensors[i].size(); ++k) {
        float& value = average.tensors[i][k];
        value = value + rate * (trained.tensors[i][k] - value);
      }
    }
    EXPECT_EQ(weights_in(with, name), average) << "statistics too, after epoch " << epoch;
    EXPECT_NE(average, trained);
  }
  const Checkpoint last = at_end(with);
  EXPECT_EQ(last.model.weights, average);
  const Model best = load_model(with.run_directory / "weights/best.h5");
  EXPECT_EQ(best.weights, weights_in(with, "epoch-" + best.facts.at("epoch") + ".h5"));
  const std::vector<ParamSlot> slots = param_slots(spec_);
  for (size_t i = 0; i < slots.size(); ++i) {
    EXPECT_EQ(last.state.tensors.at("trained/" + slots[i].name), weights_in(without, "last.h5").tensors[i]);
  }

  DefectReport report;
  const Dataset val = load_dataset(averaged.data, "val", report);
  Ranks alone;
  const Validation judged = validate(spec_, average, torch::kCPU, false, val, averaged, {}, alone);
  const std::string csv = read_file(with.run_directory / "results.csv");
  const auto fields = split(split_lines(csv)[3], ',');
  EXPECT_NEAR(*parse_number(fields[9]), judged.box_loss, 1e-4 * judged.box_loss);
  EXPECT_NEAR(*parse_number(fields[10]), judged.obj_loss, 1e-4 * judged.obj_loss);
}

TEST_F(TrainerUpdateTest, FrozenLayersStayBitForBit) {
  for (const bool sgd : {false, true}) {
    TrainOptions o = options(sgd ? "sgd" : "adam");
    o.optimizer = sgd ? "sgd" : "adam";
    o.freeze = "3";
    o.ema = 0.9;
    o.weight_decay = 0.1;
    const Checkpoint end = at_end(train(o, ""));
    const Weights initial = initial_weights(o);
    const std::vector<ParamSlot> slots = param_slots(spec_);
    for (size_t i = 0; i < slots.size(); ++i) {
      const bool same = end.model.weights.tensors[i] == initial.tensors[i];
      EXPECT_EQ(same, slots[i].layer < 3) << slots[i].name;
      EXPECT_EQ(end.state.tensors.contains("trained/" + slots[i].name), slots[i].layer >= 3) << slots[i].name;
    }
  }
}

TEST_F(TrainerUpdateTest, SgdLowersTheLoss) {
  TrainOptions o = options("exp", 12);
  o.validate = false;
  o.optimizer = "sgd";
  o.lr0 = 1e-2;
  o.clip_norm = 10;
  train(o, "");
  const std::string text = read_file(o.project / "exp/results.csv");
  const auto loss = [&](size_t line) {
    const auto fields = split(split_lines(text)[line], ',');
    return *parse_number(fields[2]) + *parse_number(fields[3]) + *parse_number(fields[4]);
  };
  EXPECT_LT(loss(12), 0.5 * loss(1));
}

TEST_F(TrainerUpdateTest, ResumeRefusesWhatItCannotGoOnWith) {
  TrainOptions o = options("exp");
  o.nominal_batch = 8;
  train(o, "", [](int64_t batches) {
    if (batches == 1) std::raise(SIGTERM);
  });
  clear_interrupt();
  o.resume = true;
  const auto refuse = [&](const std::string& word, auto change) {
    TrainOptions other = o;
    change(other);
    try {
      train(other, "");
      FAIL() << word;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("args.toml"), std::string::npos) << error.what();
    }
  };
  refuse("--optimizer sgd", [](TrainOptions& t) { t.optimizer = "sgd"; });
  refuse("--ema 0.9", [](TrainOptions& t) { t.ema = 0.9; });
  refuse("--freeze 1", [](TrainOptions& t) { t.freeze = "1"; });
  refuse("--nominal-batch 12", [](TrainOptions& t) { t.nominal_batch = 12; });
  EXPECT_EQ(train(o, "").epochs_done, 2);
}

TEST_F(TrainerUpdateTest, OptionsThatCannotWorkAreRefused) {
  const auto refuse = [&](auto change) {
    TrainOptions o = options("refused");
    change(o);
    EXPECT_THROW(train(o, ""), Error);
    EXPECT_FALSE(fs::exists(o.project / "refused"));
  };
  refuse([](TrainOptions& o) { o.optimizer = "lion"; });
  refuse([](TrainOptions& o) { o.momentum = 1; });
  refuse([](TrainOptions& o) { o.momentum = -0.1; });
  refuse([](TrainOptions& o) { o.ema = 1; });
  refuse([](TrainOptions& o) { o.ema = NAN; });
  refuse([](TrainOptions& o) { o.nominal_batch = 3; });  // --batch 4
  refuse([](TrainOptions& o) { o.nominal_batch = -8; });
  refuse([](TrainOptions& o) { o.clip_norm = -1; });
  refuse([](TrainOptions& o) { o.freeze = "-1"; });
  refuse([](TrainOptions& o) { o.freeze = "all"; });
  refuse([](TrainOptions& o) { o.freeze = "7"; });         // the last convolution is layer 6
  refuse([](TrainOptions& o) { o.freeze = "backbone"; });  // no backbone that is known
}

TEST(FrozenLayers, AreCountedAsDarknetDoes) {
  TrainOptions o;
  EXPECT_EQ(frozen_layers(o, make_training_spec(o, {"a"})), 0);
  o.freeze = "backbone";
  EXPECT_EQ(frozen_layers(o, make_training_spec(o, {"a"})), 75);
  o.freeze = "36";
  EXPECT_EQ(frozen_layers(o, make_training_spec(o, {"a"})), 36);
}

// Layer 4 is trained by nobody, for it leads to no head.
TEST(FrozenLayers, LeaveSomethingToTrain) {
  NetworkBuilder net({3, 32, 32});
  net.conv(8, 3, 2).conv(6, 1, 1, Activation::linear, false).yolo({{4, 4}}, {0}, 1).route({0}).conv(8, 3);
  const NetworkSpec spec = net.build();
  TrainOptions o;
  o.freeze = "1";
  EXPECT_EQ(frozen_layers(o, spec), 1);
  o.freeze = "2";
  EXPECT_THROW(frozen_layers(o, spec), Error);
  o.freeze = "0";
  EXPECT_THROW(frozen_layers(o, NetworkBuilder({6, 32, 32}).maxpool(2, 2).yolo({{4, 4}}, {0}, 1).build()), Error)
      << "no parameters at all";
}

TEST(BatchesPerUpdate, FillTheNominalBatch) {
  TrainOptions o;
  o.batch = 8;
  for (const auto& [nominal, batches] : {std::pair{0, 1}, {8, 1}, {9, 2}, {64, 8}, {65, 9}}) {
    o.nominal_batch = nominal;
    EXPECT_EQ(batches_per_update(o), batches) << nominal;
  }
}

// --- The rates of a run -----------------------------------------------------------------------------------------------

// 3 updates an epoch; results.csv has the rate of each epoch's last.
TEST_F(TrainerUpdateTest, SchedulesSetTheRates) {
  const auto rates_of = [&](const std::string& name, auto change) {
    TrainOptions o = options(name, 5);
    o.validate = false;
    o.lr0 = 0.01;
    o.lr_end = 0.001;
    o.warmup_epochs = 2;
    change(o);
    return rates(train(o, "").run_directory);
  };
  const auto expect = [](const std::vector<double>& got, const std::vector<double>& want) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-5 * want[i]) << i;  // six digits
  };
  expect(rates_of("constant", [](TrainOptions& o) { o.schedule = "constant"; }), {0.005, 0.01, 0.01, 0.01, 0.01});
  expect(rates_of("linear", [](TrainOptions& o) { o.schedule = "linear"; }), {0.005, 0.01, 0.007, 0.004, 0.001});
  // Drops at updates 9 and 12 of 15.
  expect(rates_of("steps",
                  [](TrainOptions& o) {
                    o.schedule = "steps", o.steps = {0.6, 0.8}, o.step_scale = 0.5;
                  }),
         {0.005, 0.01, 0.005, 0.0025, 0.0025});
  expect(rates_of("darknet", [](TrainOptions& o) { o.schedule = "constant", o.warmup = "darknet"; }),
         {0.01 / 16, 0.01, 0.01, 0.01, 0.01});
}

TEST_F(TrainerUpdateTest, NesterovAndAdamwTrain) {
  const auto weights_of = [&](const std::string& name, auto change) {
    TrainOptions o = options(name, 1);
    o.weight_decay = 0.01;
    change(o);
    return at_end(train(o, "")).model.weights;
  };
  const Weights adam = weights_of("adam", [](TrainOptions&) {});
  EXPECT_EQ(weights_of("adamw", [](TrainOptions& o) { o.optimizer = "adamw"; }), adam) << "a name";
  const Weights sgd = weights_of("sgd", [](TrainOptions& o) { o.optimizer = "sgd"; });
  EXPECT_NE(weights_of("nesterov", [](TrainOptions& o) { o.optimizer = "sgd", o.nesterov = true; }), sgd);
}

TEST_F(TrainerUpdateTest, AdamAndAdamwGoOnWithEachOther) {
  TrainOptions o = options("exp", 1);
  o.weight_decay = 0.01;
  train(o, "");
  o.resume = true;
  o.epochs = 2;
  o.optimizer = "adamw";
  EXPECT_EQ(train(o, "").epochs_done, 2);
}

}  // namespace
}  // namespace yolov3
