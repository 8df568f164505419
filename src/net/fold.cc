#include "net/fold.h"

#include <cmath>

namespace yolov3 {
namespace {

// bias (beta), gamma, running mean, running variance, kernel: five tensors in param_slots' order.
void fold_layer(const Tensor* slots, double epsilon, Tensor& bias, Tensor& kernel) {
  const Tensor &beta = slots[0], &gamma = slots[1], &mean = slots[2], &var = slots[3];
  bias = beta;
  kernel = slots[4];
  const int64_t filters = beta.size(), per_filter = kernel.size() / filters;
  for (int64_t f = 0; f < filters; ++f) {
    const double scale = gamma[f] / std::sqrt(var[f] + epsilon);
    bias[f] = static_cast<float>(beta[f] - mean[f] * scale);
    for (int64_t k = f * per_filter; k < (f + 1) * per_filter; ++k) kernel[k] = static_cast<float>(kernel[k] * scale);
  }
}

}  // namespace

FoldedNetwork fold_batch_norm(const NetworkSpec& spec, const Weights& weights) {
  check_weights(spec, weights);
  FoldedNetwork folded{spec, {}};
  const Tensor* slot = weights.tensors.data();
  for (Layer& layer : folded.spec.layers) {
    auto* conv = std::get_if<Conv>(&layer.op);
    if (conv == nullptr) continue;
    Tensor bias, kernel;
    if (conv->batch_normalize) {
      fold_layer(slot, spec.bn_epsilon, bias, kernel);
      conv->batch_normalize = false;
      slot += 5;
    } else {
      bias = slot[0];
      kernel = slot[1];
      slot += 2;
    }
    folded.weights.tensors.push_back(std::move(bias));
    folded.weights.tensors.push_back(std::move(kernel));
  }
  return folded;
}

}  // namespace yolov3
