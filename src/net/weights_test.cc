#include "net/weights.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>

#include "base/error.h"
#include "net/builder.h"
#include "net/fold.h"
#include "net/models.h"

namespace yolov3 {
namespace {

NetworkSpec small_network() {
  NetworkBuilder net({4, 8, 8});
  net.conv(64, 3).conv(128, 3).add(Conv{.filters = 128, .size = 3, .padding = 1, .groups = 128}, {1});
  return net.conv(14, 1, 1, Activation::linear, false).yolo({{1, 1}, {2, 2}}, {0, 1}, 2).build();
}

TEST(Weights, SlotsAreInDarknetsOrder) {
  const std::vector<ParamSlot> slots = param_slots(small_network());
  const char* names[] = {"layer0.beta", "layer0.gamma",  "layer0.running_mean", "layer0.running_var", "layer0.kernel",
                         "layer1.beta", "layer1.gamma",  "layer1.running_mean", "layer1.running_var", "layer1.kernel",
                         "layer2.bias", "layer2.kernel", "layer3.bias",         "layer3.kernel"};
  ASSERT_EQ(slots.size(), std::size(names));
  for (size_t i = 0; i < slots.size(); ++i) EXPECT_EQ(slots[i].name, names[i]);
  EXPECT_EQ(slots[9].shape, (Shape{128, 64, 3, 3}));
  EXPECT_EQ(slots[11].shape, (Shape{128, 1, 3, 3}));
  EXPECT_EQ(slots[13].conv, 3);
  EXPECT_EQ(slots[9].batch_norm, 1);
  EXPECT_EQ(slots[13].batch_norm, -1);
  EXPECT_FALSE(slots[2].trainable);
  EXPECT_TRUE(slots[1].trainable);
}

TEST(Weights, CountsAgreeWithTheTensors) {
  for (const NetworkSpec& spec : {small_network(), yolov3_tiny()}) {
    const std::vector<ParamSlot> slots = param_slots(spec);
    const Weights weights = zero_weights(spec);
    ParamCount count;
    for (size_t i = 0; i < slots.size(); ++i) {
      count.all += weights.tensors[i].size();
      if (slots[i].trainable) count.trainable += weights.tensors[i].size();
    }
    EXPECT_EQ(count_params(spec).all, count.all);
    EXPECT_EQ(count_params(spec).trainable, count.trainable);
  }
}

TEST(Weights, RandomOnesHaveHesDistribution) {
  const NetworkSpec spec = small_network();
  const Weights weights = random_weights(spec, {.seed = 3, .objectness_prior = 0.01f});
  const Tensor& kernel = weights.tensors[9];  // 73,728 values, fan-in 64*9 = 576
  const double deviation = std::sqrt(2 / (1.01 * 576));
  double sum = 0, squares = 0;
  int within = 0;
  for (const float value : kernel.values()) {
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += double{value} * value;
    within += std::abs(value) < deviation;
  }
  const auto n = static_cast<double>(kernel.size());
  EXPECT_NEAR(sum / n, 0, 5 * deviation / std::sqrt(n));  // five standard errors
  EXPECT_NEAR(std::sqrt(squares / n), deviation, 5 * deviation / std::sqrt(2 * n));
  EXPECT_NEAR(within / n, 0.682689, 5 * std::sqrt(0.6827 * 0.3173 / n));  // of a normal distribution
  for (int i = 0; i < 14; ++i) {
    EXPECT_NEAR(weights.tensors[12][i], i % 7 == 4 ? -4.59511985 : 0, 1e-6) << i;  // ln(0.01/0.99)
  }
  double head = 0;
  for (const float value : weights.tensors[13].values()) head += double{value} * value;
  EXPECT_NEAR(std::sqrt(head / (14 * 128)), 0.01, 5 * 0.01 / std::sqrt(2.0 * 14 * 128));
  EXPECT_EQ(weights.tensors[1][5], 1);
  EXPECT_EQ(weights.tensors[2][5], 0);
  EXPECT_EQ(weights.tensors[3][5], 1);
}

TEST(Weights, RandomOnesDependOnTheSeedOnly) {
  const NetworkSpec spec = small_network();
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const Weights one = random_weights(spec, {.seed = 7});
  omp_set_num_threads(3);
  EXPECT_EQ(random_weights(spec, {.seed = 7}), one);
  omp_set_num_threads(threads);
  EXPECT_NE(random_weights(spec, {.seed = 8}), one);
  EXPECT_NE(one.tensors[4][0], one.tensors[9][0]);
  EXPECT_NE(one.tensors[9][0], one.tensors[9][1 << 14]) << "blocks";
  EXPECT_THROW(random_weights(spec, {.seed = 1, .objectness_prior = 0}), Error);
}

TEST(Weights, CheckNamesTheFirstWrongTensor) {
  const NetworkSpec spec = small_network();
  Weights weights = zero_weights(spec);
  EXPECT_NO_THROW(check_weights(spec, weights));
  const auto message = [&] {
    try {
      check_weights(spec, weights);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  weights.tensors[9] = Tensor({128, 64, 1, 1});
  EXPECT_NE(message().find("layer1.kernel"), std::string::npos) << message();
  weights = zero_weights(spec);
  weights.tensors.pop_back();
  EXPECT_NE(message().find("layer3.kernel"), std::string::npos) << message();
  weights = zero_weights(spec);
  weights.tensors.emplace_back(Shape{1});
  EXPECT_NE(message().find("15 tensors"), std::string::npos) << message();
}

TEST(Fold, ByHand) {
  NetworkBuilder net({1, 1, 1}, 0.75f);
  const NetworkSpec spec = net.conv(2, 1).conv(1, 1, 1, Activation::linear, false).build();
  Weights weights = zero_weights(spec);
  const float values[][2] = {{1, -1}, {3, 2}, {5, 0}, {0.25f, 3.25f}, {7, 4}, {9}, {10, 11}};
  for (size_t i = 0; i < 7; ++i) std::copy_n(values[i], weights.tensors[i].size(), weights.tensors[i].data());
  const FoldedNetwork folded = fold_batch_norm(spec, weights);
  // Filter 0: s = 3/sqrt(0.25+0.75) = 3, kernel 21, bias 1 - 5*3; filter 1: s = 2/sqrt(4) = 1, kernel 4, bias -1.
  ASSERT_EQ(folded.weights.tensors.size(), 4u);
  EXPECT_EQ(folded.weights.tensors[0][0], -14);
  EXPECT_EQ(folded.weights.tensors[0][1], -1);
  EXPECT_EQ(folded.weights.tensors[1][0], 21);
  EXPECT_EQ(folded.weights.tensors[1][1], 4);
  EXPECT_EQ(folded.weights.tensors[2], weights.tensors[5]);
  EXPECT_EQ(folded.weights.tensors[3], weights.tensors[6]);
  EXPECT_NO_THROW(check_weights(folded.spec, folded.weights));
  EXPECT_NO_THROW(check_spec(folded.spec));
  EXPECT_EQ(fold_batch_norm(folded.spec, folded.weights).weights, folded.weights);
}

}  // namespace
}  // namespace yolov3
