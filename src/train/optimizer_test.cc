#include "train/optimizer.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>
#include <memory>

#include "base/error.h"
#include "base/rng.h"
#include "train/optimizer_kernels.h"

namespace yolov3 {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

torch::Tensor leaf(const torch::Tensor& value) { return value.clone().set_requires_grad(true); }

// Largest difference to one of torch's optimizers after 20 updates of random gradients.
template <class Reference, class Settings>
double distance_to_torch(const OptimizerOptions& options, double lr, double weight_decay, const Settings& settings,
                         torch::ScalarType type) {
  torch::manual_seed(3);
  const torch::Tensor start = torch::randn({37, 11, 3, 3}).to(type);
  torch::Tensor ours = leaf(start.contiguous(torch::MemoryFormat::ChannelsLast)), theirs = leaf(start);
  Optimizer optimizer({{.value = ours, .weight_decay = weight_decay}}, options);
  Reference reference({theirs}, settings);
  for (int step = 0; step < 20; ++step) {
    const torch::Tensor gradient = torch::randn_like(start);
    ours.mutable_grad() = gradient.clone();  // other strides than the parameter: must be matched by index
    theirs.mutable_grad() = gradient.clone();
    optimizer.step(lr);
    reference.step();
  }
  EXPECT_GT((ours - start).abs().max().item<double>(), lr) << "nothing moved";
  return (ours - theirs).abs().max().item<double>();
}

// torch does the same sums in another order: 20 updates of a parameter of up to 4.5 (the largest of 3663 normal
// numbers), each within a few float32 roundings of the parameter's and of the update's, which is smaller. In float64
// LibTorch's operators are used, as on other devices, with rates in float32.
constexpr double kTolerance = 20 * 4 * kEpsilon * 4.5;

TEST(Optimizer, AdamFollowsTorch) {
  const auto settings = torch::optim::AdamOptions(1e-3);
  for (const auto type : {torch::kFloat32, torch::kFloat64}) {
    EXPECT_LE(distance_to_torch<torch::optim::Adam>({}, 1e-3, 0, settings, type), kTolerance) << type;
  }
}

TEST(Optimizer, AdamWithWeightDecayFollowsTorchsAdamW) {
  const auto settings = torch::optim::AdamWOptions(1e-3).weight_decay(0.1);
  for (const auto type : {torch::kFloat32, torch::kFloat64}) {
    EXPECT_LE(distance_to_torch<torch::optim::AdamW>({}, 1e-3, 0.1, settings, type), kTolerance) << type;
  }
}

TEST(Optimizer, SgdFollowsTorch) {
  for (const double momentum : {0.0, 0.9}) {
    const auto settings = torch::optim::SGDOptions(1e-2).momentum(momentum).weight_decay(0.05);
    const OptimizerOptions options{.kind = OptimizerKind::sgd, .momentum = momentum};
    for (const auto type : {torch::kFloat32, torch::kFloat64}) {
      EXPECT_LE(distance_to_torch<torch::optim::SGD>(options, 1e-2, 0.05, settings, type), kTolerance)
          << momentum << " " << type;
    }
  }
}

TEST(Optimizer, NesterovFollowsTorch) {
  const auto settings = torch::optim::SGDOptions(1e-2).momentum(0.9).nesterov(true).weight_decay(0.05);
  const OptimizerOptions options{.kind = OptimizerKind::sgd, .momentum = 0.9, .nesterov = true};
  for (const auto type : {torch::kFloat32, torch::kFloat64}) {
    EXPECT_LE(distance_to_torch<torch::optim::SGD>(options, 1e-2, 0.05, settings, type), kTolerance) << type;
  }
}

// By hand, with momentum 0.5 and rate 1: the velocity of a steady gradient of 1 is 1, 1.5; the steps 1 + 0.5 * 1 and
// 1 + 0.5 * 1.5.
TEST(Optimizer, NesterovLooksOneStepAhead) {
  torch::Tensor value = leaf(torch::tensor({10.0f}));
  Optimizer sgd({{.value = value}}, {.kind = OptimizerKind::sgd, .momentum = 0.5, .nesterov = true});
  for (const float want : {8.5f, 6.75f}) {
    value.mutable_grad() = torch::tensor({1.0f});
    sgd.step(1.0);
    EXPECT_EQ(value.item<float>(), want);
  }
}

TEST(Optimizer, FirstAdamStepIsTheRateInTheGradientsDirection) {
  torch::Tensor value = leaf(torch::tensor({1.0f, -2.0f, 3.0f}));
  Optimizer optimizer({{.value = value}});
  value.mutable_grad() = torch::tensor({0.5f, -4.0f, 0.0f});
  optimizer.step(0.01);
  EXPECT_NEAR(value[0].item<float>(), 1.0f - 0.01f, 1e-6);
  EXPECT_NEAR(value[1].item<float>(), -2.0f + 0.01f, 1e-6);
  EXPECT_EQ(value[2].item<float>(), 3.0f);
}

// By hand: Adam shrinks the value by itself; SGD adds the decay to the gradient, so that it enters the velocity.
TEST(Optimizer, WeightDecayIsDecoupledWithAdamAndCoupledWithSgd) {
  torch::Tensor value = leaf(torch::tensor({2.0f}));
  Optimizer adam({{.value = value, .weight_decay = 0.1}});
  value.mutable_grad() = torch::tensor({0.0f});
  adam.step(0.5);
  EXPECT_FLOAT_EQ(value.item<float>(), 2.0f * (1.0f - 0.5f * 0.1f));
  EXPECT_EQ(adam.params()[0].mean.item<float>(), 0.0f);

  value = leaf(torch::tensor({2.0f}));
  Optimizer sgd({{.value = value, .weight_decay = 0.25}}, {.kind = OptimizerKind::sgd, .momentum = 0.5});
  for (const double want : {2.0 - 0.5 * 0.5, 1.75 - 0.5 * (0.25 + 0.4375)}) {
    value.mutable_grad() = torch::tensor({0.0f});
    sgd.step(0.5);
    EXPECT_EQ(value.item<float>(), want);
  }
}

// --- Bit for bit -----------------------------------------------------------------------------------------------------

struct Numbers {
  std::vector<float> value, gradient, first, second, average;
};

Numbers random_numbers(size_t count) {
  Rng rng(4);
  Numbers n;
  for (auto* list : {&n.value, &n.gradient, &n.first, &n.second, &n.average}) {
    for (size_t i = 0; i < count; ++i) list->push_back(static_cast<float>(rng.uniform(-2, 2)));
  }
  for (float& square : n.second) square = square * square;
  return n;
}

// The papers' formulas, one operation of float32 a time.
void plain_update(Numbers& n, size_t i, const UpdateRates& r, OptimizerKind kind, bool nesterov = false) {
  const float g = n.gradient[i] * r.gradient_scale;
  if (kind == OptimizerKind::adam) {
    n.first[i] = r.beta1 * n.first[i] + (1.0f - r.beta1) * g;
    n.second[i] = r.beta2 * n.second[i] + (1.0f - r.beta2) * g * g;
    const float root = std::sqrt(n.second[i]) * r.square_scale + r.epsilon;
    n.value[i] = n.value[i] * r.keep - r.rate * n.first[i] / root;
  } else {
    const float direction = g + r.decay * n.value[i];
    n.first[i] = r.momentum * n.first[i] + direction;
    n.value[i] = n.value[i] - r.rate * (nesterov ? direction + r.momentum * n.first[i] : n.first[i]);
  }
}

void plain_average(Numbers& n, size_t i, const UpdateRates& r) {
  n.average[i] = n.average[i] + r.average_rate * (n.value[i] - n.average[i]);
}

class OptimizerBits : public ::testing::TestWithParam<OptimizerKind> {};

TEST_P(OptimizerBits, EveryInstructionSetGivesThoseOfPlainLoops) {
  const UpdateRates rates{.gradient_scale = 0.7f,
                          .rate = 0.01f,
                          .beta1 = 0.9f,
                          .beta2 = 0.999f,
                          .epsilon = 1e-8f,
                          .square_scale = 1.3f,
                          .keep = 0.99f,
                          .momentum = 0.8f,
                          .decay = 0.03f,
                          .average_rate = 0.2f};
  const size_t count = 1003;  // whole vectors and a rest
  struct Way {
    const UpdateKernels* kernels;
    bool averaged, nesterov;
  };
  std::vector<Way> ways;
  for (const UpdateKernels* kernels : usable_update_kernels()) {
    for (const bool averaged : {false, true}) {
      ways.push_back({kernels, averaged, false});
      if (GetParam() == OptimizerKind::sgd) ways.push_back({kernels, averaged, true});
    }
  }
  for (const auto& [kernels, averaged, nesterov] : ways) {
    SCOPED_TRACE(std::string(kernels->name) + (averaged ? " with average" : "") + (nesterov ? " nesterov" : ""));
    Numbers want = random_numbers(count), got = want;
    for (size_t i = 0; i < count; ++i) {
      plain_update(want, i, rates, GetParam(), nesterov);
      if (averaged) plain_average(want, i, rates);
    }
    const auto sgd = nesterov ? kernels->nesterov : kernels->sgd;
    const auto update = GetParam() == OptimizerKind::adam ? kernels->adam : sgd;
    update({got.value.data(), got.gradient.data(), got.first.data(), got.second.data(),
            averaged ? got.average.data() : nullptr, static_cast<int64_t>(count)},
           rates);
    EXPECT_EQ(got.value, want.value);
    EXPECT_EQ(got.first, want.first);
    EXPECT_EQ(got.second, want.second);
    EXPECT_EQ(got.average, want.average);
  }
}

// The whole class, over more than one block and several updates, rates worked out here.
TEST_P(OptimizerBits, UpdatesAreThoseOfPlainLoops) {
  const size_t count = (1 << 16) + 77;
  Numbers want = random_numbers(count);
  want.first.assign(count, 0);
  want.second.assign(count, 0);
  want.average = want.value;
  torch::Tensor value = leaf(torch::tensor(want.value));
  const OptimizerOptions options{.kind = GetParam(), .momentum = 0.8, .ema_decay = 0.9, .ema_warmup = 3};
  Optimizer optimizer({{.value = value, .weight_decay = 0.1}}, options);
  for (int t = 1; t <= 3; ++t) {
    value.mutable_grad() = torch::tensor(want.gradient);
    optimizer.step(0.01, 0.5);
    UpdateRates rates{
        .gradient_scale = 0.5f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .momentum = 0.8f, .decay = 0.1f};
    rates.rate = static_cast<float>(GetParam() == OptimizerKind::sgd ? 0.01 : 0.01 / (1 - std::pow(0.9, t)));
    rates.square_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(0.999, t)));
    rates.keep = static_cast<float>(1 - 0.01 * 0.1);
    rates.average_rate = static_cast<float>(1 - 0.9 * (1 - std::exp(-t / 3.0)));
    for (size_t i = 0; i < count; ++i) {
      plain_update(want, i, rates, GetParam());
      plain_average(want, i, rates);
    }
  }
  EXPECT_TRUE(torch::equal(value.detach(), torch::tensor(want.value)));
  EXPECT_TRUE(torch::equal(optimizer.params()[0].mean, torch::tensor(want.first)));
  EXPECT_TRUE(torch::equal(optimizer.params()[0].average, torch::tensor(want.average)));
  EXPECT_EQ(optimizer.params()[0].square.defined(), GetParam() == OptimizerKind::adam);
}

INSTANTIATE_TEST_SUITE_P(Kinds, OptimizerBits, ::testing::Values(OptimizerKind::adam, OptimizerKind::sgd),
                         [](const auto& info) { return to_string(info.param); });

TEST(Optimizer, SumsMeansAndFollowingHaveTheBitsOfPlainLoops) {
  const size_t count = 1003;
  const Numbers n = random_numbers(count);
  for (const UpdateKernels* kernels : usable_update_kernels()) {
    SCOPED_TRACE(kernels->name);
    Numbers sum = n, mean = n, follow = n;
    kernels->add(sum.value.data(), n.gradient.data(), 3.0f, count);
    kernels->mean(mean.gradient.data(), n.value.data(), 3.0f, 1.0f / 7.0f, count);
    kernels->follow({follow.value.data(), nullptr, nullptr, nullptr, follow.average.data(), count},
                    {.average_rate = 0.3f});
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(sum.value[i], n.value[i] + 3.0f * n.gradient[i]);
      ASSERT_EQ(mean.gradient[i], (n.value[i] + 3.0f * n.gradient[i]) * (1.0f / 7.0f));
      ASSERT_EQ(follow.average[i], n.average[i] + 0.3f * (n.value[i] - n.average[i]));
    }
    ASSERT_EQ(kernels->square_sum(n.value.data(), count),
              usable_update_kernels()[0]->square_sum(n.value.data(), count));
  }
}

// --- The gradients' norm, several batches, parameters that stay ------------------------------------------------------

TEST(Optimizer, GradientNorm) {
  torch::Tensor a = leaf(torch::zeros({3})), b = leaf(torch::zeros({200000}));
  Optimizer optimizer({{.value = a}, {.value = b}});
  a.mutable_grad() = torch::tensor({3.0f, 0.0f, 4.0f});
  EXPECT_DOUBLE_EQ(optimizer.gradient_norm(), 5.0);
  b.mutable_grad() = torch::full({200000}, 0.5f);
  EXPECT_NEAR(optimizer.gradient_norm(), std::sqrt(25.0 + 0.25 * 200000), 1e-9);
  b.mutable_grad()[199999] = NAN;
  EXPECT_FALSE(std::isfinite(optimizer.gradient_norm()));
}

// Batches of 3, 3 and 1 pictures; the parameter's strides are not the gradients'.
TEST(Optimizer, GradientsOfSeveralBatchesAreAveragedByPictures) {
  for (const auto type : {torch::kFloat32, torch::kFloat64}) {
    torch::manual_seed(5);
    const torch::Tensor start = torch::randn({4, 5, 3, 3}).to(type);
    torch::Tensor value = leaf(start.contiguous(torch::MemoryFormat::ChannelsLast));
    Optimizer optimizer({{.value = value}}, {.kind = OptimizerKind::sgd, .momentum = 0});
    for (int update = 0; update < 2; ++update) {  // the second must know nothing of the first
      const torch::Tensor before = value.detach().clone().to(torch::kFloat64);
      const std::vector<torch::Tensor> gradients{torch::randn_like(start), torch::randn_like(start),
                                                 torch::randn_like(start)};
      for (size_t batch = 0; batch < 2; ++batch) {
        value.mutable_grad() = gradients[batch].clone();
        optimizer.accumulate(3);
        EXPECT_FALSE(value.grad().defined());
      }
      EXPECT_EQ(optimizer.accumulated(), 6);
      EXPECT_TRUE(torch::equal(value.detach().to(torch::kFloat64), before));
      value.mutable_grad() = gradients[2].clone();
      optimizer.average_gradients(1);
      const auto wide = [&](size_t i) { return gradients[i].to(torch::kFloat64); };
      const torch::Tensor mean = (3 * wide(0) + 3 * wide(1) + wide(2)) / 7;
      // Six roundings of numbers up to 3 * 4 + 3 * 4 + 4.
      EXPECT_LE((value.grad() - mean).abs().max().item<double>(), 6 * 28 * kEpsilon / 7);
      EXPECT_NEAR(optimizer.gradient_norm(), mean.norm().item<double>(), 1e-5);
      optimizer.step(1.0);
      EXPECT_EQ(optimizer.accumulated(), 0);
      EXPECT_LE((value - (before - mean)).abs().max().item<double>(), 8 * 28 * kEpsilon / 7);
    }
  }
}

TEST(Optimizer, AMeanThatIsNotUsedLeavesTheSums) {
  torch::Tensor value = leaf(torch::tensor({1.0f}));
  Optimizer optimizer({{.value = value}});
  value.mutable_grad() = torch::tensor({2.0f});
  optimizer.accumulate(2);
  value.mutable_grad() = torch::tensor({NAN});
  optimizer.average_gradients(2);
  EXPECT_FALSE(std::isfinite(optimizer.gradient_norm()));
  optimizer.clear_gradients();
  EXPECT_EQ(optimizer.accumulated(), 2);
  EXPECT_EQ(optimizer.params()[0].sum.item<float>(), 4.0f);
}

TEST(Optimizer, ParametersWithoutGradientStayAndAveragesFollowThem) {
  torch::Tensor value = leaf(torch::tensor({1.5f})), statistic = torch::tensor({1.0f});
  Optimizer optimizer({{.value = value, .weight_decay = 0.5}, {.value = statistic}}, {.ema_decay = 0.5});
  EXPECT_FALSE(optimizer.params()[1].mean.defined());
  statistic.fill_(3.0f);
  optimizer.step(1.0);
  EXPECT_EQ(value.item<float>(), 1.5f);
  EXPECT_EQ(optimizer.params()[0].average.item<float>(), 1.5f);
  EXPECT_EQ(statistic.item<float>(), 3.0f);
  const double decay = 0.5 * (1 - std::exp(-1.0 / 2000));
  EXPECT_NEAR(optimizer.params()[1].average.item<float>(), decay * 1.0 + (1 - decay) * 3.0, 4 * kEpsilon);
}

TEST(Optimizer, KindsHaveNames) {
  for (const OptimizerKind kind : {OptimizerKind::adam, OptimizerKind::sgd}) {
    EXPECT_EQ(parse_optimizer(to_string(kind)), kind);
  }
  EXPECT_EQ(parse_optimizer("adamw"), OptimizerKind::adam);
  EXPECT_THROW(parse_optimizer("Adam"), Error);
}

}  // namespace
}  // namespace yolov3
