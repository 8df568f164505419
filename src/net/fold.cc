#include "net/fold.h"

#include <cmath>
#include <utility>

#include "base/error.h"

namespace yolov3 {

FoldedConv fold_conv(const Conv& conv, const Tensor* slots, double epsilon) {
  if (!conv.batch_normalize) return {slots[0], slots[1]};
  const Tensor &beta = slots[0], &gamma = slots[1], &mean = slots[2], &var = slots[3];
  FoldedConv folded{beta, slots[4]};
  const int64_t filters = beta.size(), per_filter = folded.kernel.size() / filters;
  for (int64_t f = 0; f < filters; ++f) {
    const double scale = gamma[f] / std::sqrt(var[f] + epsilon);
    folded.bias[f] = static_cast<float>(beta[f] - mean[f] * scale);
    for (int64_t k = f * per_filter; k < (f + 1) * per_filter; ++k) {
      folded.kernel[k] = static_cast<float>(folded.kernel[k] * scale);
    }
  }
  return folded;
}

FoldedNetwork fold_batch_norm(const NetworkSpec& spec, const Weights& weights) {
  check_weights(spec, weights);
  FoldedNetwork folded{spec, {}};
  const Tensor* slots = weights.tensors.data();
  for (Layer& layer : folded.spec.layers) {
    auto* conv = std::get_if<Conv>(&layer.op);
    if (conv == nullptr) continue;
    auto [bias, kernel] = fold_conv(*conv, slots, spec.bn_epsilon);
    slots += conv->batch_normalize ? 5 : 2;
    conv->batch_normalize = false;
    folded.weights.tensors.push_back(std::move(bias));
    folded.weights.tensors.push_back(std::move(kernel));
  }
  return folded;
}

Rescaled with_bn_epsilon(NetworkSpec spec, Weights weights, float epsilon) {
  check_weights(spec, weights);
  const std::vector<ParamSlot> slots = param_slots(spec);
  const double from = std::exchange(spec.bn_epsilon, epsilon), to = epsilon;
  if (from == to) return {std::move(spec), std::move(weights)};
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].kind != ParamKind::gamma) continue;
    Tensor& gamma = weights.tensors[i];
    const Tensor& var = weights.tensors[i + 2];  // gamma, running mean, running variance: net/weights.h
    for (int64_t f = 0; f < gamma.size(); ++f) {
      check(var[f] + from > 0 && var[f] + to > 0,
            "{}: the running variance of filter {} is {}: with a batch norm epsilon of {} it has no root",
            slots[i].name, f, var[f], var[f] + from > 0 ? to : from);
      gamma[f] = static_cast<float>(gamma[f] * std::sqrt((var[f] + to) / (var[f] + from)));
    }
  }
  return {std::move(spec), std::move(weights)};
}

}  // namespace yolov3
