#include "app/bench_scales.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace yolov3 {
namespace {

constexpr float kLevels = 127;
constexpr float kSilent = 1e-6f;  // of a map of zeros: positive, and nothing that others would share
constexpr float kUnknown = 0;     // until the map that it is joined with or fused into says more

// By construction they hold their input's values, so its scale is theirs (share_scales).
bool computes(const LayerOp& op) {
  return std::holds_alternative<Conv>(op) || std::holds_alternative<Shortcut>(op) ||
         std::holds_alternative<AvgPool>(op) || std::holds_alternative<ScaleChannels>(op);
}

// The scale of the first layer that reads layer `index`.
float scale_of_reader(const NetworkSpec& spec, const std::vector<float>& scales, size_t index) {
  for (size_t reader = index + 1; reader < spec.layers.size(); ++reader) {
    const std::vector<int>& inputs = spec.layers[reader].inputs;
    if (std::ranges::find(inputs, static_cast<int>(index)) != inputs.end()) return scales[reader];
  }
  return kUnknown;
}

// Their maps are the answer.
std::vector<int> head_convolutions(const NetworkSpec& spec) {
  std::set<int> layers;
  for (const Layer& layer : spec.layers) {
    if (!std::holds_alternative<Yolo>(layer.op) || layer.inputs[0] == kNetworkInput) continue;
    const Layer& before = spec.layers[static_cast<size_t>(layer.inputs[0])];
    if (std::holds_alternative<Conv>(before.op)) layers.insert(layer.inputs[0]);
  }
  return {layers.begin(), layers.end()};
}

}  // namespace

Quantization scales_of_batch(Engine& engine, const NetworkSpec& spec, const Tensor& images) {
  std::vector<float> scales(spec.layers.size(), kUnknown);
  engine.forward_observed(images, [&](int layer, const Tensor& map) {
    float largest = 0;
    for (const float value : map.values()) largest = std::max(largest, std::abs(value));
    scales.at(static_cast<size_t>(layer)) = largest > 0 ? largest / kLevels : kSilent;
  });
  for (size_t i = scales.size(); i-- > 0;) {
    if (scales[i] == kUnknown && computes(spec.layers[i].op)) scales[i] = scale_of_reader(spec, scales, i);
  }
  share_scales(spec, scales);
  Quantization quantization{std::move(scales), head_convolutions(spec)};
  check_quantization(spec, quantization);
  return quantization;
}

}  // namespace yolov3
