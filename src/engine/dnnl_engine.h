// The fast engine on a CPU: oneDNN's convolutions, our own passes between them, by a plan (engine/plan.h).
//
// Any batch and size. Programs (engine/dnnl_program.h) for the last few shapes are kept, in one arena; weights are packed
// once for all engines that share() made. Threads: `threads` of OpenMP's, whatever the calling thread's own setting.
//
// Repeatable: the same plan, weights and threads give the same bits, whatever other shapes the engine has met. But
// forward_pictures() of a batch that comes for the first time may use the program of a larger one, whose last bits may
// differ from those of its own.
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

// Bytes that a network takes, worked out without weights; plus the weights themselves, 4 bytes a parameter.
struct DnnlMemory {
  int64_t maps = 0;     // one arena: the maps that live at one time, and the primitives' own scratch
  int64_t weights = 0;  // packed copies
};
DnnlMemory dnnl_memory(const NetworkSpec& spec, int64_t images, const std::string& precision);

std::string dnnl_description();  // oneDNN's version, for `info`

}  // namespace yolov3
