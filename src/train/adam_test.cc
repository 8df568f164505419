#include "train/adam.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>

namespace yolov3 {
namespace {

torch::Tensor leaf(const torch::Tensor& value) { return value.clone().set_requires_grad(true); }

// torch::optim::Adam does the same sums in another order, so a few roundings of the step differ, not the step.
TEST(Adam, FollowsTorch) {
  torch::manual_seed(3);
  const torch::Tensor start = torch::randn({37, 11, 3, 3});
  torch::Tensor ours = leaf(start.contiguous(torch::MemoryFormat::ChannelsLast)), theirs = leaf(start);
  Adam adam({{.value = ours}});
  torch::optim::Adam reference({theirs}, torch::optim::AdamOptions(1e-3));
  for (int step = 0; step < 20; ++step) {
    const torch::Tensor gradient = torch::randn_like(start);
    ours.mutable_grad() = gradient.clone();  // other strides than the parameter: must be matched by index
    theirs.mutable_grad() = gradient.clone();
    adam.step(1e-3);
    reference.step();
  }
  // 20 steps of about 1e-3, each within a few float32 roundings of its value and of the parameter's.
  const double worst = (ours - theirs).abs().max().item<double>();
  EXPECT_LE(worst, 20 * 4 * std::numeric_limits<float>::epsilon() * start.abs().max().item<double>());
}

TEST(Adam, FirstStepIsTheRateInTheGradientsDirection) {
  torch::Tensor value = leaf(torch::tensor({1.0f, -2.0f, 3.0f}));
  Adam adam({{.value = value}});
  value.mutable_grad() = torch::tensor({0.5f, -4.0f, 0.0f});
  adam.step(0.01);
  EXPECT_NEAR(value[0].item<float>(), 1.0f - 0.01f, 1e-6);
  EXPECT_NEAR(value[1].item<float>(), -2.0f + 0.01f, 1e-6);
  EXPECT_EQ(value[2].item<float>(), 3.0f);
}

TEST(Adam, WeightDecayIsDecoupled) {
  torch::Tensor value = leaf(torch::tensor({2.0f}));
  Adam adam({{.value = value, .weight_decay = 0.1}});
  value.mutable_grad() = torch::tensor({0.0f});
  adam.step(0.5);
  EXPECT_FLOAT_EQ(value.item<float>(), 2.0f * (1.0f - 0.5f * 0.1f));
}

TEST(Adam, GradientNorm) {
  torch::Tensor a = leaf(torch::zeros({3})), b = leaf(torch::zeros({200000}));
  Adam adam({{.value = a}, {.value = b}});
  a.mutable_grad() = torch::tensor({3.0f, 0.0f, 4.0f});
  EXPECT_DOUBLE_EQ(adam.gradient_norm(), 5.0);
  b.mutable_grad() = torch::full({200000}, 0.5f);
  EXPECT_NEAR(adam.gradient_norm(), std::sqrt(25.0 + 0.25 * 200000), 1e-9);
  b.mutable_grad()[199999] = NAN;
  EXPECT_FALSE(std::isfinite(adam.gradient_norm()));
}

TEST(Adam, ParametersWithoutGradientStay) {
  torch::Tensor value = leaf(torch::tensor({1.5f}));
  Adam adam({{.value = value}});
  adam.step(1.0);
  EXPECT_EQ(value.item<float>(), 1.5f);
}

}  // namespace
}  // namespace yolov3
