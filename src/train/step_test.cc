#include "train/step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/rng.h"
#include "data/synthetic.h"
#include "net/builder.h"
#include "train/parameters.h"

namespace yolov3 {
namespace {

NetworkSpec small_network(bool batch_normalize) {
  NetworkBuilder net({3, 64, 64});
  net.conv(8, 3, 2, Activation::leaky, batch_normalize).conv(8, 3, 2, Activation::leaky, batch_normalize);
  net.conv(16, 3, 2, Activation::leaky, batch_normalize).conv(45, 1, 1, Activation::linear, false);
  net.yolo({{10, 12}, {18, 24}, {30, 36}}, {0, 1, 2}, 10);
  return net.build();
}

// Pictures `first` to `first + count` of a set of random ones, an object in each.
Batch random_batch(int64_t first, int64_t count) {
  Batch batch{.images = Tensor({count, 3, 64, 64})};
  const int64_t size = 3 * 64 * 64;
  for (int64_t n = 0; n < count; ++n) {
    Rng rng(static_cast<uint64_t>(100 + first + n));
    for (int64_t i = 0; i < size; ++i) batch.images[n * size + i] = static_cast<float>(rng.uniform());
    const auto x = static_cast<float>(rng.uniform(0, 30)), y = static_cast<float>(rng.uniform(0, 30));
    batch.objects_net.push_back({{.box = {x, y, x + 20, y + 25}, .class_id = static_cast<int>(rng.integer(0, 9))}});
    batch.examples.push_back(first + n);
  }
  return batch;
}

TrainOptions in_f32(TrainOptions options) {
  options.precision = "f32";
  return options;
}

struct Rig {
  explicit Rig(const NetworkSpec& spec, const TrainOptions& chosen = {})
      : options(in_f32(chosen)),
        network(spec, random_weights(spec, {.seed = 2}), torch::kCPU, false),
        optimizer(make_optimizer(network, options)),
        engine(make_engine_network(network, choose_plan(options, spec), options)),
        dataset(synthetic_dataset(0, "train", 12)),
        stepper(network, engine.get(), optimizer, dataset, options) {}
  TrainOptions options;
  TorchNetwork network;
  Optimizer optimizer;
  std::unique_ptr<EngineNetwork> engine;
  Dataset dataset;
  Stepper stepper;
};

std::vector<Tensor> sums(const Optimizer& optimizer) {
  std::vector<Tensor> copies;
  for (const OptimizerParam& param : optimizer.params()) copies.push_back(tensor_from_torch(param.sum));
  return copies;
}

// Without batch norm a picture's gradient does not depend on its company, so that batches of 4, 4 and 2 give the update
// of all 10 pictures together, but for the order of sums.
TEST(Step, SeveralBatchesGiveTheUpdateOfOneLargeOne) {
  const NetworkSpec spec = small_network(false);
  TrainOptions options;
  options.optimizer = "sgd";
  options.clip_norm = 0.5;  // of the mean, not of its parts
  Rig apart(spec, options), together(spec, options);
  const Weights before = apart.network.weights();
  apart.stepper.step(random_batch(0, 4), 0.1, false);
  EXPECT_EQ(apart.network.weights(), before);
  apart.stepper.step(random_batch(4, 4), 0.1, false);
  apart.stepper.step(random_batch(8, 2), 0.1, true);
  together.stepper.step(random_batch(0, 10), 0.1);
  const Weights a = apart.network.weights(), b = together.network.weights();
  double moved = 0, worst = 0;
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    for (int64_t k = 0; k < a.tensors[i].size(); ++k) {
      moved = std::max(moved, std::abs(double{a.tensors[i][k]} - before.tensors[i][k]));
      worst = std::max(worst, std::abs(double{a.tensors[i][k]} - b.tensors[i][k]));
    }
  }
  EXPECT_GT(moved, 1e-3);
  // A gradient of norm 0.5, with the error of a sum over 10 * 32 * 32 cells in float32, and the rounding of parameters
  // of up to 5 (the bias of the objectness).
  EXPECT_LE(worst, 0.1 * 0.5 * std::sqrt(10.0 * 32 * 32) * std::numeric_limits<float>::epsilon() + 5 * 1.2e-7);
}

// A picture that is no number in the second of three batches: nothing of it stays, and it is named.
TEST(Step, ANonFiniteBatchAmongSeveralTouchesNothing) {
  Rig s(small_network(true));
  s.stepper.step(random_batch(0, 4), 0.1, false);
  const Weights weights = s.network.weights();
  const std::vector<Tensor> waiting = sums(s.optimizer);
  Batch bad = random_batch(4, 4);
  bad.images[2 * 3 * 64 * 64 + 17] = NAN;
  try {
    s.stepper.step(bad, 0.1, false);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(s.dataset.examples[6].image.string()), std::string::npos) << error.what();
  }
  EXPECT_EQ(s.network.weights(), weights) << "parameters and running statistics";
  EXPECT_EQ(sums(s.optimizer), waiting);
  EXPECT_EQ(s.optimizer.accumulated(), 4);

  // Going on with good batches is as if the bad one had never been.
  Rig never(small_network(true));
  never.stepper.step(random_batch(0, 4), 0.1, false);
  for (Rig* setup : {&s, &never}) {
    setup->stepper.step(random_batch(4, 4), 0.1, false);
    setup->stepper.step(random_batch(8, 4), 0.1, true);
  }
  EXPECT_EQ(s.network.weights(), never.network.weights());
  EXPECT_NE(s.network.weights(), weights);
}

// The last batch of an update, and gradients whose sum is beyond float32 although each is not.
TEST(Step, ANonFiniteMeanTouchesNothing) {
  Rig s(small_network(true));
  s.stepper.step(random_batch(0, 4), 0.1, false);
  for (OptimizerParam& param : s.optimizer.params()) param.sum.fill_(std::numeric_limits<float>::infinity());
  const Weights weights = s.network.weights();
  EXPECT_THROW(s.stepper.step(random_batch(4, 4), 0.1, true), Error);
  EXPECT_EQ(s.network.weights(), weights);
  EXPECT_EQ(s.optimizer.steps(), 0);
}

TEST(Step, StatisticsFollowEveryBatch) {
  Rig s(small_network(true));
  const Weights before = s.network.weights();
  s.stepper.step(random_batch(0, 4), 0.1, false);
  const Weights after = s.network.weights();
  for (size_t i = 0; i < before.tensors.size(); ++i) {
    EXPECT_EQ(before.tensors[i] == after.tensors[i], s.network.slots()[i].trainable) << s.network.slots()[i].name;
  }
}

// The last batch of an update is left out: the update is that of the four pictures before it.
TEST(Step, AnUpdateIsFinishedWithoutItsLastBatch) {
  Rig left_out(small_network(true)), alone(small_network(true));
  EXPECT_FALSE(left_out.stepper.finish_update(0.1)) << "nothing waits";
  left_out.stepper.step(random_batch(0, 4), 0.1, false);
  EXPECT_TRUE(left_out.stepper.finish_update(0.1));
  alone.stepper.step(random_batch(0, 4), 0.1, true);
  EXPECT_EQ(left_out.network.weights(), alone.network.weights());
  EXPECT_EQ(left_out.optimizer.steps(), 1);
  EXPECT_EQ(left_out.optimizer.accumulated(), 0);
}

TEST(Step, AnUpdateOfSumsThatAreNotFiniteIsDropped) {
  Rig s(small_network(true));
  s.stepper.step(random_batch(0, 4), 0.1, false);
  const Weights weights = s.network.weights();
  for (OptimizerParam& param : s.optimizer.params()) param.sum.fill_(std::numeric_limits<float>::infinity());
  EXPECT_FALSE(s.stepper.finish_update(0.1));
  EXPECT_EQ(s.network.weights(), weights);
  EXPECT_EQ(s.optimizer.accumulated(), 0);
  s.stepper.step(random_batch(4, 4), 0.1, true);  // and the next is as if it had never been
  EXPECT_EQ(s.optimizer.steps(), 1);
  for (const Tensor& tensor : s.network.weights().tensors) {
    for (const float value : tensor.values()) ASSERT_TRUE(std::isfinite(value));
  }
}

}  // namespace
}  // namespace yolov3
