#include "engine/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "engine/reference_conv.h"
#include "net/builder.h"
#include "net/shape.h"

namespace yolov3 {
namespace {

using Map = std::shared_ptr<const Tensor>;  // N,C,H,W; shared, because many layers pass their input on as it is

Tensor make_map(int64_t images, const LayerShape& shape) {
  return Tensor({images, shape.channels, shape.height, shape.width});
}

std::span<float> planes(Tensor& map, int64_t image, int64_t channel, int64_t count) {
  const int64_t plane = map.dim(2) * map.dim(3);
  return map.values().subspan(static_cast<size_t>((image * map.dim(1) + channel) * plane),
                              static_cast<size_t>(count * plane));
}

std::span<const float> planes(const Tensor& map, int64_t image, int64_t channel, int64_t count) {
  return planes(const_cast<Tensor&>(map), image, channel, count);
}

// --- One function a layer kind: inputs -> output ------------------------------------------------------------------

Tensor run(const Shortcut& shortcut, const std::vector<Map>& in, const LayerShape& out) {
  Tensor sum = *in[0];
  const int64_t common = std::min(in[0]->dim(1), in[1]->dim(1));
#pragma omp parallel for collapse(2)
  for (int64_t n = 0; n < sum.dim(0); ++n) {
    for (int64_t c = 0; c < out.channels; ++c) {
      const std::span<float> to = planes(sum, n, c, 1);
      if (c < common) {
        const std::span<const float> from = planes(*in[1], n, c, 1);
        for (size_t i = 0; i < to.size(); ++i) to[i] += from[i];
      }
      activate(shortcut.activation, to);
    }
  }
  return sum;
}

Tensor run(const Route& route, const std::vector<Map>& in, const LayerShape& out) {
  Tensor joined = make_map(in[0]->dim(0), out);
  for (int64_t n = 0; n < joined.dim(0); ++n) {
    int64_t channel = 0;
    for (const Map& map : in) {
      const int64_t part = map->dim(1) / route.groups;
      std::ranges::copy(planes(*map, n, route.group_id * part, part), planes(joined, n, channel, part).begin());
      channel += part;
    }
  }
  return joined;
}

Tensor run(const Upsample& upsample, const std::vector<Map>& in, const LayerShape& out) {
  Tensor large = make_map(in[0]->dim(0), out);
#pragma omp parallel for collapse(2)
  for (int64_t n = 0; n < large.dim(0); ++n) {
    for (int64_t c = 0; c < out.channels; ++c) {
      for (int64_t y = 0; y < out.height; ++y) {
        for (int64_t x = 0; x < out.width; ++x) {
          large.at(n, c, y, x) = in[0]->at(n, c, y / upsample.stride, x / upsample.stride);
        }
      }
    }
  }
  return large;
}

// Greatest value of the window whose first cell is (y,x), which may lie outside. A NaN is greater than anything.
float window_max(std::span<const float> plane, int64_t height, int64_t width, int64_t y, int64_t x, int64_t size) {
  float greatest = -std::numeric_limits<float>::infinity();
  for (int64_t row = std::max<int64_t>(y, 0); row < std::min(y + size, height); ++row) {
    for (int64_t column = std::max<int64_t>(x, 0); column < std::min(x + size, width); ++column) {
      const float value = plane[static_cast<size_t>(row * width + column)];
      if (value > greatest || std::isnan(value)) greatest = value;
    }
  }
  return greatest;
}

Tensor run(const MaxPool& pool, const std::vector<Map>& in, const LayerShape& out) {
  Tensor pooled = make_map(in[0]->dim(0), out);
  const int64_t before = pool.padding / 2, height = in[0]->dim(2), width = in[0]->dim(3);
#pragma omp parallel for collapse(2)
  for (int64_t n = 0; n < pooled.dim(0); ++n) {
    for (int64_t c = 0; c < out.channels; ++c) {
      const std::span<const float> plane = planes(*in[0], n, c, 1);
      for (int64_t y = 0; y < out.height; ++y) {
        for (int64_t x = 0; x < out.width; ++x) {
          pooled.at(n, c, y, x) =
              window_max(plane, height, width, y * pool.stride - before, x * pool.stride - before, pool.size);
        }
      }
    }
  }
  return pooled;
}

Tensor run(const AvgPool&, const std::vector<Map>& in, const LayerShape& out) {
  Tensor means = make_map(in[0]->dim(0), out);
  for (int64_t n = 0; n < means.dim(0); ++n) {
    for (int64_t c = 0; c < out.channels; ++c) {
      const std::span<const float> plane = planes(*in[0], n, c, 1);
      const double sum = std::accumulate(plane.begin(), plane.end(), 0.0);
      means.at(n, c, 0, 0) = static_cast<float>(sum / static_cast<double>(plane.size()));
    }
  }
  return means;
}

Tensor run(const ScaleChannels& scale, const std::vector<Map>& in, const LayerShape& out) {
  Tensor scaled = *in[1];
#pragma omp parallel for collapse(2)
  for (int64_t n = 0; n < scaled.dim(0); ++n) {
    for (int64_t c = 0; c < out.channels; ++c) {
      const std::span<float> plane = planes(scaled, n, c, 1);
      for (float& value : plane) value *= in[0]->at(n, c, 0, 0);
      activate(scale.activation, plane);
    }
  }
  return scaled;
}

// Slots of a convolution: bias (beta), [gamma, running mean, running variance,] kernel.
std::vector<ChannelMap> channel_maps(const Conv& conv, const Tensor* slots, double epsilon) {
  std::vector<ChannelMap> maps(static_cast<size_t>(conv.filters));
  for (int64_t f = 0; f < conv.filters; ++f) {
    ChannelMap& map = maps[static_cast<size_t>(f)];
    map.beta = slots[0][f];
    if (!conv.batch_normalize) continue;
    map.gamma = slots[1][f];
    map.mean = slots[2][f];
    map.deviation = std::sqrt(slots[3][f] + epsilon);
  }
  return maps;
}

Tensor run_conv(const Conv& conv, const Tensor* slots, double epsilon, const Tensor& in, const LayerShape& out) {
  Tensor result = make_map(in.dim(0), out);
  const std::vector<ChannelMap> maps = channel_maps(conv, slots, epsilon);
  const Tensor& kernel = slots[conv.batch_normalize ? 4 : 1];
  const LayerShape in_shape{in.dim(1), in.dim(2), in.dim(3)};
  for (int64_t n = 0; n < in.dim(0); ++n) {
    convolve(conv, in_shape, out, in.data() + n * in_shape.size(), kernel.data(), maps, result.data() + n * out.size());
  }
  return result;
}

// Over N,H,W of each channel; the variance is the biased one, as training's is.
std::vector<ChannelMap> batch_maps(const Tensor& z, const Tensor* slots, double epsilon) {
  std::vector<ChannelMap> maps(static_cast<size_t>(z.dim(1)));
  const double count = static_cast<double>(z.dim(0) * z.dim(2) * z.dim(3));
#pragma omp parallel for
  for (int64_t f = 0; f < z.dim(1); ++f) {
    double sum = 0, squares = 0;
    for (int64_t n = 0; n < z.dim(0); ++n) {
      for (const float value : planes(z, n, f, 1)) sum += value;
    }
    const double mean = sum / count;
    for (int64_t n = 0; n < z.dim(0); ++n) {
      for (const float value : planes(z, n, f, 1)) squares += (value - mean) * (value - mean);
    }
    maps[static_cast<size_t>(f)] = {mean, std::sqrt(squares / count + epsilon), slots[1][f], slots[0][f]};
  }
  return maps;
}

Tensor run_training_conv(const Conv& conv, const Tensor* slots, double epsilon, const Tensor& in,
                         const LayerShape& out) {
  const Tensor none(Shape{conv.filters});
  const Tensor alone[] = {none, slots[4]};
  Conv linear = conv;
  linear.batch_normalize = false;
  linear.activation = Activation::linear;
  Tensor z = run_conv(linear, alone, epsilon, in, out);
  const std::vector<ChannelMap> maps = batch_maps(z, slots, epsilon);
#pragma omp parallel for collapse(2)
  for (int64_t n = 0; n < z.dim(0); ++n) {
    for (int64_t f = 0; f < z.dim(1); ++f) {
      const ChannelMap& map = maps[static_cast<size_t>(f)];
      const std::span<float> plane = planes(z, n, f, 1);
      for (float& value : plane) {
        value = static_cast<float>((value - map.mean) / map.deviation * map.gamma + map.beta);
      }
      activate(conv.activation, plane);
    }
  }
  return z;
}

// --- The network --------------------------------------------------------------------------------------------------

// For each layer the last one that reads it (itself, when none does).
std::vector<size_t> last_uses(const NetworkSpec& spec) {
  std::vector<size_t> last(spec.layers.size());
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    last[i] = i;
    for (const int from : spec.layers[i].inputs) {
      if (from != kNetworkInput) last[static_cast<size_t>(from)] = i;
    }
  }
  return last;
}

class ReferenceEngine : public Engine {
 public:
  ReferenceEngine(const NetworkSpec& spec, std::shared_ptr<const Weights> weights, const ReferenceOptions& options)
      : spec_(spec),
        weights_(std::move(weights)),
        options_(options),
        first_slot_(spec.layers.size(), 0),
        last_use_(last_uses(spec)) {
    const std::vector<ParamSlot> slots = param_slots(spec);
    for (size_t i = slots.size(); i-- > 0;) first_slot_[static_cast<size_t>(slots[i].layer)] = i;
  }

  std::string name() const override { return "reference"; }

  std::unique_ptr<Engine> share() const override { return make_reference_engine(spec_, weights_, options_); }

  std::vector<Tensor> forward(const Tensor& images) override { return forward_observed(images, nullptr); }

  std::vector<Tensor> forward_observed(const Tensor& images, const LayerObserver& observe) override {
    check(images.shape().size() == 4 && images.dim(0) >= 1 && images.dim(1) == spec_.input.channels,
          "the network takes images of shape (N,{},H,W), not {}", spec_.input.channels, to_string(images.shape()));
    if (images.dim(3) != spec_.input.width || images.dim(2) != spec_.input.height) {
      spec_ = with_input_size(spec_, images.dim(3), images.dim(2));  // a copy: after an error the engine is as before
    }
    const std::vector<Head> found = heads(spec_);
    std::vector<Map> maps(spec_.layers.size());
    std::vector<Tensor> raw(found.size());
    for (size_t i = 0; i < spec_.layers.size(); ++i) {
      maps[i] = run_layer(i, maps, images);
      if (observe) observe(static_cast<int>(i), *maps[i]);
      for (size_t h = 0; h < found.size(); ++h) {
        if (found[h].layer == static_cast<int>(i)) raw[h] = *maps[i];
      }
      release(maps, i);
    }
    return raw;
  }

 private:
  Map run_layer(size_t index, const std::vector<Map>& maps, const Tensor& images) const {
    const Layer& layer = spec_.layers[index];
    std::vector<Map> in;
    for (const int from : layer.inputs) {
      in.push_back(from == kNetworkInput ? Map(Map(), &images) : maps[static_cast<size_t>(from)]);
    }
    return std::visit(
        [&]<class Op>(const Op& op) -> Map {
          if constexpr (std::is_same_v<Op, Conv>) {
            const Tensor* slots = &weights_->tensors[first_slot_[index]];
            const auto compute = by_batch(op, index) ? run_training_conv : run_conv;
            return std::make_shared<Tensor>(compute(op, slots, spec_.bn_epsilon, *in[0], layer.out));
          } else if constexpr (std::is_same_v<Op, Yolo> || std::is_same_v<Op, Dropout>) {
            return in[0];
          } else {
            return std::make_shared<Tensor>(run(op, in, layer.out));
          }
        },
        layer.op);
  }

  bool by_batch(const Conv& conv, size_t index) const {
    return options_.batch_statistics && conv.batch_normalize && static_cast<int>(index) >= options_.frozen_layers;
  }

  // Frees what no later layer reads.
  void release(std::vector<Map>& maps, size_t index) const {
    if (last_use_[index] == index) maps[index].reset();
    for (const int from : spec_.layers[index].inputs) {
      if (from != kNetworkInput && last_use_[static_cast<size_t>(from)] == index) {
        maps[static_cast<size_t>(from)].reset();
      }
    }
  }

  NetworkSpec spec_;  // for the size of the last images
  std::shared_ptr<const Weights> weights_;
  ReferenceOptions options_;
  std::vector<size_t> first_slot_;  // of each convolution's parameters
  std::vector<size_t> last_use_;
};

}  // namespace

std::unique_ptr<Engine> make_reference_engine(const NetworkSpec& spec, std::shared_ptr<const Weights> weights,
                                              const ReferenceOptions& options) {
  check_spec(spec);
  check(weights != nullptr, "the reference engine was given no weights");
  check_weights(spec, *weights);
  return std::make_unique<ReferenceEngine>(spec, std::move(weights), options);
}

}  // namespace yolov3
