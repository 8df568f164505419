// What the training engine promises beside its numbers, which torch_training_engine_test.cc holds to LibTorch's.
#include "engine/training_engine.h"

#include <gtest/gtest.h>

#include <barrier>
#include <cmath>
#include <thread>

#include "base/error.h"
#include "engine/test_networks.h"
#include "net/models.h"

namespace yolov3 {
namespace {

NetworkSpec small_network() { return yolov3_tiny({.classes = 2, .width = 64, .height = 64}); }

// A network with its own parameters, trained by an engine.
struct Rig {
  explicit Rig(const NetworkSpec& network, TrainingOptions options = {}, const std::string& precision = "f32")
      : spec(network), weights(*lively_weights(network)), gradients(zero_weights(network)) {
    std::vector<TrainingTensor> tensors;
    const std::vector<ParamSlot> slots = param_slots(spec);
    for (size_t i = 0; i < slots.size(); ++i) {
      tensors.push_back({weights.tensors[i].data(), nullptr});
      into.push_back(slots[i].trainable ? gradients.tensors[i].data() : nullptr);
    }
    options.plan = rule_training_plan(spec, precision);
    engine = std::make_unique<TrainingEngine>(spec, std::move(tensors), std::move(options));
  }

  // Raw maps, copied; their gradients are some fixed numbers of the image and cell, so that batches can be cut.
  std::vector<float> run(const Tensor& images, int64_t first_image = 0) {
    std::vector<float> numbers;
    std::vector<Tensor> map_gradients;
    std::vector<const float*> pointers;
    for (const RawMap& map : engine->forward(images.data(), images.dim(0), images.dim(2), images.dim(3), 1)) {
      Tensor& gradient = map_gradients.emplace_back(Shape{map.images, map.channels, map.height, map.width});
      for (int64_t n = 0; n < map.images; ++n) {
        for (int64_t c = 0; c < map.channels; ++c) {
          for (int64_t cell = 0; cell < map.cells(); ++cell) {
            numbers.push_back(map.at(n, c, cell));
            gradient[(n * map.channels + c) * map.cells() + cell] =
                1e-2f * static_cast<float>(std::sin(static_cast<double>((first_image + n) * 131 + c * 17 + cell)));
          }
        }
      }
    }
    for (const Tensor& gradient : map_gradients) pointers.push_back(gradient.data());
    gradient_squares = engine->backward(pointers, into);
    return numbers;
  }

  NetworkSpec spec;
  Weights weights, gradients;
  std::vector<float*> into;
  std::unique_ptr<TrainingEngine> engine;
  double gradient_squares = 0;  // of the last run()
};

std::vector<std::string> precisions() {
  std::vector<std::string> all{"f32"};
  if (cpu_computes_bf16()) all.push_back("bf16");
  return all;
}

TEST(TrainingEngine, TheSamePlanGivesTheSameBits) {
  for (const std::string& precision : precisions()) {
    const Tensor images = random_images(3, 64, 64);
    Rig fresh(small_network(), {}, precision), same(small_network(), {}, precision),
        later(small_network(), {}, precision);
    const Weights before = later.weights;
    later.run(random_images(2, 96, 32));  // other shapes before change nothing, but for the running statistics
    for (size_t i = 0; i < before.tensors.size(); ++i) {
      std::ranges::copy(before.tensors[i].values(), later.weights.tensors[i].data());
    }
    const std::vector<float> maps = fresh.run(images);
    for (Rig* other : {&same, &later}) {
      EXPECT_EQ(maps, other->run(images)) << precision;
      EXPECT_EQ(fresh.gradients, other->gradients) << precision;
      EXPECT_EQ(fresh.weights, other->weights) << "running statistics, " << precision;
    }
  }
}

// Layers that no head needs get no gradient, their memory is left alone and their running statistics stand still.
TEST(TrainingEngine, WhatNoHeadNeedsStaysAsItIs) {
  const NetworkSpec spec = spec_of(
      "[convolutional]\nbatch_normalize=1\nfilters=16\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
      "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=leaky\n[route]\nlayers=-2\n"
      "[convolutional]\nfilters=7\nsize=1\nstride=1\nactivation=linear\n[yolo]\nmask=0\nanchors=4,4\nclasses=2\nnum="
      "1\n",
      32, 32);
  Rig rig(spec);
  for (Tensor& gradient : rig.gradients.tensors) std::ranges::fill(gradient.values(), 7.0f);
  const Weights before = rig.weights;
  rig.run(random_images(1, 32, 32));
  const std::vector<ParamSlot> slots = param_slots(spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    const bool trained = slots[i].trainable && slots[i].layer != 1;
    EXPECT_EQ(rig.engine->has_gradient(i), trained) << slots[i].name;
    const bool untouched = std::ranges::all_of(rig.gradients.tensors[i].values(), [](float v) { return v == 7.0f; });
    EXPECT_EQ(untouched, !trained) << slots[i].name;
    const bool stays = slots[i].trainable || slots[i].layer == 1;
    EXPECT_EQ(rig.weights.tensors[i] == before.tensors[i], stays) << slots[i].name;
  }
}

// The same numbers added up in another order, in double.
TEST(TrainingEngine, ReturnsTheSquaresOfAllGradients) {
  for (const std::string& precision : precisions()) {
    Rig rig(small_network(), {}, precision);
    rig.into[1] = nullptr;  // one that nobody wants
    for (int round = 0; round < 2; ++round) {
      rig.run(random_images(2, 64, 64));
      double want = 0;
      for (size_t i = 0; i < rig.into.size(); ++i) {
        if (rig.into[i] == nullptr) continue;
        for (const float g : rig.gradients.tensors[i].values()) want += static_cast<double>(g) * g;
      }
      EXPECT_NEAR(rig.gradient_squares, want, 1e-12 * want) << precision;
    }
    Tensor bad = random_images(2, 64, 64);
    bad[100] = NAN;
    rig.run(bad);
    EXPECT_FALSE(std::isfinite(rig.gradient_squares)) << precision;
  }
}

TEST(TrainingEngine, LayersAreFinalFromTheLastToTheFirst) {
  std::vector<int> order;
  TrainingOptions options;
  options.gradients_ready = [&](int layer) { order.push_back(layer); };
  Rig rig(small_network(), options);
  rig.run(random_images(1, 64, 64));
  std::vector<int> expected = conv_layers(rig.spec);
  std::ranges::reverse(expected);
  EXPECT_EQ(order, expected);
}

// Two engines, each with half of a batch, that add up batch norm's sums: their gradients add up to the whole batch's.
TEST(TrainingEngine, TwoRanksWithSharedSumsAreOneBatch) {
  const NetworkSpec spec = small_network();
  const Tensor images = random_images(4, 64, 64);
  Rig whole(spec);
  whole.run(images);

  std::barrier meet(2);
  std::vector<double> shared[2];
  std::vector<std::unique_ptr<Rig>> ranks(2);
  const auto rank = [&](int mine) {
    TrainingOptions options;
    options.threads = 1;
    options.sum_over_ranks = [&, mine](std::span<double> numbers) {
      shared[mine].assign(numbers.begin(), numbers.end());
      meet.arrive_and_wait();
      for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = shared[0][i] + shared[1][i];
      meet.arrive_and_wait();
    };
    ranks[static_cast<size_t>(mine)] = std::make_unique<Rig>(spec, options);
    Tensor half({2, 3, 64, 64});
    std::copy_n(images.data() + mine * half.size(), half.size(), half.data());
    ranks[static_cast<size_t>(mine)]->run(half, 2 * mine);
  };
  std::thread other(rank, 1);
  rank(0);
  other.join();

  const std::vector<ParamSlot> slots = param_slots(spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    double difference = 0, norm = 0;
    const auto count = static_cast<size_t>(whole.gradients.tensors[i].size());
    for (size_t k = 0; k < count; ++k) {
      const auto at = static_cast<int64_t>(k);
      const double expected = slots[i].trainable ? whole.gradients.tensors[i][at] : whole.weights.tensors[i][at];
      const double got = slots[i].trainable
                             ? double{ranks[0]->gradients.tensors[i][at]} + ranks[1]->gradients.tensors[i][at]
                             : ranks[0]->weights.tensors[i][at];
      difference += (got - expected) * (got - expected);
      norm += expected * expected;
    }
    EXPECT_LT(std::sqrt(difference / norm), 1e-4) << slots[i].name;
  }
}

TEST(TrainingEngine, FrozenLayersStayAndGetNoGradient) {
  const NetworkSpec spec = small_network();
  TrainingOptions options;
  options.frozen_layers = 9;
  std::vector<int> order;
  options.gradients_ready = [&](int layer) { order.push_back(layer); };
  Rig rig(spec, options);
  const Weights before = rig.weights;
  const std::vector<ParamSlot> slots = param_slots(spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].layer < 9) rig.into[i] = nullptr;
  }
  rig.run(random_images(2, 64, 64));
  EXPECT_EQ(order.back(), 10) << "layer 9 is a pool, 8 is frozen";
  for (size_t i = 0; i < slots.size(); ++i) {
    const bool moved = rig.weights.tensors[i] != before.tensors[i];
    const bool statistics = !slots[i].trainable;
    EXPECT_EQ(moved, statistics && slots[i].layer >= 9) << slots[i].name;
  }
}

TEST(TrainingEngine, KeepsFewShapesInOneArena) {
  Rig rig(small_network());
  int64_t largest = 0;
  for (int64_t n = 1; n <= 4; ++n) {
    for (int64_t side = 32; side <= 160; side += 32) {
      rig.run(random_images(n, side, side));
      largest = std::max(largest, rig.engine->memory_bytes());
    }
  }
  EXPECT_LE(rig.engine->describe().size(), 12u + 2) << "a line a kept shape, the arena, the plan";
  // The largest shape by itself takes as much, but for kernels packed in other forms, of which oneDNN has a few.
  Rig alone(small_network());
  alone.run(random_images(4, 160, 160));
  EXPECT_LT(largest, 4 * alone.engine->memory_bytes());
}

// A frozen dropout passes its map on, one that is trained does not.
TEST(TrainingEngine, FrozenDropoutDoesNothing) {
  const NetworkSpec spec = spec_of(
      "[convolutional]\nbatch_normalize=1\nfilters=16\nsize=3\nstride=2\npad=1\nactivation=leaky\n[dropout]"
      "\nprobability=0.5\n"
      "[convolutional]\nfilters=7\nsize=1\nstride=1\nactivation=linear\n[yolo]\nmask=0\nanchors=4,4\nclasses=2\nnum="
      "1\n",
      32, 32);
  const Tensor images = random_images(1, 32, 32);
  const auto numbers = [&](int frozen, uint64_t seed) {
    TrainingOptions options;
    options.frozen_layers = frozen;
    Rig rig(spec, options);
    const RawMap map = rig.engine->forward(images.data(), 1, 32, 32, seed)[0];
    return std::vector<float>(map.data, map.data + map.channels * map.cells());
  };
  EXPECT_EQ(numbers(2, 1), numbers(2, 2));
  EXPECT_NE(numbers(1, 1), numbers(1, 2));
}

// The changed kernel counts from parameters_changed() on.
TEST(TrainingEngine, SeesNewParametersWhenTold) {
  Rig rig(small_network());
  const Tensor images = random_images(1, 64, 64);
  const std::vector<float> before = rig.run(images);
  for (Tensor& tensor : rig.weights.tensors) {
    for (float& value : tensor.values()) value *= 1.25f;
  }
  rig.engine->parameters_changed();
  const std::vector<float> after = rig.run(images);
  Rig fresh(small_network());
  fresh.run(images);  // the same step of the statistics
  for (Tensor& tensor : fresh.weights.tensors) {
    for (float& value : tensor.values()) value *= 1.25f;
  }
  fresh.engine->parameters_changed();
  EXPECT_EQ(after, fresh.run(images));
  EXPECT_NE(after, before);
}

// Nobody changes them, so they are packed once, whatever becomes of the others.
TEST(TrainingEngine, FrozenKernelsAreReadOnce) {
  TrainingOptions options;
  options.frozen_layers = 9;
  Rig changed(small_network(), options), untouched(small_network(), options);
  const Tensor images = random_images(1, 64, 64);
  std::vector<std::vector<float>> numbers;
  for (Rig* rig : {&changed, &untouched}) {
    rig->engine->forward(images.data(), 1, 64, 64, 0);
    if (rig == &changed) changed.weights.tensors[4][0] += 1;  // the first layer's kernel
    rig->engine->parameters_changed();
    const RawMap map = rig->engine->forward(images.data(), 1, 64, 64, 0)[0];
    numbers.emplace_back(map.data, map.data + map.channels * map.cells());
  }
  EXPECT_EQ(param_slots(changed.spec)[4].name, "layer0.kernel");
  EXPECT_EQ(numbers[0], numbers[1]);
}

TEST(TrainingEngine, TimesEveryPass) {
  Rig rig(small_network());
  const Tensor images = random_images(1, 64, 64);
  const std::vector<StepTime> times = rig.engine->profile(images.data(), 1, 64, 64, rig.into);
  const auto count = [&](const char* kind) {
    return static_cast<size_t>(std::ranges::count(times, kind, &StepTime::kind));
  };
  const size_t convolutions = conv_layers(rig.spec).size();
  EXPECT_EQ(count("convolution"), convolutions);
  EXPECT_EQ(count("data gradient"), convolutions - 1);
  EXPECT_EQ(count("kernel gradient"), convolutions);
  for (const StepTime& time : times) EXPECT_EQ(time.detail.find("ref"), std::string::npos) << time.detail;
}

TEST(TrainingEngine, ItsMemoryIsKnownBeforehand) {
  for (const std::string& precision : precisions()) {
    Rig rig(small_network(), {}, precision);
    rig.run(random_images(3, 96, 64));
    const TrainingMemory memory =
        training_memory(with_input_size(rig.spec, 64, 96), 3, {.plan = rule_training_plan(rig.spec, precision)});
    EXPECT_EQ(rig.engine->memory_bytes(), (memory.maps + 3) / 4 * 4 + memory.kernels) << precision;
  }
}

// oneDNN divides by zero where the sizes are beyond its arithmetic.
TEST(TrainingEngine, RefusesMoreImagesThanOneDnnCanCount) {
  const NetworkSpec spec = small_network();
  for (const int64_t images : {int64_t{20'000'000}, int64_t{1} << 40}) {
    try {
      training_memory(spec, images, {.plan = rule_training_plan(spec, "f32")});
      FAIL() << images;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("a batch of at most "), std::string::npos) << error.what();
    }
  }
}

TEST(TrainingEngine, RefusesWhatDoesNotFit) {
  const NetworkSpec spec = small_network();
  EXPECT_THROW(TrainingEngine(spec, {}, {.plan = rule_training_plan(spec, "f32")}), Error) << "no tensors";
  Rig rig(spec);
  EXPECT_THROW(rig.engine->backward({}, rig.into), Error) << "before forward()";
  rig.run(random_images(1, 64, 64));
  EXPECT_THROW(rig.engine->backward({}, rig.into), Error) << "twice";
  const Tensor good = random_images(1, 64, 64);
  rig.engine->forward(good.data(), 1, 64, 64, 0);
  EXPECT_THROW(rig.engine->backward({}, rig.into), Error) << "no gradients";
  const Tensor images = random_images(1, 48, 48);
  EXPECT_THROW(rig.engine->forward(images.data(), 1, 48, 48, 0), Error) << "no multiple of the stride";
}

}  // namespace
}  // namespace yolov3
