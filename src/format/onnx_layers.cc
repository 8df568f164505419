#include "format/onnx_layers.h"

#include <algorithm>

#include "base/error.h"
#include "net/leaky.h"

namespace yolov3 {
namespace {

class LayerWriter {
 public:
  LayerWriter(OnnxGraph& graph, const std::string& images, const NetworkSpec& spec, const Weights& weights)
      : graph_(graph), images_(images), spec_(spec), weights_(weights), slots_(param_slots(spec)) {}

  std::vector<std::string> write_all() {
    for (const Layer& layer : spec_.layers) {
      at_ = maps_.size();
      in_.clear();
      for (const int from : layer.inputs) {
        in_.push_back(from == kNetworkInput ? images_ : maps_[static_cast<size_t>(from)]);
      }
      maps_.push_back(std::visit([this](const auto& op) { return write(op); }, layer.op));
    }
    return maps_;
  }

 private:
  std::string name(const std::string& part) const { return "layer" + std::to_string(at_) + "/" + part; }
  int64_t channels(size_t input) const { return input_shape(spec_, at_, input).channels; }

  // The next parameter in the file's order, under its own name.
  std::string parameter() {
    const ParamSlot& slot = slots_[next_slot_];
    return graph_.floats(slot.name, slot.shape, weights_.tensors[next_slot_++].values());
  }

  std::string activate(Activation activation, const std::string& map) {
    switch (activation) {
      case Activation::linear: return map;
      case Activation::leaky: return graph_.node(name("leaky"), "LeakyRelu", {map}, {{"alpha", kLeakySlope}});
      case Activation::relu: return graph_.node(name("relu"), "Relu", {map});
      case Activation::logistic: return graph_.node(name("logistic"), "Sigmoid", {map});
      case Activation::mish: {  // x * tanh(log(1 + exp(x))): ONNX has an operator for it from opset 18 on
        const std::string softplus = graph_.node(name("softplus"), "Softplus", {map});
        return graph_.node(name("mish"), "Mul", {map, graph_.node(name("tanh"), "Tanh", {softplus})});
      }
      case Activation::swish:
        return graph_.node(name("swish"), "Mul", {map, graph_.node(name("sigmoid"), "Sigmoid", {map})});
    }
    fail("unknown activation {}", static_cast<int>(activation));
  }

  // Darknet's file order is bias (beta), gamma, mean, variance, kernel; the operators take theirs.
  std::string write(const Conv& conv) {
    const std::string bias = parameter();
    std::vector<std::string> statistics;
    for (int i = 0; conv.batch_normalize && i < 3; ++i) statistics.push_back(parameter());
    std::vector<std::string> inputs = {in_[0], parameter()};
    if (!conv.batch_normalize) inputs.push_back(bias);
    std::string map = graph_.node(name("conv"), "Conv", inputs,
                                  {{"kernel_shape", std::vector<int64_t>{conv.size, conv.size}},
                                   {"strides", std::vector<int64_t>{conv.stride, conv.stride}},
                                   {"pads", std::vector<int64_t>(4, conv.padding)},
                                   {"group", int64_t{conv.groups}}});
    if (conv.batch_normalize) {
      map = graph_.node(name("norm"), "BatchNormalization", {map, statistics[0], bias, statistics[1], statistics[2]},
                        {{"epsilon", spec_.bn_epsilon}});
    }
    return activate(conv.activation, map);
  }

  // Where the counts of channels differ, only the first of both are summed; the rest of in_[0] passes as it is.
  std::string write(const Shortcut& shortcut) {
    const int64_t mine = channels(0), other = channels(1), common = std::min(mine, other);
    const std::string second = other > common ? graph_.slice(name("part"), in_[1], 1, 0, common) : in_[1];
    if (mine == common) return activate(shortcut.activation, graph_.node(name("sum"), "Add", {in_[0], second}));
    const std::string summed =
        graph_.node(name("sum"), "Add", {graph_.slice(name("first"), in_[0], 1, 0, common), second});
    return activate(shortcut.activation, join({summed, graph_.slice(name("rest"), in_[0], 1, common, mine)}));
  }

  std::string join(const std::vector<std::string>& maps) {
    return graph_.node(name("join"), "Concat", maps, {{"axis", int64_t{1}}});
  }

  std::string write(const Route& route) {
    std::vector<std::string> parts = in_;
    for (size_t i = 0; route.groups > 1 && i < parts.size(); ++i) {
      const int64_t size = channels(i) / route.groups;
      parts[i] =
          graph_.slice(name("part" + std::to_string(i)), in_[i], 1, route.group_id * size, (route.group_id + 1) * size);
    }
    return parts.size() == 1 ? parts[0] : join(parts);
  }

  std::string write(const Upsample& upsample) {
    const auto scale = static_cast<float>(upsample.stride);
    const float scales[] = {1, 1, scale, scale};
    return graph_.node(name("upsample"), "Resize",
                       {in_[0], graph_.floats(name("roi"), {0}, {}), graph_.floats(name("scales"), {4}, scales)},
                       {{"mode", std::string("nearest")},
                        {"coordinate_transformation_mode", std::string("asymmetric")},
                        {"nearest_mode", std::string("floor")}});
  }

  std::string write(const MaxPool& pool) {
    const int64_t before = pool.padding / 2, after = pool.padding - before;
    return graph_.node(name("maxpool"), "MaxPool", {in_[0]},
                       {{"kernel_shape", std::vector<int64_t>{pool.size, pool.size}},
                        {"strides", std::vector<int64_t>{pool.stride, pool.stride}},
                        {"pads", std::vector<int64_t>{before, before, after, after}}});
  }

  std::string write(const AvgPool&) { return graph_.node(name("avgpool"), "GlobalAveragePool", {in_[0]}); }

  std::string write(const ScaleChannels& scale) {
    return activate(scale.activation, graph_.node(name("scaled"), "Mul", {in_[1], in_[0]}));
  }

  std::string write(const Dropout&) { return in_[0]; }
  std::string write(const Yolo&) { return in_[0]; }

  OnnxGraph& graph_;
  const std::string& images_;
  const NetworkSpec& spec_;
  const Weights& weights_;
  const std::vector<ParamSlot> slots_;
  size_t next_slot_ = 0, at_ = 0;  // `at_`: the layer that is written
  std::vector<std::string> in_;    // its inputs
  std::vector<std::string> maps_;
};

}  // namespace

std::vector<std::string> write_onnx_layers(OnnxGraph& graph, const std::string& images, const NetworkSpec& spec,
                                           const Weights& weights) {
  return LayerWriter(graph, images, spec, weights).write_all();
}

}  // namespace yolov3
