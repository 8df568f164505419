#include "net/summary.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "net/shape.h"
#include "net/weights.h"

namespace yolov3 {
namespace {

using Json = nlohmann::ordered_json;

// The column between kind and shapes: what the layer's numbers are.
struct Describe {
  const Layer& layer;
  std::string operator()(const Conv& conv) const {
    return fmt::format("{:5} {}x{}/{}{}{} {}", conv.filters, conv.size, conv.size, conv.stride,
                       conv.groups > 1 ? fmt::format(" g{}", conv.groups) : "", conv.batch_normalize ? " bn" : "",
                       to_string(conv.activation));
  }
  std::string operator()(const MaxPool& pool) const {
    return fmt::format("{:5} {}x{}/{}", "", pool.size, pool.size, pool.stride);
  }
  std::string operator()(const Shortcut&) const { return fmt::format("{:5} + {}", "", layer.inputs[1]); }
  std::string operator()(const ScaleChannels&) const { return fmt::format("{:5} of {}", "", layer.inputs[1]); }
  std::string operator()(const Route& route) const {
    return fmt::format("{:5} {}{}", "", fmt::join(layer.inputs, " "),
                       route.groups > 1 ? fmt::format(" part {}/{}", route.group_id, route.groups) : "");
  }
  std::string operator()(const Upsample& upsample) const { return fmt::format("{:5} x{}", "", upsample.stride); }
  std::string operator()(const Dropout& dropout) const { return fmt::format("{:5} p={}", "", dropout.probability); }
  std::string operator()(const AvgPool&) const { return ""; }
  std::string operator()(const Yolo& yolo) const {
    return fmt::format("{:5} {} classes, anchors {}", "", yolo.classes, fmt::join(yolo.mask, ","));
  }
};

std::string with_commas(int64_t value) {
  std::string digits = std::to_string(value);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

int64_t layer_params(const NetworkSpec& spec, size_t index) {
  const auto* conv = std::get_if<Conv>(&spec.layers[index].op);
  return conv == nullptr ? 0 : all_params(*conv, input_shape(spec, index).channels);
}

std::string layer_line(const NetworkSpec& spec, size_t index) {
  const Layer& layer = spec.layers[index];
  const int64_t params = layer_params(spec, index);
  std::string line =
      fmt::format("{:5} {:<14} {:<28} {:>14} -> {:<14}", index, layer_kind(layer),
                  std::visit(Describe{layer}, layer.op), to_string(input_shape(spec, index)), to_string(layer.out));
  if (params > 0) line += fmt::format(" {:>12} {:>9.3f}", with_commas(params), layer_flops(spec, index) * 1e-9);
  return line.erase(line.find_last_not_of(' ') + 1) + "\n";
}

std::string head_line(const Head& head) {
  std::string line = fmt::format("head of layer {}: {} x {} cells of {:g} x {:g} pixels, anchors", head.layer,
                                 head.grid_width, head.grid_height, head.stride_x, head.stride_y);
  for (const Anchor& anchor : head.anchors) line += fmt::format(" {:g}x{:g}", anchor.width, anchor.height);
  return line + "\n";
}

Json to_json(const LayerShape& shape) { return {shape.channels, shape.height, shape.width}; }

Json to_json(const Head& head) {
  Json anchors = Json::array();
  for (const Anchor& anchor : head.anchors) anchors.push_back({anchor.width, anchor.height});
  return {{"layer", head.layer},           {"classes", head.classes},
          {"grid_width", head.grid_width}, {"grid_height", head.grid_height},
          {"stride_x", head.stride_x},     {"stride_y", head.stride_y},
          {"scale_x_y", head.scale_xy},    {"anchors", anchors}};
}

}  // namespace

std::string layer_table(const NetworkSpec& spec) {
  std::string text = fmt::format("{:>5} {:<14} {:<28} {:>14} -> {:<14} {:>12} {:>9}\n", "layer", "kind",
                                 "filters size/stride", "input", "output", "parameters", "GFLOP");
  for (size_t i = 0; i < spec.layers.size(); ++i) text += layer_line(spec, i);
  const ParamCount params = count_params(spec);
  const auto convs =
      std::ranges::count_if(spec.layers, [](const Layer& l) { return std::holds_alternative<Conv>(l.op); });
  text += fmt::format("{} layers, {} convolutions, {} trainable parameters, {} with running statistics, {:.2f} GFLOP\n",
                      spec.layers.size(), convs, with_commas(params.trainable), with_commas(params.all),
                      network_flops(spec) * 1e-9);
  if (!is_detector(spec)) return text;
  for (const Head& head : heads(spec)) text += head_line(head);
  return text;
}

std::string model_json(const NetworkSpec& spec) {
  Json layers = Json::array(), detection_heads = Json::array();
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    const Layer& layer = spec.layers[i];
    layers.push_back({{"index", i},
                      {"kind", layer_kind(layer)},
                      {"inputs", layer.inputs},
                      {"output", to_json(layer.out)},
                      {"parameters", layer_params(spec, i)},
                      {"gflop", layer_flops(spec, i) * 1e-9}});
  }
  if (is_detector(spec)) {
    for (const Head& head : heads(spec)) detection_heads.push_back(to_json(head));
  }
  const ParamCount params = count_params(spec);
  const Json model = {
      {"input", to_json(spec.input)},        {"trainable_parameters", params.trainable}, {"parameters", params.all},
      {"gflop", network_flops(spec) * 1e-9}, {"heads", std::move(detection_heads)},      {"layers", std::move(layers)}};
  return model.dump(2) + "\n";
}

}  // namespace yolov3
