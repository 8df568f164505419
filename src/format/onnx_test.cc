// What stands in the file, read back by protobuf. That other programs compute the same from it: app/export_onnx_test.cc.
#include "format/onnx.h"

#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/shared_folder.h"
#include "format/darknet_weights.h"
#include "format/test_files.h"
#include "net/builder.h"
#include "net/cfg.h"
#include "net/models.h"

namespace yolov3 {
namespace {

// One convolution with batch norm, one without, a head of two anchors and three classes.
Model small_model() {
  NetworkBuilder net({3, 64, 96}, 1e-3f);
  net.conv(4, 3, 32, Activation::leaky).conv(16, 1, 1, Activation::linear, false);
  net.yolo({{20, 30}, {40, 50}, {60, 70}}, {0, 2}, 3, 1.05f);
  Model model;
  model.spec = net.build();
  model.weights = random_weights(model.spec, {.seed = 3});
  model.names = {"dog", "traffic \"light\"", "h\xC3\xA9ron"};
  model.facts = {{"epoch", "7"}};
  return model;
}

onnx::ModelProto parsed(const std::string& bytes) {
  onnx::ModelProto file;
  EXPECT_TRUE(file.ParseFromString(bytes));
  return file;
}

std::map<std::string, std::string> metadata(const onnx::ModelProto& file) {
  std::map<std::string, std::string> all;
  for (const auto& entry : file.metadata_props()) all[entry.key()] = entry.value();
  return all;
}

std::string error_of(const Model& model, const OnnxOptions& options) {
  try {
    make_onnx(model, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// "2,images" or "any,...": a value's shape as text.
std::string shape_of(const onnx::ValueInfoProto& info) {
  std::string text;
  for (const auto& side : info.type().tensor_type().shape().dim()) {
    text += (text.empty() ? "" : ",") + (side.has_dim_param() ? side.dim_param() : std::to_string(side.dim_value()));
  }
  return info.name() + " " + text;
}

TEST(Onnx, HoldsEveryParameterBitForBitUnderItsName) {
  const Model model = small_model();
  const onnx::ModelProto file = parsed(make_onnx(model, {}));
  std::map<std::string, const onnx::TensorProto*> numbers;
  for (const auto& tensor : file.graph().initializer()) EXPECT_TRUE(numbers.emplace(tensor.name(), &tensor).second);
  const std::vector<ParamSlot> slots = param_slots(model.spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    ASSERT_TRUE(numbers.contains(slots[i].name)) << slots[i].name;
    const onnx::TensorProto& tensor = *numbers[slots[i].name];
    EXPECT_EQ(Shape(tensor.dims().begin(), tensor.dims().end()), slots[i].shape);
    EXPECT_EQ(tensor.data_type(), onnx::TensorProto::FLOAT);
    const Tensor& want = model.weights.tensors[i];
    ASSERT_EQ(tensor.raw_data().size(), static_cast<size_t>(want.size()) * sizeof(float));
    EXPECT_EQ(std::memcmp(tensor.raw_data().data(), want.data(), tensor.raw_data().size()), 0) << slots[i].name;
  }
}

// Darknet's file -> model -> ONNX -> numbers -> Darknet's file: the same bytes. Models that other people trained.
TEST(Onnx, WeightsComeBackBitForBit) {
  const std::filesystem::path folder = test::shared_folder() / "weights";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no real models at " << folder;
  const testing::TemporaryFolder copies;
  int models = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".weights") continue;
    const std::filesystem::path cfg = std::filesystem::path(entry.path()).replace_extension(".cfg");
    Model model;
    model.spec = parse_cfg(read_file(cfg), cfg).spec;
    const DarknetWeights read = load_darknet_weights(entry.path(), model.spec);
    model.weights = read.weights;
    model.names.assign(static_cast<size_t>(class_count(model.spec)), "x");
    std::map<std::string, std::string> numbers;
    const onnx::ModelProto file = parsed(make_onnx(model, {}));
    for (const auto& tensor : file.graph().initializer()) numbers[tensor.name()] = tensor.raw_data();
    Weights back = zero_weights(model.spec);
    const std::vector<ParamSlot> slots = param_slots(model.spec);
    for (size_t i = 0; i < slots.size(); ++i) {
      const std::string& bytes = numbers.at(slots[i].name);
      ASSERT_EQ(bytes.size(), static_cast<size_t>(back.tensors[i].size()) * sizeof(float));
      std::memcpy(back.tensors[i].data(), bytes.data(), bytes.size());
    }
    save_darknet_weights(copies / "copy", model.spec, back, {.seen = read.seen});
    EXPECT_EQ(read_file(copies / "copy"), read_file(entry.path())) << entry.path();
    ++models;
  }
  EXPECT_GE(models, 1);
}

TEST(Onnx, BatchNormHasTheModelsEpsilonAndItsInputsInOnnxOrder) {
  const onnx::ModelProto file = parsed(make_onnx(small_model(), {}));
  for (const auto& node : file.graph().node()) {
    if (node.op_type() != "BatchNormalization") continue;
    EXPECT_EQ(node.attribute(0).f(), 1e-3f);
    EXPECT_EQ(std::vector<std::string>(node.input().begin() + 1, node.input().end()),
              (std::vector<std::string>{"layer0.gamma", "layer0.beta", "layer0.running_mean", "layer0.running_var"}));
    return;
  }
  FAIL() << "no batch normalisation";
}

TEST(Onnx, MetadataSaysWhatAProgramNeeds) {
  std::map<std::string, std::string> all = metadata(parsed(make_onnx(small_model(), {.head = OnnxHead::boxes})));
  EXPECT_EQ(nlohmann::json::parse(all["names"]).get<std::vector<std::string>>(), small_model().names);
  EXPECT_EQ(nlohmann::json::parse(all["anchors"]), nlohmann::json::parse("[[[20,30],[60,70]]]"));
  EXPECT_EQ(nlohmann::json::parse(all["strides"]), nlohmann::json::parse("[[32,32]]"));
  EXPECT_EQ(all["input_width"], "96");
  EXPECT_EQ(all["input_height"], "64");
  EXPECT_EQ(all["head"], "boxes");
  EXPECT_EQ(all["classes"], "3");
  EXPECT_EQ(all["fact_epoch"], "7");
  EXPECT_NEAR(std::stod(all["input_scale"]) * 255, 1, 1e-15);
}

TEST(Onnx, ShapesAreFixedOrFree) {
  const Model model = small_model();
  const onnx::ModelProto fixed = parsed(make_onnx(model, {.batch = 2}));
  EXPECT_EQ(shape_of(fixed.graph().input(0)), "images 2,3,64,96");
  EXPECT_EQ(shape_of(fixed.graph().output(0)), "raw0 2,16,2,3");
  const onnx::ModelProto any = parsed(make_onnx(model, {.batch = 0, .dynamic_size = true}));
  EXPECT_EQ(shape_of(any.graph().input(0)), "images batch,3,height,width");
  EXPECT_EQ(shape_of(any.graph().output(0)), "raw0 batch,16,grid_height0,grid_width0");
  const onnx::ModelProto boxes = parsed(make_onnx(model, {.head = OnnxHead::boxes, .batch = 0}));
  EXPECT_EQ(shape_of(boxes.graph().output(0)), "boxes batch,12,4");  // 2 anchors of 2 x 3 cells
  EXPECT_EQ(shape_of(boxes.graph().output(1)), "scores batch,12,3");
}

// make_onnx() itself runs ONNX's checker and strict shape inference; this walks all that it can be asked for.
TEST(Onnx, TheCheckerAcceptsEveryHeadOpsetAndShape) {
  const Model model = small_model();
  for (const OnnxHead head : {OnnxHead::raw, OnnxHead::boxes, OnnxHead::nms}) {
    for (int opset = kMinOpset; opset <= kMaxOpset; ++opset) {
      for (const bool dynamic : {false, true}) {
        for (const bool multi_label : {false, true}) {
          const std::string bytes = make_onnx(model, {.head = head,
                                                      .opset = opset,
                                                      .batch = dynamic ? 0 : 1,
                                                      .dynamic_size = dynamic,
                                                      .multi_label = multi_label});
          const onnx::ModelProto file = parsed(bytes);
          EXPECT_EQ(file.opset_import(0).version(), opset);
          std::vector<std::string> names;
          for (const auto& output : file.graph().output()) names.push_back(output.name());
          EXPECT_EQ(names, onnx_outputs(model.spec, head));
        }
      }
    }
  }
}

TEST(Onnx, TheSameModelGivesTheSameBytes) {
  EXPECT_EQ(make_onnx(small_model(), {.head = OnnxHead::nms}), make_onnx(small_model(), {.head = OnnxHead::nms}));
}

TEST(Onnx, WhatCannotBeWrittenIsRefused) {
  Model model = small_model();
  EXPECT_NE(error_of(model, {.opset = 10}).find("opset 10 is not within 11 to 17"), std::string::npos);
  EXPECT_NE(error_of(model, {.opset = 18}).find("opset 18"), std::string::npos);
  EXPECT_NE(error_of(model, {.batch = -1}).find("batch of -1"), std::string::npos);
  EXPECT_NE(error_of(model, {.iou_threshold = 1.5f}).find("1.5"), std::string::npos);
  model.weights.tensors.pop_back();
  EXPECT_NE(error_of(model, {}), "");
  Model backbone;
  backbone.spec = darknet53(64, 64);
  backbone.weights = zero_weights(backbone.spec);
  EXPECT_NE(error_of(backbone, {}).find("no [yolo] layer"), std::string::npos);
  EXPECT_THROW(parse_onnx_head("box"), Error);
}

// 3x3 x 8192 x 8192 = 604 million numbers, 2.4 GB: refused before the weights, which are not even here, are looked at.
TEST(Onnx, BeyondProtobufsTwoGigabytesIsRefused) {
  NetworkBuilder net({3, 32, 32});
  net.conv(8192, 1, 32).conv(8192, 3).conv(6, 1, 1, Activation::linear, false).yolo({{20, 30}}, {0}, 1);
  Model model;
  model.spec = net.build();
  EXPECT_NE(error_of(model, {}).find("2 GB"), std::string::npos) << error_of(model, {});
}

}  // namespace
}  // namespace yolov3
