// A detector network as a value: what its layers are and how they are joined, without weights and without a way to run
// it. A layer's index is Darknet's layer index; engines (engine/engine.h) run the value.
//
// Shape: of one image, channels x height x width. Units: pixels. Source: Darknet's .cfg sections.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace yolov3 {

struct LayerShape {
  int64_t channels = 0, height = 0, width = 0;
  int64_t size() const { return channels * height * width; }
  bool operator==(const LayerShape&) const = default;
};

enum class Activation { linear, leaky, relu, logistic, mish, swish };  // leaky: slope 0.1 below zero

struct Conv {
  int filters = 1, size = 1, stride = 1;
  int padding = 0;  // pixels on every side
  int groups = 1;
  bool batch_normalize = false;  // then no bias, but gamma, beta and running statistics
  Activation activation = Activation::linear;
  bool operator==(const Conv&) const = default;
};

// inputs[0] (the layer before) plus inputs[1], of the same height and width. The output has inputs[0]'s channels; where
// the counts differ only the first min(C0, C1) channels are summed, the others pass as they are (Darknet's rule).
struct Shortcut {
  Activation activation = Activation::linear;
  bool operator==(const Shortcut&) const = default;
};

// Concatenation of the inputs' channels; with groups > 1 only part group_id of each input.
struct Route {
  int groups = 1, group_id = 0;
  bool operator==(const Route&) const = default;
};

struct Upsample {  // nearest neighbour
  int stride = 2;
  bool operator==(const Upsample&) const = default;
};

// Darknet's pooling: `padding` cells in all, padding/2 of them before the first, filled with -infinity;
// out = (in + padding - size) / stride + 1. Darknet's default padding is size - 1.
struct MaxPool {
  int size = 2, stride = 2, padding = 1;
  bool operator==(const MaxPool&) const = default;
};

struct AvgPool {  // over the whole map: H = W = 1
  bool operator==(const AvgPool&) const = default;
};

struct Dropout {  // identity when a network is run; probability matters to training only
  float probability = 0.5f;
  bool operator==(const Dropout&) const = default;
};

// inputs[0]: one number a channel (C,1,1), inputs[1]: the map (C,H,W) it scales. Squeeze-and-excitation.
struct ScaleChannels {
  Activation activation = Activation::linear;
  bool operator==(const ScaleChannels&) const = default;
};

struct Anchor {  // pixels of the network input
  float width = 0, height = 0;
  bool operator==(const Anchor&) const = default;
};

// A detection head. It computes nothing: its input holds the raw logits, A*(5+K) channels in the order
// x, y, w, h, objectness, classes of anchor 0, then of anchor 1, ...
struct Yolo {
  std::vector<Anchor> anchors;  // of all heads, as Darknet lists them
  std::vector<int> mask;        // which of them are this head's
  int classes = 0;
  float scale_xy = 1;  // Darknet's scale_x_y: x = sigmoid(t)*s - (s-1)/2
  bool operator==(const Yolo&) const = default;
};

using LayerOp = std::variant<Conv, Shortcut, Route, Upsample, MaxPool, AvgPool, Dropout, ScaleChannels, Yolo>;

constexpr int kNetworkInput = -1;

// As in a .cfg, every layer but Route takes the layer before it as inputs[0] (layer 0: the network's input); Route and
// the second input of Shortcut and ScaleChannels name any earlier layer. Nothing but a head stands behind Yolo.
struct Layer {
  std::vector<int> inputs;  // indices of earlier layers, or kNetworkInput
  LayerOp op;
  LayerShape out;
  bool operator==(const Layer&) const = default;
};

struct NetworkSpec {
  LayerShape input{3, 416, 416};
  std::vector<Layer> layers;
  float bn_epsilon = 1e-5f;  // Darknet's and torch's; the TensorFlow original has 1e-3
  bool operator==(const NetworkSpec&) const = default;
};

// One detection head of a network, ready for decode and assign.
struct Head {
  int layer = 0;  // index of its Yolo layer
  int classes = 0;
  std::vector<Anchor> anchors;  // its own
  float scale_xy = 1;
  int64_t grid_height = 0, grid_width = 0;
  float stride_x = 0, stride_y = 0;  // input pixels a cell
};

bool is_detector(const NetworkSpec& spec);  // has a head; else it is a backbone

// The heads, small objects (small strides) first. Errors: none, or classes that differ between heads.
std::vector<Head> heads(const NetworkSpec& spec);
int class_count(const NetworkSpec& spec);

// The same network for another input size: every shape is computed anew.
// Errors: a size that the network cannot take (joined maps that no longer fit, sides that are not multiples of the
// greatest stride, absurd sizes), saying which.
NetworkSpec with_input_size(NetworkSpec spec, int64_t width, int64_t height);

// The same network for another number of classes: the convolution before each head gets the filters that it needs.
// Errors: a head that stands behind something else than a convolution of its own.
NetworkSpec with_classes(NetworkSpec spec, int classes);

// The layers before layer `count`: a backbone.
NetworkSpec first_layers(NetworkSpec spec, int count);

// Input channels of layer `index`'s input number `which`.
const LayerShape& input_shape(const NetworkSpec& spec, size_t index, size_t which = 0);

// Multiply-adds counted as two operations, of one image; bias, batch norm and activations are not counted.
double layer_flops(const NetworkSpec& spec, size_t index);
double network_flops(const NetworkSpec& spec);

int max_stride(const NetworkSpec& spec);     // 32 for YOLOv3: sides of the input are its multiples
std::string layer_kind(const Layer& layer);  // "convolutional", "shortcut", ... Darknet's names

}  // namespace yolov3
