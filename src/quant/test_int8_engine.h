// For tests: int8 by the book, over plain loops and for chains of convolutions only. A convolution in int8 reads its
// input rounded to multiples of the input map's scale (the picture: 1/127), with kernels rounded a filter; sums are
// exact. The network: finds white quarters of a black picture, with weak places to order.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/reference.h"
#include "engine/reference_conv.h"
#include "net/builder.h"
#include "quant/engine_factory.h"

namespace yolov3::testing {

class TestInt8Engine : public Engine {
 public:
  TestInt8Engine(NetworkSpec spec, std::shared_ptr<const Weights> weights, Quantization quantization)
      : spec_(std::move(spec)), weights_(std::move(weights)), quantization_(std::move(quantization)) {
    check_quantization(spec_, quantization_);
  }

  std::vector<Tensor> forward(const Tensor& images) override {
    Tensor map = images;
    size_t slot = 0;
    for (size_t i = 0; i + 1 < spec_.layers.size(); ++i, slot += 2) {
      const std::vector<int>& in_float = quantization_.float_layers;
      Tensor kernel = weights_->tensors[slot + 1];
      if (!std::binary_search(in_float.begin(), in_float.end(), static_cast<int>(i))) {
        round_to(map.values(), i == 0 ? 1.0f / 127 : quantization_.scales[i - 1]);
        round_kernels(kernel);
      }
      map = convolved(std::get<Conv>(spec_.layers[i].op), map, kernel, weights_->tensors[slot], spec_.layers[i].out);
    }
    return {map};
  }

  std::string name() const override { return "test int8"; }

 private:
  static void round_to(std::span<float> values, float scale) {
    for (float& value : values) value = scale * std::clamp(std::round(value / scale), -127.0f, 127.0f);
  }
  static void round_kernels(Tensor& kernel) {
    const int64_t per_filter = kernel.size() / kernel.dim(0);
    for (int64_t f = 0; f < kernel.dim(0); ++f) {
      const std::span<float> values =
          kernel.values().subspan(static_cast<size_t>(f * per_filter), static_cast<size_t>(per_filter));
      float largest = 0;
      for (const float value : values) largest = std::max(largest, std::fabs(value));
      if (largest > 0) round_to(values, largest / 127);
    }
  }
  static Tensor convolved(const Conv& conv, const Tensor& map, const Tensor& kernel, const Tensor& bias,
                          const LayerShape& out) {
    Tensor result({map.dim(0), out.channels, out.height, out.width});
    std::vector<ChannelMap> channels(static_cast<size_t>(conv.filters));
    for (int f = 0; f < conv.filters; ++f) channels[static_cast<size_t>(f)].beta = bias[f];
    const LayerShape in{map.dim(1), map.dim(2), map.dim(3)};
    for (int64_t n = 0; n < map.dim(0); ++n) {
      convolve(conv, in, out, map.data() + n * in.size(), kernel.data(), channels, result.data() + n * out.size());
    }
    return result;
  }

  NetworkSpec spec_;
  std::shared_ptr<const Weights> weights_;
  Quantization quantization_;
};

struct Finder {
  NetworkSpec spec;
  std::shared_ptr<const Weights> weights;

  EngineFactory factory() const {
    return [*this](std::shared_ptr<const Quantization> quantization) -> std::unique_ptr<Engine> {
      if (quantization == nullptr) return make_reference_engine(spec, weights);
      return std::make_unique<TestInt8Engine>(spec, weights, *quantization);
    };
  }
};

// 3,64,64 -> cells of 32 pixels. Layer 0 averages the green of a cell: s, 0 to 1. Layers 1 to weak.size() hand s on.
// The last convolution turns it into logits: class 1 of {black, white} where s is 1, nothing where it is 0. Where
// weak[i] is set, the map that layer i + 1 reads has s beside a constant 500, so that its int8 steps (500/127) are too
// coarse for s: in int8 that layer loses s, and the network finds nothing.
inline Finder white_finder(const std::vector<bool>& weak) {
  NetworkBuilder net({3, 64, 64});
  net.add(Conv{.filters = 2, .size = 32, .stride = 32}, {kNetworkInput});
  for (size_t i = 0; i < weak.size(); ++i) net.conv(2, 1, 1, Activation::linear, false);
  net.conv(7, 1, 1, Activation::linear, false).yolo({{16, 16}}, {0}, 2);
  const NetworkSpec spec = net.build();

  Weights weights = zero_weights(spec);
  Tensor& mean = weights.tensors[1];  // 2,3,32,32
  for (int64_t i = 0; i < 32 * 32; ++i) mean[32 * 32 + i] = 1.0f / (32 * 32);
  for (size_t i = 0; i <= weak.size(); ++i) {  // layer i's second filter is what layer i + 1 reads beside s
    if (i < weak.size() && weak[i]) weights.tensors[2 * i][1] = 500;
    if (i > 0) weights.tensors[2 * i + 1][0] = 1;
  }
  Tensor &bias = weights.tensors[2 * weak.size() + 2], &head = weights.tensors[2 * weak.size() + 3];  // 7; 7,2,1,1
  bias[4] = bias[6] = -10;
  head[2 * 4] = head[2 * 6] = 20;
  bias[5] = -10;
  return {spec, std::make_shared<const Weights>(std::move(weights))};
}

}  // namespace yolov3::testing
