// How a network runs in 8-bit integers: one scale a map, and which convolutions stay in floating point. Found by
// calibration (quant/), stored with the model (format/model_file), obeyed by the dnnl engine.
//
// A map's real value is scale * q with q a whole number in [-127,127] (symmetric: leaky ReLU leaves negative values).
// Kernels get a scale a filter, max|kernel| / 127, which the engine works out by itself after folding batch norm.
#pragma once

#include <vector>

#include "net/spec.h"

namespace yolov3 {

struct Quantization {
  std::vector<float> scales;      // one a layer, of its output; > 0
  std::vector<int> float_layers;  // convolutions (Darknet's layer indices) that stay in bf16 or f32, ascending
  bool operator==(const Quantization&) const = default;
};

// Errors: another number of layers, a scale that is not finite and positive, a float layer that is no convolution,
// a map that is passed on under another scale (see share_scales), each named.
void check_quantization(const NetworkSpec& spec, const Quantization& quantization);

// Layers that only pass values on (upsample, maxpool, dropout, yolo, a route of one layer) and their inputs get one scale,
// the largest of theirs, so that copying needs no arithmetic. Maps that are joined keep their own: joining copies them
// anyway, and the finer of two scales would be lost to whatever else reads its map.
void share_scales(const NetworkSpec& spec, std::vector<float>& scales);

}  // namespace yolov3
