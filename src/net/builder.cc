#include "net/builder.h"

#include <cmath>
#include <utility>

#include "base/error.h"
#include "net/shape.h"

namespace yolov3 {
namespace {

bool is_yolo(const Layer& layer) { return std::holds_alternative<Yolo>(layer.op); }

// See net/spec.h, Layer: which layers may feed layer `index`.
void check_inputs(const NetworkSpec& spec, const Layer& layer, int index) {
  check(!layer.inputs.empty(), "it has no input");
  for (size_t i = 0; i < layer.inputs.size(); ++i) {
    const int from = layer.inputs[i];
    const bool free_choice = i > 0 || std::holds_alternative<Route>(layer.op);
    check(free_choice || from == index - 1,
          "its first input must be the layer before it, {}, not {}; put a route between", index - 1, from);
    check(!free_choice || (from >= 0 && from < index), "it takes layer {}, but layers 0 to {} come before it", from,
          index - 1);
    check(from == kNetworkInput || !is_yolo(spec.layers[static_cast<size_t>(from)]),
          "it takes layer {}, a yolo head, which has no output for other layers", from);
  }
}

}  // namespace

NetworkBuilder::NetworkBuilder(LayerShape input, float bn_epsilon) {
  check_shape(input, "the network's input");
  check(std::isfinite(bn_epsilon) && bn_epsilon > 0 && bn_epsilon < 1, "bn_epsilon {} is not between 0 and 1",
        bn_epsilon);
  spec_.input = input;
  spec_.bn_epsilon = bn_epsilon;
}

LayerShape NetworkBuilder::infer(const Layer& layer) const {
  check(static_cast<int64_t>(spec_.layers.size()) < kMaxLayers, "a network has at most {} layers", kMaxLayers);
  check_inputs(spec_, layer, last() + 1);
  std::vector<LayerShape> inputs;
  for (const int from : layer.inputs) {
    inputs.push_back(from == kNetworkInput ? spec_.input : spec_.layers[static_cast<size_t>(from)].out);
  }
  const LayerShape out = infer_shape(layer.op, inputs);
  if (const auto* conv = std::get_if<Conv>(&layer.op)) {
    const int64_t total = parameters_ + all_params(*conv, inputs[0].channels);
    check(total <= kMaxParameters, "the network has {} parameters up to here; at most {} are possible", total,
          kMaxParameters);
  }
  return out;
}

NetworkBuilder& NetworkBuilder::add(LayerOp op, std::vector<int> inputs) {
  Layer layer{std::move(inputs), std::move(op), {}};
  try {
    layer.out = infer(layer);
  } catch (const Error& error) {
    fail("layer {} ({}): {}", last() + 1, layer_kind(layer), error.what());
  }
  if (const auto* conv = std::get_if<Conv>(&layer.op)) parameters_ += all_params(*conv, shape().channels);
  spec_.layers.push_back(std::move(layer));
  return *this;
}

NetworkBuilder& NetworkBuilder::conv(int filters, int size, int stride, Activation activation, bool batch_normalize) {
  return add(Conv{.filters = filters,
                  .size = size,
                  .stride = stride,
                  .padding = size / 2,
                  .batch_normalize = batch_normalize,
                  .activation = activation},
             {last()});
}

NetworkBuilder& NetworkBuilder::shortcut(int from, Activation activation) {
  return add(Shortcut{activation}, {last(), from});
}

NetworkBuilder& NetworkBuilder::route(std::vector<int> layers, int groups, int group_id) {
  return add(Route{groups, group_id}, std::move(layers));
}

NetworkBuilder& NetworkBuilder::upsample(int stride) { return add(Upsample{stride}, {last()}); }

NetworkBuilder& NetworkBuilder::maxpool(int size, int stride) { return add(MaxPool{size, stride, size - 1}, {last()}); }

NetworkBuilder& NetworkBuilder::avgpool() { return add(AvgPool{}, {last()}); }

NetworkBuilder& NetworkBuilder::dropout(float probability) { return add(Dropout{probability}, {last()}); }

NetworkBuilder& NetworkBuilder::scale_channels(int from, Activation activation) {
  return add(ScaleChannels{activation}, {last(), from});
}

NetworkBuilder& NetworkBuilder::yolo(std::vector<Anchor> anchors, std::vector<int> mask, int classes, float scale_xy) {
  return add(Yolo{std::move(anchors), std::move(mask), classes, scale_xy}, {last()});
}

void check_spec(const NetworkSpec& spec) {
  NetworkBuilder net(spec.input, spec.bn_epsilon);
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    net.add(spec.layers[i].op, spec.layers[i].inputs);
    check(net.shape() == spec.layers[i].out, "layer {} ({}): its shape is said to be {}, but is {}", i,
          layer_kind(spec.layers[i]), to_string(spec.layers[i].out), to_string(net.shape()));
  }
}

}  // namespace yolov3
