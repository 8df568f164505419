// From a layer's operation and the shapes of its inputs to the shape of its output, with the bounds that keep a network
// from a hostile file small enough to be thought about before anything is allocated.
//
// Errors: operations and shapes that do not fit, saying both; sizes beyond the limits. Source: Darknet's make_*_layer.
#pragma once

#include <span>

#include "net/spec.h"

namespace yolov3 {

constexpr int64_t kMaxLayers = 10000;
constexpr int64_t kMaxChannels = 65536;
constexpr int64_t kMaxSide = 16384;                   // height, width, kernel size, stride
constexpr int64_t kMaxElements = int64_t{1} << 30;    // numbers in one layer's output, of one image
constexpr int64_t kMaxParameters = int64_t{1} << 31;  // of the whole network

LayerShape infer_shape(const LayerOp& op, std::span<const LayerShape> inputs);

// Within the limits above and not empty. `what` begins the message: "the input".
void check_shape(const LayerShape& shape, const std::string& what);

// Of one convolution over `in` channels: kernel, and bias or gamma and beta; `all` counts running statistics too.
int64_t trainable_params(const Conv& conv, int64_t in);
int64_t all_params(const Conv& conv, int64_t in);

std::string to_string(const LayerShape& shape);  // "256x13x13": channels x height x width
std::string to_string(Activation activation);    // "leaky": the word of a .cfg

}  // namespace yolov3
