#include "engine/torch_network.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/rng.h"
#include "engine/engine.h"
#include "net/cfg.h"
#include "net/models.h"

namespace yolov3 {
namespace {

Tensor random_images(int64_t n, int64_t h, int64_t w) {
  Tensor images({n, 3, h, w});
  Rng rng(11);
  for (float& value : images.values()) value = static_cast<float>(rng.uniform());
  return images;
}

// Weights whose batch norm does something: statistics and scales away from 0 and 1.
Weights lively_weights(const NetworkSpec& spec) {
  Weights weights = random_weights(spec, {.seed = 5});
  const std::vector<ParamSlot> slots = param_slots(spec);
  Rng rng(6);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].kind == ParamKind::kernel) continue;
    const bool positive = slots[i].kind == ParamKind::gamma || slots[i].kind == ParamKind::running_var;
    for (float& value : weights.tensors[i].values()) {
      value = static_cast<float>(positive ? rng.uniform(0.5, 1.5) : rng.uniform(-0.3, 0.3));
    }
  }
  return weights;
}

// Two float32 implementations of a network of `depth` convolutions differ by roundings that add up along it; each
// contributes a few eps of the map's scale.
void expect_agree(const std::vector<Tensor>& a, const std::vector<Tensor>& b, double depth) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t h = 0; h < a.size(); ++h) {
    ASSERT_EQ(a[h].shape(), b[h].shape());
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < a[h].size(); ++i) {
      worst = std::max(worst, std::abs(static_cast<double>(a[h][i]) - b[h][i]));
      largest = std::max(largest, std::abs(static_cast<double>(b[h][i])));
    }
    EXPECT_LE(worst, 16 * depth * 1.2e-7 * largest) << "head " << h;
  }
}

void expect_engines_agree(const NetworkSpec& spec, int64_t n, int64_t h, int64_t w, double depth) {
  const auto weights = std::make_shared<const Weights>(lively_weights(spec));
  const Tensor images = random_images(n, h, w);
  const auto reference = make_engine({.kind = "reference"}, spec, weights)->forward(images);
  expect_agree(make_engine({.kind = "torch", .precision = "f32"}, spec, weights)->forward(images), reference, depth);
}

TEST(TorchNetwork, TinyAgreesWithTheReferenceEngine) {
  expect_engines_agree(yolov3_tiny({.classes = 4, .width = 96, .height = 64}), 3, 64, 96, 13);
}

TEST(TorchNetwork, SppAgreesWithTheReferenceEngine) {
  expect_engines_agree(yolov3_spp({.classes = 2, .width = 64, .height = 96}), 1, 96, 64, 76);
}

TEST(TorchNetwork, FullNetworkAgreesWithTheReferenceEngine) {
  expect_engines_agree(yolov3({.classes = 3, .width = 96, .height = 64}), 2, 64, 96, 75);
}

// Every kind of layer that a .cfg can name, in one small network.
TEST(TorchNetwork, EveryLayerKindAgreesWithTheReferenceEngine) {
  const std::string cfg = R"([net]
width=32
height=32
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=mish
[convolutional]
filters=8
size=3
stride=1
pad=1
groups=4
activation=swish
[shortcut]
from=-2
activation=leaky
[avgpool]
[convolutional]
filters=8
size=1
stride=1
activation=logistic
[scale_channels]
from=-3
[maxpool]
size=3
stride=1
[route]
layers=-1,-5
[route]
layers=-1
groups=2
group_id=1
[dropout]
probability=0.5
[maxpool]
size=2
stride=2
[upsample]
stride=2
[convolutional]
filters=7
size=1
stride=1
activation=relu
[shortcut]
from=-6
[convolutional]
filters=14
size=1
stride=1
activation=linear
[yolo]
mask=0,1
anchors=4,4, 8,8
classes=2
num=2
)";
  expect_engines_agree(parse_cfg(cfg, "kinds.cfg").spec, 2, 32, 32, 8);
}

TEST(TorchNetwork, WeightsGoInAndComeOutUnchanged) {
  const NetworkSpec spec = yolov3_tiny({.classes = 1, .width = 32, .height = 32});
  const Weights weights = lively_weights(spec);
  EXPECT_EQ(TorchNetwork(spec, weights, torch::kCPU, false).weights(), weights);
}

TEST(TorchNetwork, EveryTrainableParameterGetsAGradient) {
  const NetworkSpec spec = yolov3({.classes = 2, .width = 64, .height = 64});
  TorchNetwork network(spec, random_weights(spec), torch::kCPU, true);
  torch::Tensor sum = torch::zeros({});
  for (const torch::Tensor& map : network.forward(torch::rand({2, 3, 64, 64}), true)) sum = sum + map.square().sum();
  sum.backward();
  for (size_t i = 0; i < network.slots().size(); ++i) {
    const torch::Tensor gradient = network.params()[i].grad();
    ASSERT_EQ(gradient.defined(), network.slots()[i].trainable) << network.slots()[i].name;
    if (gradient.defined()) EXPECT_TRUE(gradient.isfinite().all().item<bool>()) << network.slots()[i].name;
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

}  // namespace
}  // namespace yolov3
