#include "train/trainer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <limits>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "data/synthetic.h"
#include "data/write.h"
#include "format/model_file.h"
#include "image/save.h"
#include "train/checkpoint.h"
#include "train/setup.h"
#include "train/test_run.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

class TrainerTest : public TrainingRunTest {};

TEST_F(TrainerTest, ARunLeavesWhatTheContractNames) {
  TrainOptions o = options("exp");
  o.save_period = 1;
  int64_t steps = 0;
  const TrainResult result = train(o, "epochs = 2\n", [&](int64_t step) { EXPECT_EQ(step, ++steps); });
  EXPECT_EQ(steps, 6);
  EXPECT_EQ(result.epochs_done, 2);
  EXPECT_FALSE(result.interrupted);
  EXPECT_EQ(result.run_directory, o.project / "exp");
  for (const char* name : {"args.toml", "results.csv", "train_batch0.jpg", "val_batch0_labels.jpg",
                           "val_batch0_pred.jpg", "loss.svg", "map.svg", "weights/last.h5", "weights/last.prev.h5",
                           "weights/best.h5", "weights/epoch-0.h5", "weights/epoch-1.h5"}) {
    EXPECT_TRUE(fs::exists(result.run_directory / name)) << name;
  }
  const std::string csv = read_file(result.run_directory / "results.csv");
  const auto lines = split_lines(csv);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0],
            "epoch,time,train/box_loss,train/obj_loss,train/cls_loss,metrics/precision,metrics/recall,metrics/mAP_0.5,"
            "metrics/mAP_0.5:0.95,val/box_loss,val/obj_loss,val/cls_loss,x/lr0");
  EXPECT_TRUE(lines[1].starts_with("0,"));
  EXPECT_TRUE(lines[2].starts_with("1,"));
  const Model model = load_model(result.run_directory / "weights/epoch-1.h5");
  EXPECT_EQ(model.spec, spec_);
  EXPECT_EQ(model.names, (std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}));
  EXPECT_EQ(model.weights, load_model(result.run_directory / "weights/last.h5").weights);
}

TEST_F(TrainerTest, TheSecondRunOfANameGetsItsOwnFolder) {
  train(options("exp", 1), "");
  EXPECT_EQ(train(options("exp", 1), "").run_directory.filename(), "exp2");
}

TEST_F(TrainerTest, TheSameSeedGivesTheSameWeightsForAnyWorkers) {
  TrainOptions a = options("a"), b = options("b");
  a.workers = 0;
  b.workers = 3;
  const auto weights = [](const TrainResult& result) {
    return load_model(result.run_directory / "weights/last.h5").weights;
  };
  EXPECT_EQ(weights(train(a, "")), weights(train(b, "")));
}

TEST_F(TrainerTest, LossFalls) {
  TrainOptions o = options("exp", 12);
  o.validate = false;
  o.lr0 = 1e-2;
  train(o, "");
  const std::string text = read_file(o.project / "exp/results.csv");
  const auto lines = split_lines(text);
  const auto loss = [&](size_t line) {
    const auto fields = split(lines[line], ',');
    return *parse_number(fields[2]) + *parse_number(fields[3]) + *parse_number(fields[4]);
  };
  EXPECT_LT(loss(12), 0.5 * loss(1));
}

TEST_F(TrainerTest, ClassWeightsAndImageWeightsChangeWhatIsLearnt) {
  const auto weights = [&](const std::string& name, auto change) {
    TrainOptions o = options(name, 1);
    o.validate = false;
    change(o);
    return load_model(train(o, "").run_directory / "weights/last.h5").weights;
  };
  const Weights plain = weights("plain", [](TrainOptions&) {});
  EXPECT_EQ(weights("ones", [](TrainOptions& o) { o.class_weights = "1,1,1,1,1,1,1,1,1,1"; }), plain);
  EXPECT_FALSE(weights("classes", [](TrainOptions& o) { o.class_weights = "9,1,1,1,1,1,1,1,1,1"; }) == plain);
  EXPECT_FALSE(weights("images", [](TrainOptions& o) { o.image_weights = 1; }) == plain);
}

// A signal in the middle of an epoch, then --resume: bit for bit the weights of the run that was never stopped.
TEST_F(TrainerTest, ResumeAfterASignalGivesTheSameBits) {
  for (const int64_t stop_at : {1, 3, 4}) {
    SCOPED_TRACE(stop_at);
    TrainOptions whole = options("whole"), stopped = options("stopped");
    whole.project = stopped.project = folder_ / ("runs" + std::to_string(stop_at));
    const TrainResult uninterrupted = train(whole, "");
    const TrainResult first = train(stopped, "", [&](int64_t step) {
      if (step == stop_at) std::raise(SIGTERM);
    });
    EXPECT_TRUE(first.interrupted);
    clear_interrupt();
    stopped.resume = true;
    const TrainResult second = train(stopped, "");
    EXPECT_FALSE(second.interrupted);
    EXPECT_EQ(second.run_directory, first.run_directory);
    const auto at_end = [](const TrainResult& r) { return load_checkpoint(r.run_directory / "weights"); };
    EXPECT_EQ(at_end(second)->model.weights, at_end(uninterrupted)->model.weights);
    EXPECT_EQ(at_end(second)->state.tensors, at_end(uninterrupted)->state.tensors);
    const auto losses = [](const TrainResult& r) {  // the csv without its time column
      std::string rows;
      const std::string text = read_file(r.run_directory / "results.csv");
      for (const std::string_view line : split_lines(text)) {
        const auto fields = split(line, ',');
        for (size_t i = 0; i < fields.size(); ++i) rows += i == 1 ? "" : std::string(fields[i]) + ",";
        rows += "\n";
      }
      return rows;
    };
    EXPECT_EQ(losses(second), losses(uninterrupted));
  }
}

TEST_F(TrainerTest, ResumeWithoutACheckpointStartsAndOfAFinishedRunDoesNothing) {
  TrainOptions o = options("exp", 1);
  o.resume = true;
  int steps = 0;
  const auto count = [&](int64_t) { ++steps; };
  EXPECT_EQ(train(o, "", count).epochs_done, 1);
  EXPECT_EQ(steps, 3);
  const TrainResult again = train(o, "", count);
  EXPECT_EQ(again.epochs_done, 1);
  EXPECT_EQ(steps, 3);
}

// A picture that vanishes while the run goes on ends it, but what was trained is kept.
TEST_F(TrainerTest, AnErrorInTheMiddleSavesWhatWasTrained) {
  const Dataset digits = synthetic_dataset(0, "train", 6);
  write_dataset(folder_ / "data", DataFormat::lines, {{"train", digits}, {"val", synthetic_dataset(0, "val", 2)}}, {});
  TrainOptions o = options("exp", 1);
  o.data.data = (folder_ / "data/data.yaml").string();
  o.batch = 3;
  try {
    train(o, "", [&](int64_t step) {
      if (step == 2) fs::remove_all(folder_ / "data/images/val");
    });
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("--resume"), std::string::npos) << error.what();
  }
  const std::optional<Checkpoint> checkpoint = load_checkpoint(o.project / "exp/weights");
  ASSERT_TRUE(checkpoint);
  EXPECT_EQ(checkpoint->position.step, 2);
}

TEST_F(TrainerTest, ResumeInTheMiddleOfAnEpochRefusesAnotherBatch) {
  TrainOptions o = options("exp");
  train(o, "", [](int64_t step) {
    if (step == 1) std::raise(SIGTERM);
  });
  clear_interrupt();
  o.resume = true;
  o.batch = 2;
  EXPECT_THROW(train(o, ""), Error);
}

TEST_F(TrainerTest, SlowOtherShapesOfTrainingRunAndResume) {
  const auto run = [&](const std::string& name, auto change) {
    SCOPED_TRACE(name);
    TrainOptions whole = options(name + "-whole"), stopped = options(name + "-stopped");
    change(whole);
    change(stopped);
    const TrainResult a = train(whole, "");
    const TrainResult b = train(stopped, "", [](int64_t step) {
      if (step == 1) std::raise(SIGINT);
    });
    clear_interrupt();
    stopped.resume = true;
    train(stopped, "");
    EXPECT_EQ(load_checkpoint(a.run_directory / "weights")->model.weights,
              load_checkpoint(b.run_directory / "weights")->model.weights);
  };
  run("nonsquare", [](TrainOptions& o) { o.width = 96; });
  run("bf16", [](TrainOptions& o) { o.precision = "bf16"; });
  run("multiscale", [](TrainOptions& o) { o.multi_scale = {32, 64, 96}, o.multi_scale_every = 2; });
  run("clipped", [](TrainOptions& o) { o.clip_norm = 0.1, o.weight_decay = 0.01; });
  run("augmented", [](TrainOptions& o) {
    o.augment.mosaic = o.augment.mixup = o.augment.noise = o.augment.hsv_s = 0.5;
    o.augment.degrees = 10, o.close_mosaic = 1, o.image_weights = 0.5, o.class_weights = "auto";
  });
  run("one picture", [](TrainOptions& o) { o.data.data = "synthetic:2", o.batch = 1; });
  run("batch over the set", [](TrainOptions& o) { o.data.data = "synthetic:3", o.batch = 16, o.epochs = 3; });
}

TEST_F(TrainerTest, ADamagedCheckpointFallsBackToTheOneBefore) {
  TrainOptions o = options("exp", 2);
  train(o, "");
  const fs::path last = o.project / "exp/weights/last.h5";
  fs::resize_file(last, fs::file_size(last) / 2);
  const std::optional<Checkpoint> checkpoint = load_checkpoint(last.parent_path());
  ASSERT_TRUE(checkpoint);
  EXPECT_EQ(checkpoint->path.filename(), "last.prev.h5");
  EXPECT_EQ(checkpoint->position.epoch, 1);
}

// Finite weights whose products overflow in the forward pass of the first step: 1e30 * 1e30.
TEST_F(TrainerTest, NonFiniteLossStopsBeforeAnythingIsTouchedAndNamesThePlace) {
  TrainOptions o = options("exp");
  Model model{spec_, make_initial_weights(o, spec_, std::vector<std::string>(10)), {}, {}};
  for (int digit = 0; digit < 10; ++digit) model.names.push_back(std::to_string(digit));
  const std::vector<ParamSlot> slots = param_slots(spec_);
  for (size_t i = 0; i < slots.size(); ++i) {
    Tensor& tensor = model.weights.tensors[i];
    if (slots[i].layer == 4 && slots[i].kind == ParamKind::gamma) {
      for (float& value : tensor.values()) value = 1e30f;
    } else if (slots[i].layer == 6 && slots[i].kind == ParamKind::kernel) {  // objectness of anchor 1 in the only head
      for (int64_t c = 0; c < 16; ++c) tensor[(15 + 4) * 16 + c] = 1e30f;
    }
  }
  save_model(folder_ / "planted.h5", model);
  o.weights = folder_ / "planted.h5";
  int steps = 0;
  try {
    train(o, "", [&](int64_t) { ++steps; });
    FAIL() << "no error";
  } catch (const Error& error) {
    const std::string message = error.what();
    for (const char* part :
         {"step 1", "synthetic", "head 0", "stride 8", "cell (gy 0, gx 0)", "anchor 1", "objectness = "}) {
      EXPECT_NE(message.find(part), std::string::npos) << part << " in: " << message;
    }
  }
  EXPECT_EQ(steps, 0);
  const Weights kept = load_model(o.project / "exp/weights/last.h5").weights;
  for (size_t i = 0; i < slots.size(); ++i) {
    for (int64_t k = 0; k < kept.tensors[i].size(); ++k) {
      ASSERT_EQ(kept.tensors[i][k], model.weights.tensors[i][k]) << slots[i].name << " " << k;
    }
  }
}

TEST_F(TrainerTest, AFullDiskNeverStopsTheRunNorTouchesTheLastCheckpoint) {
  TrainOptions o = options("exp", 1);
  train(o, "");
  const Weights before = load_model(o.project / "exp/weights/last.h5").weights;
  struct rlimit normal {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &normal), 0);
  struct rlimit full = normal;
  full.rlim_cur = 16384;  // files larger than this cannot be written, as on a full disk
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  o.epochs = 3;
  o.resume = true;
  int steps = 0;
  std::string message;
  try {
    train(o, "", [&](int64_t) { ++steps; });
  } catch (const Error& error) {
    message = error.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &normal);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(steps, 6) << "the run went on to its end";
  EXPECT_NE(message.find("could not be"), std::string::npos)
      << "and then said that its end is not on the disk: " << message;
  EXPECT_EQ(load_model(o.project / "exp/weights/last.h5").weights, before);
  for (const fs::directory_entry& entry : fs::directory_iterator(o.project / "exp/weights")) {
    const std::string name = entry.path().filename().string();
    EXPECT_TRUE(name == "last.h5" || name == "last.prev.h5" || name == "best.h5") << name;
  }
}

// What oneDNN cannot do is said before the run has a folder. Of a kernel of 101x101 in two groups it has nothing for maps
// of 64x64 on a Zen 5: the matrix that it would make of a picture has more than 2^31 numbers. On a Xeon it has.
TEST_F(TrainerTest, SlowWhatOneDnnCannotDoIsRefusedBeforeTheRun) {
  NetworkBuilder net({3, 32, 32});
  net.conv(64, 3).add(Conv{.filters = 2, .size = 101, .padding = 50, .groups = 2}, {0});
  net.conv(45, 1, 1, Activation::linear, false).yolo({{10, 12}, {18, 24}, {30, 36}}, {0, 1, 2}, 10);
  write_file(folder_ / "groups.cfg", write_cfg(net.build()));
  TrainOptions o = options("groups", 1);
  o.model = (folder_ / "groups.cfg").string();
  o.width = o.height = 32;
  const auto message = [&] {
    try {
      train(o, "");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  o.data.data = "synthetic:2";
  o.batch = 2;
  o.validate = false;
  o.multi_scale = {32, 64};
  const std::string refused = message();
  if (refused.empty()) GTEST_SKIP() << "on this CPU oneDNN has primitives for such a convolution";
  for (const char* word :
       {"--multi-scale 64, a batch of 2: ", "layer 1 (convolution 101x101", "groups 2", "--engine torch"}) {
    EXPECT_NE(refused.find(word), std::string::npos) << word << " in: " << refused;
  }
  EXPECT_FALSE(fs::exists(o.project / "groups"));
  o.multi_scale.clear();
  EXPECT_EQ(message(), "");
  EXPECT_TRUE(fs::exists(o.project / "groups/weights/last.h5"));
}

TEST_F(TrainerTest, AValSplitWithoutObjectsIsRefused) {
  for (const char* name : {"a", "b"}) save_image(folder_ / (std::string(name) + ".png"), Image(64, 64, 90));
  write_file(folder_ / "train.txt", "a.png 8,8,40,40,0\n");
  write_file(folder_ / "val.txt", "b.png\n");
  write_file(folder_ / "data.yaml", "train: train.txt\nval: val.txt\nnames: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n");
  TrainOptions o = options("blank", 1);
  o.data.data = (folder_ / "data.yaml").string();
  try {
    train(o, "");
    ADD_FAILURE() << "it was judged by nothing";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("the val split's 1 pictures have no objects"), std::string::npos)
        << error.what();
  }
  EXPECT_FALSE(fs::exists(o.project / "blank"));
  o.validate = false;
  EXPECT_EQ(train(o, "").epochs_done, 1);
}

TEST_F(TrainerTest, OptionsThatCannotWorkAreRefused) {
  const auto refuse = [&](auto change) {
    TrainOptions o = options("refused");
    change(o);
    EXPECT_THROW(train(o, ""), Error);
    EXPECT_FALSE(fs::exists(o.project / "refused"));
  };
  refuse([](TrainOptions& o) { o.epochs = 0; });
  refuse([](TrainOptions& o) { o.batch = 0; });
  refuse([](TrainOptions& o) { o.lr_end = 1; });
  refuse([](TrainOptions& o) { o.device = "cuda:99"; });
  refuse([](TrainOptions& o) { o.precision = "f16"; });
  refuse([](TrainOptions& o) { o.width = 63; });
  refuse([](TrainOptions& o) { o.model = "yolov4"; });
  refuse([](TrainOptions& o) { o.data.data = "/nowhere"; });
  refuse([](TrainOptions& o) { o.weights = "/nowhere.h5"; });
  refuse([](TrainOptions& o) { o.multi_scale = {64, 72}; });
  refuse([](TrainOptions& o) { o.name = ".."; });
  refuse([](TrainOptions& o) { o.augment.mosaic = 2; });
  refuse([](TrainOptions& o) { o.close_mosaic = 1; });
  refuse([](TrainOptions& o) { o.augment.mosaic = 1, o.close_mosaic = 2; });
  refuse([](TrainOptions& o) { o.augment.mosaic = 1, o.close_mosaic = 1, o.epochs = 30, o.time_s = 60; });
  refuse([](TrainOptions& o) { o.image_weights = -1; });
  refuse([](TrainOptions& o) { o.class_weights = "1,2"; });
  refuse([](TrainOptions& o) { o.overfit = 2; });  // with augmentation
}

}  // namespace
}  // namespace yolov3
