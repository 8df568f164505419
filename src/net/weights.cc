#include "net/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "net/leaky.h"
#include "net/shape.h"

namespace yolov3 {
namespace {

constexpr int64_t kBlock = 1 << 14;  // values drawn from one stream

// Fills `values` with normal deviates. Box and Muller's transform, both of its values, in float: the numbers need no
// more and a network has 62 million of them.
void fill_normal(std::span<float> values, float deviation, Rng rng) {
  for (size_t i = 0; i < values.size(); i += 2) {
    const uint64_t bits = rng.next();
    const float u = (static_cast<float>(bits >> 32) + 1) * 0x1p-32f;  // (0,1]
    const float angle = static_cast<float>(bits & 0xffffffffu) * (0x1p-32f * 2 * std::numbers::pi_v<float>);
    const float radius = deviation * std::sqrt(-2 * std::log(std::min(u, 1.0f)));
    values[i] = radius * std::cos(angle);
    if (i + 1 < values.size()) values[i + 1] = radius * std::sin(angle);
  }
}

// Stream (seed, slot, block), so that the values do not depend on the threads.
void fill_kernel(Tensor& kernel, float deviation, uint64_t seed, uint64_t slot) {
  const int64_t blocks = (kernel.size() + kBlock - 1) / kBlock;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t begin = block * kBlock, count = std::min(kBlock, kernel.size() - begin);
    fill_normal({kernel.data() + begin, static_cast<size_t>(count)}, deviation,
                Rng(seed, slot, static_cast<uint64_t>(block)));
  }
}

// The head that a convolution feeds, if any: it stands right behind it.
const Yolo* head_of(const NetworkSpec& spec, int layer) {
  const size_t next = static_cast<size_t>(layer) + 1;
  return next < spec.layers.size() ? std::get_if<Yolo>(&spec.layers[next].op) : nullptr;
}

void fill_objectness(Tensor& bias, const Yolo& yolo, float prior) {
  for (int64_t i = 4; i < bias.size(); i += 5 + yolo.classes) bias[i] = std::log(prior / (1 - prior));
}

}  // namespace

std::vector<ParamSlot> param_slots(const NetworkSpec& spec) {
  std::vector<ParamSlot> slots;
  int conv_ordinal = 0, batch_norm_ordinal = 0;
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    const auto* conv = std::get_if<Conv>(&spec.layers[i].op);
    if (conv == nullptr) continue;
    const int batch_norm = conv->batch_normalize ? batch_norm_ordinal++ : -1;
    const auto add = [&](ParamKind kind, Shape shape, const char* name, bool trainable = true) {
      slots.push_back({static_cast<int>(i), conv_ordinal, batch_norm, kind, std::move(shape),
                       fmt::format("layer{}.{}", i, name), trainable});
    };
    const Shape vector{conv->filters};
    add(ParamKind::bias, vector, conv->batch_normalize ? "beta" : "bias");
    if (conv->batch_normalize) {
      add(ParamKind::gamma, vector, "gamma");
      add(ParamKind::running_mean, vector, "running_mean", false);
      add(ParamKind::running_var, vector, "running_var", false);
    }
    add(ParamKind::kernel, {conv->filters, input_shape(spec, i).channels / conv->groups, conv->size, conv->size},
        "kernel");
    ++conv_ordinal;
  }
  return slots;
}

Weights zero_weights(const NetworkSpec& spec) {
  Weights weights;
  for (const ParamSlot& slot : param_slots(spec)) weights.tensors.emplace_back(slot.shape);
  return weights;
}

Weights random_weights(const NetworkSpec& spec, const InitOptions& options) {
  check(options.objectness_prior > 0 && options.objectness_prior < 1, "the objectness prior {} is not between 0 and 1",
        options.objectness_prior);
  constexpr float kHeadDeviation = 0.01f;
  Weights weights = zero_weights(spec);
  const std::vector<ParamSlot> slots = param_slots(spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    const ParamSlot& slot = slots[i];
    Tensor& tensor = weights.tensors[i];
    const Yolo* yolo = head_of(spec, slot.layer);
    if (slot.kind == ParamKind::gamma || slot.kind == ParamKind::running_var) {
      std::ranges::fill(tensor.values(), 1.0f);
    } else if (slot.kind == ParamKind::bias && yolo != nullptr) {
      fill_objectness(tensor, *yolo, options.objectness_prior);
    } else if (slot.kind == ParamKind::kernel) {
      const auto fan_in = static_cast<float>(slot.shape[1] * slot.shape[2] * slot.shape[3]);
      const float he = std::sqrt(2 / ((1 + kLeakySlope * kLeakySlope) * fan_in));
      fill_kernel(tensor, yolo != nullptr ? kHeadDeviation : he, options.seed, i);
    }
  }
  return weights;
}

void check_weights(const NetworkSpec& spec, const Weights& weights) {
  const std::vector<ParamSlot> slots = param_slots(spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    check(i < weights.tensors.size(), "the weights end before {} {}: {} tensors, but the network has {}", slots[i].name,
          to_string(slots[i].shape), weights.tensors.size(), slots.size());
    check(weights.tensors[i].shape() == slots[i].shape, "{} has the shape {}, but the network needs {}", slots[i].name,
          to_string(weights.tensors[i].shape()), to_string(slots[i].shape));
  }
  check(weights.tensors.size() == slots.size(), "the weights have {} tensors, but the network only {}: another model?",
        weights.tensors.size(), slots.size());
}

ParamCount count_params(const NetworkSpec& spec) {
  ParamCount count;
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    if (const auto* conv = std::get_if<Conv>(&spec.layers[i].op)) {
      count.trainable += trainable_params(*conv, input_shape(spec, i).channels);
      count.all += all_params(*conv, input_shape(spec, i).channels);
    }
  }
  return count;
}

}  // namespace yolov3
