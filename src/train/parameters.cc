#include "train/parameters.h"

namespace yolov3 {

Optimizer make_optimizer(TorchNetwork& network, const TrainOptions& options) {
  std::vector<OptimizerParam> params;
  for (size_t i = 0; i < network.slots().size(); ++i) {
    const ParamSlot& slot = network.slots()[i];
    if (network.is_frozen(slot) || !(slot.trainable || options.ema > 0)) continue;
    params.push_back({.value = network.params()[i],
                      .weight_decay = slot.kind == ParamKind::kernel ? options.weight_decay : 0.0,
                      .slot = i});
  }
  return Optimizer(std::move(params), {.kind = parse_optimizer(options.optimizer),
                                       .momentum = options.momentum,
                                       .nesterov = options.nesterov,
                                       .ema_decay = options.ema});
}

Weights trained_weights(const TorchNetwork& network, const Optimizer& optimizer) {
  Weights weights = network.weights();
  for (const OptimizerParam& param : optimizer.params()) {
    if (param.average.defined()) weights.tensors[param.slot] = tensor_from_torch(param.average);
  }
  return weights;
}

}  // namespace yolov3
