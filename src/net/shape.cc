#include "net/shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace yolov3 {
namespace {

using Inputs = std::span<const LayerShape>;

void check_range(const char* name, int64_t value, int64_t low, int64_t high) {
  check(value >= low && value <= high, "{} {} is not within {} to {}", name, value, low, high);
}

// How often a window of `size` fits into `side` cells at `stride`.
int64_t windows(int64_t side, int64_t padding_all, int64_t size, int64_t stride) {
  check(side + padding_all >= size, "a window of {} does not fit into a side of {} with {} cells of padding in all",
        size, side, padding_all);
  return (side + padding_all - size) / stride + 1;
}

LayerShape shape_of(const Conv& conv, Inputs in) {
  check_range("filters", conv.filters, 1, kMaxChannels);
  check_range("size", conv.size, 1, kMaxSide);
  check_range("stride", conv.stride, 1, kMaxSide);
  check_range("padding", conv.padding, 0, kMaxSide);
  check_range("groups", conv.groups, 1, kMaxChannels);
  check(in[0].channels % conv.groups == 0 && conv.filters % conv.groups == 0,
        "{} input channels and {} filters cannot both be divided into {} groups", in[0].channels, conv.filters,
        conv.groups);
  return {conv.filters, windows(in[0].height, 2 * int64_t{conv.padding}, conv.size, conv.stride),
          windows(in[0].width, 2 * int64_t{conv.padding}, conv.size, conv.stride)};
}

LayerShape shape_of(const Shortcut&, Inputs in) {
  check(in[0].height == in[1].height && in[0].width == in[1].width,
        "the maps to add differ in height or width: {} and {}", to_string(in[0]), to_string(in[1]));
  return in[0];
}

LayerShape shape_of(const Route& route, Inputs in) {
  check_range("groups", route.groups, 1, kMaxChannels);
  check_range("group_id", route.group_id, 0, route.groups - 1);
  LayerShape out{0, in[0].height, in[0].width};
  for (const LayerShape& shape : in) {
    check(shape.height == out.height && shape.width == out.width,
          "the maps to join differ in height or width: {} and {}; an input side must be a multiple of the network's "
          "greatest stride",
          to_string(in[0]), to_string(shape));
    check(shape.channels % route.groups == 0, "{} channels cannot be divided into {} groups", shape.channels,
          route.groups);
    out.channels += shape.channels / route.groups;
  }
  return out;
}

LayerShape shape_of(const Upsample& upsample, Inputs in) {
  check_range("stride", upsample.stride, 1, kMaxSide);
  return {in[0].channels, in[0].height * upsample.stride, in[0].width * upsample.stride};
}

LayerShape shape_of(const MaxPool& pool, Inputs in) {
  check_range("size", pool.size, 1, kMaxSide);
  check_range("stride", pool.stride, 1, kMaxSide);
  check_range("padding", pool.padding, 0, 2 * (int64_t{pool.size} - 1));  // more would give windows of padding alone
  return {in[0].channels, windows(in[0].height, pool.padding, pool.size, pool.stride),
          windows(in[0].width, pool.padding, pool.size, pool.stride)};
}

LayerShape shape_of(const AvgPool&, Inputs in) { return {in[0].channels, 1, 1}; }

LayerShape shape_of(const Dropout& dropout, Inputs in) {
  check(dropout.probability >= 0 && dropout.probability < 1, "probability {} is not within 0 to below 1",
        dropout.probability);
  return in[0];
}

LayerShape shape_of(const ScaleChannels&, Inputs in) {
  check(in[0].height == 1 && in[0].width == 1 && in[0].channels == in[1].channels,
        "scaling needs one number a channel: {} numbers cannot scale a map of {}", to_string(in[0]), to_string(in[1]));
  return in[1];
}

LayerShape shape_of(const Yolo& yolo, Inputs in) {
  check_range("classes", yolo.classes, 1, kMaxChannels);
  check(std::isfinite(yolo.scale_xy) && yolo.scale_xy >= 1 && yolo.scale_xy <= 8, "scale_x_y {} is not within 1 to 8",
        yolo.scale_xy);
  check(!yolo.mask.empty(), "the head's mask names no anchor");
  const int64_t anchors = static_cast<int64_t>(yolo.anchors.size());
  for (const int index : yolo.mask) {
    check(index >= 0 && index < anchors, "mask names anchor {}, but there are {} anchors (from 0)", index, anchors);
  }
  for (const Anchor& anchor : yolo.anchors) {
    check(anchor.width > 0 && anchor.height > 0 && anchor.width <= 1e6f && anchor.height <= 1e6f,
          "an anchor of {} x {} pixels makes no sense", anchor.width, anchor.height);
  }
  const int64_t masks = static_cast<int64_t>(yolo.mask.size()), want = masks * (5 + int64_t{yolo.classes});
  check(in[0].channels == want,
        "the head needs (classes + 5) * anchors = ({} + 5) * {} = {} channels, but the layer before it has {}; set its "
        "filters to {}",
        yolo.classes, masks, want, in[0].channels, want);
  return in[0];
}

size_t input_count(const LayerOp& op) {
  return std::holds_alternative<Shortcut>(op) || std::holds_alternative<ScaleChannels>(op) ? 2 : 1;
}

}  // namespace

std::string to_string(const LayerShape& shape) {
  return fmt::format("{}x{}x{}", shape.channels, shape.height, shape.width);
}

std::string to_string(Activation activation) {
  constexpr const char* kNames[] = {"linear", "leaky", "relu", "logistic", "mish", "swish"};
  return kNames[static_cast<size_t>(activation)];
}

void check_shape(const LayerShape& shape, const std::string& what) {
  check(shape.channels >= 1 && shape.channels <= kMaxChannels, "{} has {} channels; 1 to {} are possible", what,
        shape.channels, kMaxChannels);
  check(shape.height >= 1 && shape.height <= kMaxSide && shape.width >= 1 && shape.width <= kMaxSide,
        "{} is {} pixels wide and {} high; sides of 1 to {} are possible", what, shape.width, shape.height, kMaxSide);
  check(shape.size() <= kMaxElements, "{} of {} has {} elements; at most {} are possible", what, to_string(shape),
        shape.size(), kMaxElements);
}

LayerShape infer_shape(const LayerOp& op, std::span<const LayerShape> inputs) {
  const bool count_fits = std::holds_alternative<Route>(op) ? !inputs.empty() : inputs.size() == input_count(op);
  check(count_fits, "it has {} inputs, but needs {}", inputs.size(),
        std::holds_alternative<Route>(op) ? "at least 1" : fmt::format("{}", input_count(op)));
  const LayerShape out = std::visit([&](const auto& value) { return shape_of(value, inputs); }, op);
  check_shape(out, "its output");
  return out;
}

int64_t trainable_params(const Conv& conv, int64_t in) {
  return int64_t{conv.filters} * (in / conv.groups) * conv.size * conv.size +
         int64_t{conv.filters} * (conv.batch_normalize ? 2 : 1);
}

int64_t all_params(const Conv& conv, int64_t in) {
  return trainable_params(conv, in) + (conv.batch_normalize ? 2 * int64_t{conv.filters} : 0);
}

}  // namespace yolov3
