// The passes of engine/map_gradients.h against LibTorch's own gradients: above all its rules for ties, for NaN and for
// the slope at 0. And max pooling forwards, for NaN too.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "engine/map_gradients.h"
#include "engine/test_maps.h"
#include "engine/torch_network.h"

namespace yolov3 {
namespace {

constexpr MapFormat kFormat{NumberType::f32, Layout::blocked8};

// LibTorch's gradient of `layer` at `in`, given that of its result. In channels_last, as torch_network runs it.
Tensor torch_gradient(const Tensor& in, const Tensor& gradient,
                      const std::function<torch::Tensor(const torch::Tensor&)>& layer) {
  const torch::Tensor x = torch_from_tensor(in).contiguous(torch::MemoryFormat::ChannelsLast).requires_grad_();
  layer(x).backward(torch_from_tensor(gradient));
  return tensor_from_torch(x.grad());
}

// Whole numbers from -3 to 3: ties everywhere, and sums that are exact.
Tensor few_numbers(const Shape& shape, uint64_t seed) {
  Tensor numbers = whole_numbers(shape, seed);
  for (float& value : numbers.values()) value = std::trunc(value / 32);
  return numbers;
}

torch::Tensor torch_pool(const torch::Tensor& x, const MaxPool& pool) {
  const int64_t before = pool.padding / 2, after = pool.padding - before;
  const torch::Tensor padded =
      torch::constant_pad_nd(x, {before, after, before, after}, -std::numeric_limits<float>::infinity());
  return torch::max_pool2d(padded, pool.size, pool.stride);
}

const MaxPool kPools[] = {{2, 2, 0}, {2, 1, 1}, {5, 1, 4}, {3, 2, 2}};

Tensor few_numbers_and_nans(const Shape& shape, double nans) {
  Tensor in = few_numbers(shape, 1);
  Rng rng(3);
  for (float& value : in.values()) {
    if (rng.chance(nans)) value = std::numeric_limits<float>::quiet_NaN();
  }
  return in;
}

TEST(TorchMapGradients, MaxPoolingOfTiesAndNans) {
  for (const double nans : {0.0, 0.2}) {
    for (const MaxPool& pool : kPools) {
      const int64_t height = (9 + pool.padding - pool.size) / pool.stride + 1;
      const int64_t width = (8 + pool.padding - pool.size) / pool.stride + 1;
      const Tensor in = few_numbers_and_nans({2, 19, 9, 8}, nans), given = few_numbers({2, 19, height, width}, 2);
      const Tensor want = torch_gradient(in, given, [&](const torch::Tensor& x) { return torch_pool(x, pool); });
      const StoredMap map(kFormat, in), gradient(kFormat, given);
      StoredMap to(kFormat, 2, {19, 9, 8});
      max_pool_gradient(map.view(), pool, gradient.view(), to.view(), Into::fresh);
      EXPECT_EQ(to.planes(), want) << pool.size << ", stride " << pool.stride << ", NaN " << nans;
    }
  }
}

TEST(TorchMapGradients, MaxPoolingForwardsOfNans) {
  for (const NumberType type : {NumberType::f32, NumberType::bf16}) {
    for (const MaxPool& pool : kPools) {
      const Tensor in = few_numbers_and_nans({2, 19, 9, 8}, 0.1);
      const torch::ScalarType torch_type = type == NumberType::f32 ? torch::kFloat32 : torch::kBFloat16;
      const Tensor want = tensor_from_torch(torch_pool(torch_from_tensor(in).to(torch_type), pool));
      const MapFormat format{type, Layout::blocked16};
      const StoredMap map(format, in);
      StoredMap pooled(format, 2, {19, want.dim(2), want.dim(3)});
      max_pool_map(map.view(), pool, pooled.view());
      const Tensor got = pooled.planes();
      for (int64_t i = 0; i < got.size(); ++i) {
        ASSERT_TRUE(std::isnan(want[i]) ? std::isnan(got[i]) : got[i] == want[i])
            << pool.size << ", stride " << pool.stride << ": " << got[i] << " for " << want[i];
      }
    }
  }
}

TEST(TorchMapGradients, Activations) {
  const Tensor in = few_numbers({1, 9, 5, 5}, 4), given = few_numbers({1, 9, 5, 5}, 5);
  const std::pair<Activation, std::function<torch::Tensor(const torch::Tensor&)>> all[] = {
      {Activation::leaky, [](const torch::Tensor& x) { return torch::leaky_relu(x, 0.1); }},
      {Activation::relu, [](const torch::Tensor& x) { return torch::relu(x); }},
      {Activation::logistic, [](const torch::Tensor& x) { return torch::sigmoid(x); }},
      {Activation::mish, [](const torch::Tensor& x) { return torch::mish(x); }},
      {Activation::swish, [](const torch::Tensor& x) { return torch::silu(x); }}};
  for (const auto& [activation, layer] : all) {
    const Tensor want = torch_gradient(in, given, layer);
    const StoredMap before(kFormat, in), gradient(kFormat, given);
    StoredMap to(kFormat, 1, {9, 5, 5});
    activation_gradient(before.view(), activation, gradient.view(), to.view());
    const Tensor got = to.planes();
    // LibTorch computes in float, some ten operations on numbers up to 3, with exp and tanh good to an ulp or two.
    for (int64_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], want[i], 20 * 0x1p-24 * 3) << static_cast<int>(activation) << " of " << in[i];
    }
  }
}

}  // namespace
}  // namespace yolov3
