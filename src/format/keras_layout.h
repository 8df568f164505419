// Where each parameter of a network stands in a file that Keras' model.save_weights would have written.
//
// Layers are named by creation: conv2d, conv2d_1, ...; batch_normalization, batch_normalization_1, ... in Darknet's
// order of convolutions. They are listed in Keras' graph order, because Keras loads by position: by depth, that is the
// longest way to an output, greatest first; layers of equal depth in the order in which a walk from the outputs (heads
// for small objects first) against the arrows reaches them.
// Source: keras/engine/functional.py, _map_graph_network; the notes' common.py for the Keras layers of one Darknet
// layer: convolution = [ZeroPadding2D when strided] Conv2D [BatchNormalization] [activation], route = [concatenation].
// Without the layers that have no weights; Keras skips those when it loads.
#pragma once

#include <string>
#include <vector>

#include "base/tensor.h"
#include "net/spec.h"
#include "net/weights.h"

namespace yolov3 {

struct KerasWeight {
  std::string name;     // "conv2d/kernel:0"; the data set stands below the layer's group
  size_t slot = 0;      // of param_slots
  bool kernel = false;  // stored HWIO, ours is OIHW
};

struct KerasLayer {
  std::string name;
  std::vector<KerasWeight>
      weights;  // Conv2D: kernel, bias; BatchNormalization: gamma, beta, moving_mean, moving_variance
};

std::vector<KerasLayer> keras_layers(const NetworkSpec& spec, const std::vector<ParamSlot>& slots);

// (O,I,H,W) -> (H,W,I,O)
Shape hwio_shape(const Shape& oihw);
void hwio_from_oihw(const Shape& oihw, const float* in, float* out);
void oihw_from_hwio(const Shape& oihw, const float* in, float* out);

}  // namespace yolov3
