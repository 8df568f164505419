// The numbers of a network, apart from its structure, and the one registry of their names, shapes and order.
#pragma once

#include <string>
#include <vector>

#include "base/rng.h"
#include "base/tensor.h"
#include "net/spec.h"

namespace yolov3 {

enum class ParamKind { bias, gamma, running_mean, running_var, kernel };  // bias is beta under batch normalisation

struct ParamSlot {
  int layer = 0;        // Darknet's layer index
  int conv = 0;         // ordinal among the convolutions: Keras' conv2d, conv2d_1, ...
  int batch_norm = -1;  // ordinal among the batch normalisations, -1 without one
  ParamKind kind = ParamKind::kernel;
  Shape shape;            // (filters) or (filters, channels/groups, size, size): OIHW
  std::string name;       // "layer3.kernel": unique, for messages and tables
  bool trainable = true;  // false for running statistics
};

// Every parameter of the network in Darknet's file order: layer by layer
// bias (beta), then gamma, running mean and running variance where there is batch norm, then the kernel.
std::vector<ParamSlot> param_slots(const NetworkSpec& spec);

struct Weights {
  std::vector<Tensor> tensors;  // one a slot, same order and shapes
  bool operator==(const Weights&) const = default;
};

Weights zero_weights(const NetworkSpec& spec);

// Kernels from He's normal distribution for leaky ReLU's slope (arXiv 1502.01852), gamma 1, beta 0, statistics 0 and 1,
// and the objectness bias of every head such that sigmoid(bias) = objectness_prior. The head kernels have deviation
// 0.01, so that all first predictions are near the prior.
struct InitOptions {
  uint64_t seed = 0;
  float objectness_prior = 0.01f;
};
Weights random_weights(const NetworkSpec& spec, const InitOptions& options = {});

// Errors: names the first slot whose tensor is missing or has another shape.
void check_weights(const NetworkSpec& spec, const Weights& weights);

struct ParamCount {
  int64_t trainable = 0, all = 0;
};
ParamCount count_params(const NetworkSpec& spec);

}  // namespace yolov3
