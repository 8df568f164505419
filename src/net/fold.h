// Batch normalisation with fixed statistics is a scale and a shift a channel, which the convolution before it can take
// over: kernel' = kernel * s, bias' = beta - mean * s, s = gamma / sqrt(var + eps). For running a trained network.
//
// Pure functions; the computation is in double, rounded once. Errors: weights that do not fit the spec.
#pragma once

#include "net/spec.h"
#include "net/weights.h"

namespace yolov3 {

struct FoldedNetwork {
  NetworkSpec spec;  // the same layers, no batch_normalize
  Weights weights;
};

// One convolution by itself: `slots` are its tensors in param_slots' order.
struct FoldedConv {
  Tensor bias, kernel;
};
FoldedConv fold_conv(const Conv& conv, const Tensor* slots, double epsilon);

FoldedNetwork fold_batch_norm(const NetworkSpec& spec, const Weights& weights);

struct Rescaled {
  NetworkSpec spec;  // with the new epsilon
  Weights weights;
};

// The same network for programs whose batch normalisation adds another epsilon to the variance:
// gamma' = gamma * sqrt((var + epsilon) / (var + old epsilon)). Outputs stay as they are, but for one rounding of gamma.
// Errors: a variance so negative that a root has no value, naming the layer.
Rescaled with_bn_epsilon(NetworkSpec spec, Weights weights, float epsilon);

}  // namespace yolov3
