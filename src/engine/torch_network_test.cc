#include "engine/torch_network.h"
#include "engine/plan.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/test_networks.h"
#include "net/builder.h"
#include "net/models.h"

namespace yolov3 {
namespace {

TEST(TorchNetwork, WeightsGoInAndComeOutUnchanged) {
  const NetworkSpec spec = yolov3_tiny({.classes = 1, .width = 32, .height = 32});
  const Weights weights = *lively_weights(spec);
  EXPECT_EQ(TorchNetwork(spec, weights, torch::kCPU, false).weights(), weights);
}

TEST(TorchNetwork, EveryTrainableParameterGetsAGradient) {
  const NetworkSpec spec = yolov3({.classes = 2, .width = 64, .height = 64});
  // LibTorch's oneDNN refuses bf16's gradients where the CPU has no bf16.
  TorchNetwork network(spec, random_weights(spec), torch::kCPU, /*bf16=*/cpu_computes_bf16());
  torch::Tensor sum = torch::zeros({});
  for (const torch::Tensor& map : network.forward(torch::rand({2, 3, 64, 64}), true)) sum = sum + map.square().sum();
  sum.backward();
  for (size_t i = 0; i < network.slots().size(); ++i) {
    const torch::Tensor gradient = network.params()[i].grad();
    ASSERT_EQ(gradient.defined(), network.slots()[i].trainable) << network.slots()[i].name;
    if (gradient.defined()) {
      EXPECT_TRUE(gradient.isfinite().all().item<bool>()) << network.slots()[i].name;
    }
  }
}

TEST(TorchNetwork, StatisticsOfAStepNotTakenAreUndone) {
  const NetworkSpec spec = yolov3_tiny({.classes = 1, .width = 32, .height = 32});
  TorchNetwork network(spec, random_weights(spec), torch::kCPU, false);
  const Weights before = network.weights();
  const auto statistics = network.statistics();
  network.forward(torch::rand({4, 3, 32, 32}), true);
  EXPECT_NE(network.weights(), before);
  network.restore_statistics(statistics);
  EXPECT_EQ(network.weights(), before);
}

// A convolution of one picture whose map is one number a channel: it has no unbiased variance.
TEST(TorchNetwork, StatisticsStandStillWhereAChannelHasOneNumber) {
  NetworkBuilder net({3, 2, 2});
  net.conv(4, 3, 2).conv(6, 1, 1, Activation::linear, false).yolo({{1, 1}}, {0}, 1);
  const NetworkSpec spec = net.build();
  const Weights before = random_weights(spec);
  TorchNetwork network(spec, before, torch::kCPU, false);
  torch::Tensor sum = torch::zeros({});
  for (const torch::Tensor& map : network.forward(torch::rand({1, 3, 2, 2}), true)) sum = sum + map.sum();
  sum.backward();
  EXPECT_EQ(network.weights(), before);
  for (const torch::Tensor& parameter : network.params()) {
    if (parameter.grad().defined()) EXPECT_TRUE(parameter.grad().isfinite().all().item<bool>());
  }
}

// LibTorch's own strided convolution in float64, where oneDNN has no part, says what is right.
TEST(TorchNetwork, AStrided1x1ConvolutionHasTheGradientsOfItsDefinition) {
  NetworkBuilder net({3, 64, 64});
  net.conv(9, 1, 2, Activation::linear, false).conv(6, 1, 1, Activation::linear, false).yolo({{1, 1}}, {0}, 1);
  const NetworkSpec spec = net.build();
  TorchNetwork network(spec, random_weights(spec), torch::kCPU, false);
  const torch::Tensor images = torch::rand({4, 3, 64, 64});
  const torch::Tensor map = network.forward(images, true).at(0);
  map.square().sum().backward();
  std::vector<torch::Tensor> params;
  for (const torch::Tensor& param : network.params()) {
    params.push_back(param.detach().to(torch::kFloat64).contiguous().requires_grad_(true));
  }
  const torch::Tensor first = torch::conv2d(images.to(torch::kFloat64), params[1], params[0], 2);
  torch::conv2d(first, params[3], params[2]).square().sum().backward();
  for (size_t i = 0; i < params.size(); ++i) {
    const torch::Tensor got = network.params()[i].grad().to(torch::kFloat64), want = params[i].grad();
    EXPECT_LE((got - want).norm().item<double>(), 1e-5 * want.norm().item<double>()) << network.slots()[i].name;
  }
}

// Layers 0 to 4 of yolov3-tiny: convolutions and pooling. In training their maps are those of use, bit for bit.
TEST(TorchNetwork, FrozenLayersRunAsInUseAndGetNoGradients) {
  const NetworkSpec spec = yolov3_tiny({.classes = 1, .width = 32, .height = 32});
  const Weights weights = *lively_weights(spec);
  TorchNetwork frozen(spec, weights, torch::kCPU, false, 0.1, 5), in_use(spec, weights, torch::kCPU, false);
  const torch::Tensor images = torch::rand({4, 3, 32, 32});
  std::vector<torch::Tensor> want, got;
  in_use.forward(images, false, [&](int, const torch::Tensor& map) { want.push_back(map.detach().clone()); });
  torch::Tensor sum = torch::zeros({});
  for (const torch::Tensor& map :
       frozen.forward(images, true, [&](int, const torch::Tensor& map) { got.push_back(map.detach().clone()); })) {
    sum = sum + map.square().sum();
  }
  for (size_t i = 0; i < got.size(); ++i) {
    if (i < 5) {
      EXPECT_TRUE(torch::equal(got[i], want[i])) << i;
    }
  }
  EXPECT_FALSE(torch::equal(got[6], want[6])) << "the batch's statistics, in layers that are trained";
  sum.backward();
  const Weights after = frozen.weights();
  for (size_t i = 0; i < frozen.slots().size(); ++i) {
    const ParamSlot& slot = frozen.slots()[i];
    EXPECT_EQ(frozen.is_frozen(slot), slot.layer < 5);
    EXPECT_EQ(frozen.params()[i].grad().defined(), slot.trainable && slot.layer >= 5) << slot.name;
    EXPECT_EQ(after.tensors[i] == weights.tensors[i], slot.trainable || slot.layer < 5) << slot.name;
  }
}

// Layer 1 leads nowhere: it is not run, and none of its numbers move.
TEST(TorchNetwork, WhatNoHeadNeedsIsNotRun) {
  NetworkBuilder net({3, 32, 32});
  net.conv(16, 3, 2).conv(8, 3).route({0}).conv(21, 1, 1, Activation::linear, false);
  const NetworkSpec spec = net.yolo({{4, 4}, {8, 8}, {9, 9}}, {0, 1, 2}, 2).build();
  const Weights weights = *lively_weights(spec);
  TorchNetwork network(spec, weights, torch::kCPU, false);
  std::vector<int> run;
  torch::Tensor sum = torch::zeros({});
  for (const torch::Tensor& map : network.forward(torch::rand({2, 3, 32, 32}), true,
                                                  [&](int layer, const torch::Tensor&) { run.push_back(layer); })) {
    sum = sum + map.square().sum();
  }
  sum.backward();
  EXPECT_EQ(run, (std::vector<int>{0, 2, 3, 4}));
  const Weights after = network.weights();
  for (size_t i = 0; i < network.slots().size(); ++i) {
    const ParamSlot& slot = network.slots()[i];
    EXPECT_EQ(after.tensors[i] == weights.tensors[i], slot.trainable || slot.layer == 1) << slot.name;
    EXPECT_EQ(network.params()[i].grad().defined(), slot.trainable && slot.layer != 1) << slot.name;
  }
}

TEST(TorchNetwork, DevicesThatAreNotThereAreRefusedInOneLine) {
  EXPECT_THROW(parse_device("gpu"), Error);
  EXPECT_THROW(parse_device("cuda:x"), Error);
  if (torch::cuda::is_available()) GTEST_SKIP() << "CUDA is here";
  try {
    parse_device("cuda");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("no usable CUDA"), std::string::npos);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
  }
}

// The reference engine by the batch's statistics, against LibTorch in float64. A map's float32 rounding (6e-8) grows by what
// batch norm divides by and by the layers' number; a thousandfold is allowed.
TEST(TorchNetwork, InTrainingIsTheReferenceByBatchStatistics) {
  for (const NamedCfg& kind : kinds_of_networks()) {
    if (kind.text.find("[dropout]") != std::string::npos) continue;
    for (const int frozen : {0, 2}) {
      SCOPED_TRACE(kind.name + " frozen " + std::to_string(frozen));
      const NetworkSpec spec = spec_of(kind.text, 32, 48);
      const auto weights = lively_weights(spec);
      const Tensor images = random_images(3, 48, 32);
      TorchNetwork network(spec, *weights, torch::kCPU, false, 0.1, frozen);
      network.compute_in_double();
      const torch::NoGradGuard no_grad;
      const std::vector<torch::Tensor> want = network.forward(torch_from_tensor(images), true);
      const std::vector<Tensor> got =
          make_reference_engine(spec, weights, {.batch_statistics = true, .frozen_layers = frozen})->forward(images);
      ASSERT_EQ(got.size(), want.size());
      for (size_t h = 0; h < want.size(); ++h) {
        const double distance = (torch_from_tensor(got[h]) - want[h]).norm().item<double>();
        EXPECT_LE(distance, 1000 * 6e-8 * want[h].norm().item<double>()) << "head " << h;
      }
    }
  }
}

// By hand: the numbers 1, 2, 3, 6 have mean 3 and variance 3.5; with epsilon 0.5 the deviation is 2.
TEST(TorchNetwork, ReferenceByBatchStatisticsByHand) {
  NetworkBuilder net({1, 1, 2}, 0.5f);
  net.conv(6, 1, 1, Activation::linear).yolo({{1, 1}}, {0}, 1);
  const NetworkSpec spec = net.build();
  auto weights = std::make_shared<Weights>(zero_weights(spec));
  for (const size_t slot : {1, 4}) std::ranges::fill(weights->tensors[slot].values(), 1.0f);  // gamma, kernel
  weights->tensors[0][1] = 10;                                                                // beta of filter 1
  weights->tensors[1][2] = -4;                                                                // gamma of filter 2
  weights->tensors[2][3] = 99;  // a running mean: not used
  Tensor images({2, 1, 1, 2});
  const float numbers[] = {1, 2, 3, 6}, normal[] = {-1, -0.5f, 0, 1.5f};
  std::copy_n(numbers, 4, images.data());
  const Tensor got = make_reference_engine(spec, weights, {.batch_statistics = true})->forward(images).at(0);
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_FLOAT_EQ(got.at(i / 2, 0, 0, i % 2), normal[i]);
    EXPECT_FLOAT_EQ(got.at(i / 2, 1, 0, i % 2), 10 + normal[i]);
    EXPECT_FLOAT_EQ(got.at(i / 2, 2, 0, i % 2), -4 * normal[i]);
    EXPECT_FLOAT_EQ(got.at(i / 2, 3, 0, i % 2), normal[i]);
  }
}

}  // namespace
}  // namespace yolov3
