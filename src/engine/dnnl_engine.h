// The fast engine on a CPU: oneDNN's convolutions, our own passes between them, by a plan (engine/plan.h).
//
// Any batch and size. Programs (engine/dnnl_program.h) for the last few shapes are kept, in one arena; weights are packed
// once for all engines that share() made. Threads: `threads` of OpenMP's, whatever the calling thread's own setting.
#pragma once

#include <memory>

#include "engine/engine.h"
#include "engine/plan.h"

namespace yolov3 {

constexpr size_t kKeptPrograms = 4;  // shapes of images whose programs an engine keeps

// Errors: a precision that this CPU cannot compute; int8 without scales; a plan for another network; a layer that oneDNN
// cannot do (it names the reference engine).
std::unique_ptr<Engine> make_dnnl_engine(const EngineOptions& options, const NetworkSpec& spec,
                                         std::shared_ptr<const Weights> weights);

// By this very plan.
std::unique_ptr<Engine> make_dnnl_engine(const Plan& plan, int threads, const NetworkSpec& spec,
                                         std::shared_ptr<const Weights> weights,
                                         std::shared_ptr<const Quantization> quantization = nullptr);

std::string dnnl_description();  // version and the instruction set that it may use, for `info`

}  // namespace yolov3
