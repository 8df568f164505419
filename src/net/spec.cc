#include "net/spec.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/error.h"
#include "net/builder.h"
#include "net/shape.h"

namespace yolov3 {
namespace {

Head make_head(const NetworkSpec& spec, size_t index, const Yolo& yolo) {
  const LayerShape& map = spec.layers[index].out;
  Head head;
  head.layer = static_cast<int>(index);
  head.classes = yolo.classes;
  for (const int anchor : yolo.mask) head.anchors.push_back(yolo.anchors.at(static_cast<size_t>(anchor)));
  head.scale_xy = yolo.scale_xy;
  head.grid_height = map.height;
  head.grid_width = map.width;
  head.stride_x = static_cast<float>(spec.input.width) / static_cast<float>(map.width);
  head.stride_y = static_cast<float>(spec.input.height) / static_cast<float>(map.height);
  return head;
}

// By how much a layer's map is smaller than that of its input.
double layer_stride(const LayerOp& op) {
  if (const auto* conv = std::get_if<Conv>(&op)) return conv->stride;
  if (const auto* pool = std::get_if<MaxPool>(&op)) return pool->stride;
  if (const auto* upsample = std::get_if<Upsample>(&op)) return 1.0 / upsample->stride;
  return 1;
}

}  // namespace

bool is_detector(const NetworkSpec& spec) {
  return std::ranges::any_of(spec.layers, [](const Layer& layer) { return std::holds_alternative<Yolo>(layer.op); });
}

std::vector<Head> heads(const NetworkSpec& spec) {
  std::vector<Head> found;
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    if (const auto* yolo = std::get_if<Yolo>(&spec.layers[i].op)) found.push_back(make_head(spec, i, *yolo));
  }
  check(!found.empty(), "the network has no [yolo] layer: it is a backbone, not a detector");
  for (const Head& head : found) {
    check(head.classes == found[0].classes, "layer {} has {} classes and layer {} has {}: all heads need the same",
          found[0].layer, found[0].classes, head.layer, head.classes);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Head& a, const Head& b) { return a.stride_x * a.stride_y < b.stride_x * b.stride_y; });
  return found;
}

int class_count(const NetworkSpec& spec) { return heads(spec)[0].classes; }

NetworkSpec with_input_size(NetworkSpec spec, int64_t width, int64_t height) {
  if (width == spec.input.width && height == spec.input.height) return spec;
  const LayerShape input{spec.input.channels, height, width};
  check_shape(input, "the network's input");
  const int stride = max_stride(spec);
  check(width % stride == 0 && height % stride == 0,
        "the network cannot take {} x {} pixels: both sides must be multiples of {}", width, height, stride);
  NetworkBuilder net(input, spec.bn_epsilon);
  for (Layer& layer : spec.layers) net.add(std::move(layer.op), std::move(layer.inputs));
  return net.build();
}

NetworkSpec with_classes(NetworkSpec spec, int classes) {
  check(classes >= 1, "a network needs at least 1 class, not {}", classes);
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    auto* yolo = std::get_if<Yolo>(&spec.layers[i].op);
    if (yolo == nullptr) continue;
    auto* conv = i > 0 ? std::get_if<Conv>(&spec.layers[i - 1].op) : nullptr;
    check(conv != nullptr, "layer {}: its head stands behind no convolution, so its number of classes is fixed", i);
    conv->filters = static_cast<int>(yolo->mask.size()) * (5 + classes);
    yolo->classes = classes;
  }
  NetworkBuilder net(spec.input, spec.bn_epsilon);
  for (Layer& layer : spec.layers) net.add(std::move(layer.op), std::move(layer.inputs));
  return net.build();
}

NetworkSpec first_layers(NetworkSpec spec, int count) {
  check(count >= 1 && static_cast<size_t>(count) <= spec.layers.size(), "a network of {} layers has no first {}",
        spec.layers.size(), count);
  spec.layers.resize(static_cast<size_t>(count));
  return spec;
}

const LayerShape& input_shape(const NetworkSpec& spec, size_t index, size_t which) {
  const int from = spec.layers.at(index).inputs.at(which);
  return from == kNetworkInput ? spec.input : spec.layers.at(static_cast<size_t>(from)).out;
}

double layer_flops(const NetworkSpec& spec, size_t index) {
  const Layer& layer = spec.layers.at(index);
  const auto* conv = std::get_if<Conv>(&layer.op);
  if (conv == nullptr) return 0;
  const double fan_in = static_cast<double>(input_shape(spec, index).channels / conv->groups) * conv->size * conv->size;
  return 2 * fan_in * static_cast<double>(layer.out.size());
}

double network_flops(const NetworkSpec& spec) {
  double sum = 0;
  for (size_t i = 0; i < spec.layers.size(); ++i) sum += layer_flops(spec, i);
  return sum;
}

int max_stride(const NetworkSpec& spec) {
  std::vector<double> strides;  // of each layer's map against the input
  double greatest = 1;
  for (const Layer& layer : spec.layers) {
    // The last input is the map, for ScaleChannels too; an average over the whole map has no stride of its own.
    const int from = layer.inputs.back();
    const double before = from == kNetworkInput ? 1 : strides.at(static_cast<size_t>(from));
    strides.push_back(std::clamp(before * layer_stride(layer.op), 0x1p-30, 0x1p30));
    greatest = std::max(greatest, strides.back());
  }
  return static_cast<int>(std::ceil(greatest));
}

std::string layer_kind(const Layer& layer) {
  constexpr const char* kNames[] = {"convolutional", "shortcut", "route",          "upsample", "maxpool",
                                    "avgpool",       "dropout",  "scale_channels", "yolo"};
  static_assert(std::size(kNames) == std::variant_size_v<LayerOp>);
  return kNames[layer.op.index()];
}

}  // namespace yolov3
