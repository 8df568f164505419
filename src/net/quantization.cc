#include "net/quantization.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace yolov3 {
namespace {

// Whether the layer's output holds its one input's values unchanged.
bool passes_on(const Layer& layer) {
  const LayerOp& op = layer.op;
  return (std::holds_alternative<Route>(op) && layer.inputs.size() == 1) || std::holds_alternative<Upsample>(op) ||
         std::holds_alternative<MaxPool>(op) || std::holds_alternative<Dropout>(op) || std::holds_alternative<Yolo>(op);
}

// For each layer one member of the group of layers that must share a scale with it.
std::vector<size_t> scale_groups(const NetworkSpec& spec) {
  std::vector<size_t> parent(spec.layers.size());
  std::iota(parent.begin(), parent.end(), size_t{0});
  const auto root = [&](size_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
  };
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    if (!passes_on(spec.layers[i])) continue;
    for (const int from : spec.layers[i].inputs) {
      if (from != kNetworkInput) parent[root(static_cast<size_t>(from))] = root(i);
    }
  }
  for (size_t i = 0; i < parent.size(); ++i) parent[i] = root(i);
  return parent;
}

}  // namespace

void share_scales(const NetworkSpec& spec, std::vector<float>& scales) {
  check(scales.size() == spec.layers.size(), "{} scales for {} layers", scales.size(), spec.layers.size());
  const std::vector<size_t> group = scale_groups(spec);
  std::vector<float> largest(scales.size(), 0.0f);
  for (size_t i = 0; i < scales.size(); ++i) largest[group[i]] = std::max(largest[group[i]], scales[i]);
  for (size_t i = 0; i < scales.size(); ++i) scales[i] = largest[group[i]];
}

void check_quantization(const NetworkSpec& spec, const Quantization& quantization) {
  const std::vector<float>& scales = quantization.scales;
  check(scales.size() == spec.layers.size(), "int8 scales: {} for a network of {} layers; calibrate it again",
        scales.size(), spec.layers.size());
  for (size_t i = 0; i < scales.size(); ++i) {
    check(std::isfinite(scales[i]) && scales[i] > 0, "int8 scale of layer {} is {}, not positive; calibrate it again",
          i, scales[i]);
  }
  const std::vector<size_t> group = scale_groups(spec);
  for (size_t i = 0; i < scales.size(); ++i) {
    check(scales[i] == scales[group[i]],
          "int8 scales of layers {} and {} are {} and {}, but one passes on the other's map", i, group[i], scales[i],
          scales[group[i]]);
  }
  int before = -1;
  for (const int layer : quantization.float_layers) {
    check(layer > before && static_cast<size_t>(layer) < spec.layers.size() &&
              std::holds_alternative<Conv>(spec.layers[static_cast<size_t>(layer)].op),
          "int8: layer {}, which is to stay in floating point, is no convolution or is listed out of order", layer);
    before = layer;
  }
}

}  // namespace yolov3
