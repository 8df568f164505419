#include "train/transfer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "format/darknet_weights.h"
#include "format/model_file.h"
#include "net/builder.h"
#include "net/cfg.h"
#include "net/coco_names.h"
#include "net/models.h"
#include "train/setup.h"

namespace yolov3 {
namespace {

Model source_model(const std::vector<std::string>& names) {
  const NetworkSpec spec = yolov3_tiny({.classes = static_cast<int>(names.size()), .width = 32, .height = 32});
  return {spec, random_weights(spec, {.seed = 1}), names, {}};
}

size_t slot_of(const NetworkSpec& spec, int layer, ParamKind kind) {
  const std::vector<ParamSlot> slots = param_slots(spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].layer == layer && slots[i].kind == kind) return i;
  }
  ADD_FAILURE() << "no such slot";
  return 0;
}

TEST(Transfer, TheSameNetworkIsLoadedWhole) {
  const Model source = source_model({"a", "b"});
  Weights weights = random_weights(source.spec, {.seed = 2});
  const TransferReport report = transfer_weights(source, source.spec, source.names, weights);
  EXPECT_EQ(weights, source.weights);
  EXPECT_EQ(report.fresh + report.partial, 0);
}

TEST(Transfer, HeadRowsFollowTheClassNames) {
  const Model source = source_model({"cat", "dog", "bird"});
  const std::vector<std::string> names{"bird", "horse"};  // bird was class 2, horse is new
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 32, .height = 32});
  const Weights fresh = random_weights(spec, {.seed = 2});
  Weights weights = fresh;
  const TransferReport report = transfer_weights(source, spec, names, weights);
  EXPECT_EQ(report.partial, 4);  // kernel and bias of two heads
  EXPECT_EQ(report.fresh, 0);

  const int head_conv = 15;
  const size_t bias = slot_of(spec, head_conv, ParamKind::bias), kernel = slot_of(spec, head_conv, ParamKind::kernel);
  const int64_t in = weights.tensors[kernel].dim(1);
  for (int64_t anchor = 0; anchor < 3; ++anchor) {
    const int64_t to = anchor * 7, from = anchor * 8;
    for (int64_t row = 0; row < 5; ++row) {
      EXPECT_EQ(weights.tensors[bias][to + row], source.weights.tensors[bias][from + row]);
      EXPECT_EQ(weights.tensors[kernel][(to + row) * in], source.weights.tensors[kernel][(from + row) * in]);
    }
    EXPECT_EQ(weights.tensors[kernel][(to + 5) * in], source.weights.tensors[kernel][(from + 5 + 2) * in]) << "bird";
    EXPECT_EQ(weights.tensors[kernel][(to + 6) * in], fresh.tensors[kernel][(to + 6) * in]) << "horse stays fresh";
  }
}

TEST(Transfer, AnotherNetworkGivesWhatFitsAndSaysTheRest) {
  const Model source = source_model({"a"});
  const NetworkSpec spec = yolov3({.classes = 1, .width = 32, .height = 32});
  Weights weights = random_weights(spec, {.seed = 2});
  const TransferReport report = transfer_weights(source, spec, {"a"}, weights);
  EXPECT_GT(report.fresh, 0);
  EXPECT_NE(report.table.find("fresh"), std::string::npos);
  EXPECT_NE(report.table.find("skipped"), std::string::npos);
}

TEST(Transfer, AnotherEpsilonRescalesGamma) {
  Model source = source_model({"a"});
  const size_t gamma = 1, var = 3;  // of the first convolution
  source.weights.tensors[var][0] = 0.002f;
  Weights same = random_weights(source.spec, {.seed = 2});
  NetworkSpec spec = source.spec;
  source.spec.bn_epsilon = 1e-3f;
  transfer_weights(source, spec, {"a"}, same);
  const double scale = std::sqrt((double{0.002f} + 1e-5f) / (double{0.002f} + 1e-3f));
  EXPECT_NEAR(same.tensors[gamma][0], scale, scale * std::ldexp(1, -24));
}

class TransferFromFiles : public ::testing::Test {
 protected:
  void SetUp() override { make_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  // Of a tiny network; what training would start from, for other classes.
  Weights initial(const std::string& file, const std::vector<std::string>& names,
                  const std::string& model = "yolov3-tiny") {
    TrainOptions options;
    options.model = model;
    options.weights = folder_ / file;
    options.width = options.height = 32;
    options.seed = 2;
    return make_initial_weights(options, make_training_spec(options, names), names);
  }
  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("yolov3_transfer_" + std::to_string(::getpid()));
};

// Darknet's file of 80 classes begins a training on three, by their names; "aeroplane" is COCO's "airplane".
TEST_F(TransferFromFiles, EightyClassesOfDarknetToThree) {
  const NetworkSpec trained = yolov3_tiny({.classes = 80});
  const Weights weights = random_weights(trained, {.seed = 1});
  save_darknet_weights(folder_ / "t.weights", trained, weights);
  const std::vector<std::string> names = {"zebra", "horn", "aeroplane"};
  const Weights got = initial("t.weights", names);
  const NetworkSpec spec = yolov3_tiny({.classes = 3, .width = 32, .height = 32});
  const Weights fresh = random_weights(spec, {.seed = 2});
  const size_t kernel = slot_of(spec, 15, ParamKind::kernel);
  const int64_t in = got.tensors[kernel].dim(1);
  const int64_t zebra = 22, airplane = 4;  // COCO's numbers
  for (int64_t anchor = 0; anchor < 3; ++anchor) {
    const auto row = [&](const Weights& w, int64_t classes, int64_t r) {
      return w.tensors[kernel][(anchor * (5 + classes) + r) * in + 7];
    };
    for (int64_t r = 0; r < 5; ++r) EXPECT_EQ(row(got, 3, r), row(weights, 80, r));
    EXPECT_EQ(row(got, 3, 5), row(weights, 80, 5 + zebra));
    EXPECT_EQ(row(got, 3, 6), row(fresh, 3, 6)) << "no class of COCO is a horn";
    EXPECT_EQ(row(got, 3, 7), row(weights, 80, 5 + airplane));
  }
  EXPECT_EQ(got.tensors[0], weights.tensors[0]);
}

TEST_F(TransferFromFiles, ABackboneAndUnnamedClasses) {
  const NetworkSpec trained = yolov3_tiny({.classes = 7});
  const Weights weights = random_weights(trained, {.seed = 1});
  save_darknet_weights(folder_ / "t.conv.15", trained, weights, {.layers = 15});
  save_darknet_weights(folder_ / "t.weights", trained, weights);
  const NetworkSpec spec = yolov3_tiny({.classes = 3, .width = 32, .height = 32});
  const Weights fresh = random_weights(spec, {.seed = 2});
  const Weights from_backbone = initial("t.conv.15", {"a", "b", "c"});
  const size_t last = slot_of(spec, 14, ParamKind::kernel), head = slot_of(spec, 15, ParamKind::kernel);
  EXPECT_EQ(from_backbone.tensors[last], weights.tensors[last]);
  EXPECT_EQ(from_backbone.tensors[head], fresh.tensors[head]);
  // Seven nameless classes: boxes and objectness are taken, classes are not, even where a data set numbers its own.
  const Weights three = initial("t.weights", {"0", "1", "2"});
  const int64_t in = three.tensors[head].dim(1);
  EXPECT_EQ(three.tensors[head][4 * in], weights.tensors[head][4 * in]);
  EXPECT_EQ(three.tensors[head][5 * in], fresh.tensors[head][5 * in]);
  // As many as the data set has: taken as its own.
  EXPECT_EQ(initial("t.weights", {"a", "b", "c", "d", "e", "f", "g"}), weights);
}

// In a sentence, not a table of everything that does not fit.
TEST_F(TransferFromFiles, AModelOfAnotherNetworkIsNamed) {
  const std::vector<std::string> names = {"a", "b", "c"};
  NetworkBuilder net({3, 32, 32});
  net.conv(8, 3, 2).conv(8, 3, 2).conv(8, 3, 2);
  net.conv(24, 1, 1, Activation::linear, false).yolo({{10, 12}, {18, 24}, {30, 36}}, {0, 1, 2}, 3);
  const NetworkSpec small = net.build();
  write_file(folder_ / "small.cfg", write_cfg(small));
  save_model(folder_ / "small.h5", {small, random_weights(small), names, {}});
  save_model(folder_ / "tiny.h5", source_model(names));
  const auto error_of = [&](const std::string& file, const std::string& model) {
    try {
      initial(file, names, model);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_TRUE(error_of("tiny.h5", folder_ / "small.cfg").ends_with("it is like yolov3-tiny: add --model yolov3-tiny"));
  const std::string other = error_of("small.h5", "yolov3-tiny");
  EXPECT_NE(other.find("none of its tensors fits the network of --model yolov3-tiny; it is a network of 5 layers"),
            std::string::npos)
      << other;
}

TEST_F(TransferFromFiles, WhatFitsNothingGivesAllCounts) {
  write_file(folder_ / "x.weights",
             std::string("\0\0\0\0\2\0\0\0\5\0\0\0\0\0\0\0\0\0\0\0", 20) + std::string(4 * 1000, '\0'));
  try {
    initial("x.weights", {"a", "b", "c"});
    FAIL() << "1000 numbers are no yolov3-tiny";
  } catch (const Error& error) {
    const std::string what = error.what();
    for (const char* part : {"1000 numbers", "8858734", "80 classes", "layer2"}) {
      EXPECT_NE(what.find(part), std::string::npos) << part << " in " << what;
    }
  }
}

}  // namespace
}  // namespace yolov3
