#include "train/engine_network.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/rng.h"
#include "net/builder.h"
#include "net/models.h"
#include "train/loss.h"
#include "train/parameters.h"
#include "train/setup.h"

namespace yolov3 {
namespace {

std::vector<std::vector<Annotation>> objects_of(int64_t batch, const NetworkSpec& spec) {
  Rng rng(3);
  std::vector<std::vector<Annotation>> objects(static_cast<size_t>(batch));
  const auto side = static_cast<double>(std::min(spec.input.width, spec.input.height));
  for (auto& list : objects) {
    for (int i = 0; i < 3; ++i) {
      const auto size = static_cast<float>(rng.uniform(0.2, 0.6) * side);
      const auto x = static_cast<float>(rng.uniform(0, 0.4 * side)), y = static_cast<float>(rng.uniform(0, 0.4 * side));
      list.push_back(
          {.box = {x, y, x + size, y + size}, .class_id = static_cast<int>(rng.integer(0, class_count(spec) - 1))});
    }
  }
  return objects;
}

// The losses of so many steps of Adam on one batch. noise: relative, on the first weights.
std::vector<double> train_on_one_batch(const NetworkSpec& spec, const std::string& engine, int64_t batch, int steps,
                                       double noise = 0) {
  TrainOptions options;
  options.engine = engine;
  options.precision = "f32";
  options.batch = static_cast<int>(batch);
  TorchNetwork network(spec, random_weights(spec, {.seed = 1}), torch::kCPU, false);
  torch::manual_seed(6);
  for (torch::Tensor& param : network.params()) {
    const torch::NoGradGuard no_grad;
    if (noise > 0) param.mul_(1 + noise * torch::randn_like(param));
  }
  const std::unique_ptr<EngineNetwork> native = make_engine_network(network, choose_plan(options, spec), options);
  Optimizer optimizer = make_optimizer(network, options);
  torch::manual_seed(5);
  const torch::Tensor images = torch::rand({batch, 3, spec.input.height, spec.input.width});
  const std::vector<Head> all = heads(spec);
  const auto objects = objects_of(batch, spec);
  std::vector<double> losses;
  for (int step = 0; step < steps; ++step) {
    const auto maps = native != nullptr ? native->forward(images) : network.forward(images, true);
    const torch::Tensor total = yolo_loss(maps, all, objects, assign(objects, all), {}).parts.total();
    losses.push_back(total.item<double>());
    total.backward();
    optimizer.step(1e-4);
    optimizer.clear_gradients();
    if (native != nullptr) native->parameters_changed();
  }
  return losses;
}

double mean_distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] - b[i]) / b[i];
  return sum / static_cast<double>(a.size());
}

// Adam divides each gradient by its size, so that from the first step on a weight whose gradient is all but zero goes
// one way or the other by the last bit of a sum. How far two curves may part for that is shown by LibTorch against
// itself, with the first weights moved by a millionth.
TEST(EngineNetwork, SlowTheFullNetworkLearnsAsItDoesByLibTorch) {
  constexpr int kSteps = 50;
  const NetworkSpec spec = yolov3({.classes = 3, .width = 64, .height = 64});
  const std::vector<double> libtorch = train_on_one_batch(spec, "torch", 2, kSteps);
  const std::vector<double> moved = train_on_one_batch(spec, "torch", 2, kSteps, 1e-6);
  const std::vector<double> ours = train_on_one_batch(spec, "dnnl", 2, kSteps);
  EXPECT_NEAR(ours[0], libtorch[0], 1e-5 * libtorch[0]);
  EXPECT_NEAR(ours[1], libtorch[1], 5e-3 * libtorch[1]);
  EXPECT_LT(libtorch.back(), 0.2 * libtorch[0]) << "it learns";
  EXPECT_LT(mean_distance(ours, libtorch), 3 * mean_distance(moved, libtorch))
      << "LibTorch from itself: " << mean_distance(moved, libtorch);
}

TEST(EngineNetwork, ItsNormIsThatOfTheGradients) {
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 64, .height = 64});
  for (const char* freeze : {"0", "6"}) {
    TrainOptions options;
    options.engine = "dnnl";
    options.precision = "f32";
    options.freeze = freeze;
    TorchNetwork network(spec, random_weights(spec), torch::kCPU, false, 0.1, frozen_layers(options, spec));
    const auto native = make_engine_network(network, choose_plan(options, spec), options);
    torch::Tensor sum = torch::zeros({});
    for (const torch::Tensor& map : native->forward(torch::rand({2, 3, 64, 64}))) sum = sum + map.square().sum();
    sum.backward();
    const double norm = make_optimizer(network, options).gradient_norm();
    EXPECT_GT(norm, 0);
    EXPECT_NEAR(native->gradient_norm(), norm, 1e-10 * norm) << "--freeze " << freeze;
  }
}

// Dropout's seed comes from LibTorch's generator: a resumed run, which sets it anew each step, repeats itself.
TEST(EngineNetwork, DropoutFollowsTheGenerator) {
  NetworkSpec spec = NetworkBuilder({3, 32, 32})
                         .conv(16, 3, 2)
                         .conv(21, 1, 1, Activation::linear, false)
                         .yolo({{4, 4}, {8, 8}, {9, 9}}, {0, 1, 2}, 2)
                         .build();
  Layer dropout{{0}, Dropout{0.5f}, spec.layers[0].out};
  spec.layers.insert(spec.layers.begin() + 1, dropout);
  spec.layers[2].inputs = {1};
  spec.layers[3].inputs = {2};
  TorchNetwork network(spec, random_weights(spec), torch::kCPU, false);
  TrainOptions options;
  options.engine = "dnnl";
  options.precision = "f32";
  const auto native = make_engine_network(network, choose_plan(options, spec), options);
  const torch::Tensor images = torch::rand({2, 3, 32, 32});
  const auto run = [&](uint64_t seed) {
    torch::manual_seed(seed);
    return native->forward(images)[0].detach().clone();
  };
  const torch::Tensor first = run(1);
  EXPECT_TRUE(torch::equal(run(1), first));
  EXPECT_FALSE(torch::equal(run(2), first));
}

// Four million pictures of 64x64: more than any machine has, worked out without taking any.
TEST(EngineNetwork, BatchesLargerThanTheMemoryAreRefused) {
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 64, .height = 64});
  TrainOptions options;
  options.width = options.height = 64;
  options.batch = 4'000'000;
  const TrainingPlan plan = rule_training_plan(spec, "f32");
  const auto message = [&](int64_t pictures) {
    try {
      check_training_plan(plan, spec, options, pictures);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(message(20'000'000).find("--imgsz 64x64, a batch of 4000000: it takes more than "), std::string::npos)
      << message(20'000'000);
  EXPECT_NE(message(20'000'000).find("use a smaller --batch"), std::string::npos);
  EXPECT_EQ(message(10), "") << "no batch is larger than the data set";
  options.batch = 8;
  EXPECT_EQ(message(20'000'000), "");
  options.batch = 256;
  options.multi_scale = {64, 1 << 13};
  EXPECT_NE(message(20'000'000).find("--multi-scale 8192, a batch of 256: it takes more than "), std::string::npos)
      << message(20'000'000);
}

TEST(EngineNetwork, PlansFollowOptionsAndCheckpoints) {
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 64, .height = 64});
  TrainOptions options;
  options.precision = "f32";
  const std::string f32 = write_training_plan(rule_training_plan(spec, "f32"));
  EXPECT_EQ(plan_text(choose_plan(options, spec), false), f32);
  EXPECT_EQ(plan_text(choose_plan(options, spec, f32), false), f32);
  for (const char* torch : {"torch", "torch f32"}) EXPECT_FALSE(choose_plan(options, spec, torch)) << "as it was";
  const std::string direct = "training-plan 1 f32 channels_last: " + [] {
    std::string words;
    for (int i = 0; i < 13; ++i) words += "ddd ";
    return words;
  }();
  options.training_plan = direct;
  EXPECT_EQ(choose_plan(options, spec)->layout, Layout::channels_last);
  EXPECT_THROW(choose_plan(options, spec, f32), Error) << "another plan than the checkpoint's";
  options.precision = "bf16";
  EXPECT_THROW(choose_plan(options, spec), Error) << "the plan is f32";
  options = {};
  options.engine = "dnnl";
  EXPECT_THROW(choose_plan(options, spec, "torch bf16"), Error);
  options.engine = "torch";
  EXPECT_FALSE(choose_plan(options, spec, f32));
}

// The type of LibTorch's operators is the checkpoint's, whatever this CPU would choose.
TEST(EngineNetwork, LibTorchGoesOnInTheTypeItHad) {
  TrainOptions options;
  EXPECT_EQ(plan_text(std::nullopt, true), "torch bf16");
  EXPECT_EQ(plan_text(std::nullopt, false), "torch f32");
  EXPECT_TRUE(torch_in_bf16(options, "torch bf16"));
  EXPECT_FALSE(torch_in_bf16(options, "torch f32"));
  options.precision = "bf16";
  EXPECT_TRUE(torch_in_bf16(options, "torch")) << "an older checkpoint does not say";
  EXPECT_THROW(torch_in_bf16(options, "torch f32"), Error);
}

}  // namespace
}  // namespace yolov3
