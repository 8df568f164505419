// Makes a NetworkSpec layer by layer, with the shapes worked out on the way. A call appends one layer, so that the
// calls of a model read like its drawing and count like Darknet's layers.
//
//   NetworkBuilder net({3, 416, 416});
//   net.conv(32, 3).conv(64, 3, 2);
//   const int in = net.last();
//   net.conv(32, 1).conv(64, 3).shortcut(in);
//
// Indices are Darknet's absolute layer indices (net.last() is the layer just made); relative ones are net.last() - k.
// Errors: "layer 86 (route): ..." for anything that does not fit or is beyond the limits of net/shape.h.
#pragma once

#include "net/spec.h"

namespace yolov3 {

class NetworkBuilder {
 public:
  explicit NetworkBuilder(LayerShape input, float bn_epsilon = 1e-5f);

  // Darknet's usual convolution: padding size/2, batch normalisation, leaky ReLU.
  NetworkBuilder& conv(int filters, int size, int stride = 1, Activation activation = Activation::leaky,
                       bool batch_normalize = true);
  NetworkBuilder& shortcut(int from, Activation activation = Activation::linear);
  NetworkBuilder& route(std::vector<int> layers, int groups = 1, int group_id = 0);
  NetworkBuilder& upsample(int stride = 2);
  NetworkBuilder& maxpool(int size, int stride);  // padding size - 1, as Darknet has it
  NetworkBuilder& avgpool();
  NetworkBuilder& dropout(float probability);
  NetworkBuilder& scale_channels(int from, Activation activation = Activation::linear);
  NetworkBuilder& yolo(std::vector<Anchor> anchors, std::vector<int> mask, int classes, float scale_xy = 1);

  // Any operation with any inputs (net/spec.h, Layer).
  NetworkBuilder& add(LayerOp op, std::vector<int> inputs);

  int last() const { return static_cast<int>(spec_.layers.size()) - 1; }  // kNetworkInput before the first layer
  const LayerShape& shape() const { return spec_.layers.empty() ? spec_.input : spec_.layers.back().out; }
  NetworkSpec build() { return std::move(spec_); }  // leaves the builder empty

 private:
  LayerShape infer(const Layer& layer) const;

  NetworkSpec spec_;
  int64_t parameters_ = 0;
};

// That the spec is one that a builder could have made: valid inputs, true shapes, within the limits. For specs that
// were put together or changed by hand. Errors: names the first layer that is wrong.
void check_spec(const NetworkSpec& spec);

}  // namespace yolov3
