// Between the network and its optimizer: which parameters are updated and how, and which numbers are the result.
#pragma once

#include "engine/torch_network.h"
#include "train/optimizer.h"
#include "train/options.h"

namespace yolov3 {

// Takes every parameter that is trained; weight decay is on convolution kernels only. With an average (--ema) the
// running statistics that are not frozen are taken too, to be averaged alongside. The tensors are the network's own.
Optimizer make_optimizer(TorchNetwork& network, const TrainOptions& options);

// What is judged and what model files hold: the averages where they are kept, else the parameters as they are.
Weights trained_weights(const TorchNetwork& network, const Optimizer& optimizer);

}  // namespace yolov3
