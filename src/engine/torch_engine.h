// LibTorch as an Engine: batch norm folded, no gradients, any device of this LibTorch.
#pragma once

#include <memory>

#include "engine/engine.h"

namespace yolov3 {

// Errors: devices and precisions that are not to be had; a build without LibTorch (no_torch.cc) says so.
std::unique_ptr<Engine> make_torch_engine(const EngineOptions& options, const NetworkSpec& spec,
                                          std::shared_ptr<const Weights> weights);
bool have_torch();
std::string torch_description();  // version and devices, for `info`

}  // namespace yolov3
