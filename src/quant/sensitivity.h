// How much int8 in one convolution alone changes what the network says: the order in which convolutions go back to
// floating point when int8 costs too much accuracy.
#pragma once

#include <span>
#include <vector>

#include "base/tensor.h"
#include "net/spec.h"
#include "quant/engine_factory.h"

namespace yolov3 {

// |other - truth| / |truth|, L2 over all maps together. Infinite where something is not finite; 0 for two zeros.
double relative_deviation(std::span<const Tensor> truth, std::span<const Tensor> other);

struct LayerDeviation {
  int layer = 0;
  double deviation = 0;  // of the raw maps, relative, when this convolution alone computes in int8
  bool operator==(const LayerDeviation&) const = default;
};

std::vector<int> convolutions(const NetworkSpec& spec);  // their layers, ascending

// Of each candidate, worst first, equal ones in the network's order. `truth`: the float32 engine's raw maps of each
// input. An engine is made for every candidate. Shows progress with ETA.
std::vector<LayerDeviation> scan_layers(const NetworkSpec& spec, const EngineFactory& make,
                                        const std::vector<float>& scales, std::span<const int> candidates,
                                        const std::vector<Tensor>& inputs,
                                        const std::vector<std::vector<Tensor>>& truth);

}  // namespace yolov3
