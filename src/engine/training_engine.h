// Trains a network on a CPU: its forward and its backward pass as one object over oneDNN's primitives and our own fused
// passes, without an autograd graph. Raw maps out, their gradients in, parameter gradients into the caller's memory.
//
// Precision: maps and their gradients are f32 or bf16 (TrainingPlan); parameters, their gradients, batch norm's
// statistics, every sum and the raw maps are f32.
// Batch norm: as torch's BatchNorm2d, running statistics included.
// Layers that no head needs are not run: no gradient can reach them, so they stay as they are, running statistics
// included, as in torch_network.
// Memory: every map lies in one arena, for as long as the backward pass needs it; programs are kept per batch and size.
// Repeatable: the same plan, parameters, batches and threads give the same bits.
// Threads: one at a time; OpenMP inside. Errors: what oneDNN cannot do is an Error that names --engine torch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/raw_map.h"
#include "engine/step_time.h"
#include "engine/training_plan.h"
#include "net/spec.h"

namespace yolov3 {

// Where the caller keeps a parameter (net/weights.h, one a slot). A kernel's numbers lie O,H,W,I.
struct TrainingTensor {
  float* value = nullptr;
  float* gradient = nullptr;  // null: none is wanted
};

struct TrainingOptions {
  TrainingPlan plan;
  int threads = 0;  // 0 = all
  double bn_momentum = 0.1;
  int frozen_layers = 0;  // the first ones have no gradients, and their batch norm uses the running statistics

  // Adds up numbers over all machines of a run, in place: batch norm's sums and counts. Empty: there is one.
  std::function<void(std::span<double>)> sum_over_ranks;
  // The gradients of a layer's parameters are final; the last layer comes first.
  std::function<void(int layer)> gradients_ready;
};

// Bytes that batches of `images` pictures of the network's input size take, worked out without any parameters.
struct TrainingMemory {
  int64_t maps = 0;     // one arena: maps and gradients that live at one time, and the primitives' own scratch
  int64_t kernels = 0;  // packed copies
};
// Errors: a layer that oneDNN cannot do with such a batch, which the engine itself would say at the first of them.
TrainingMemory training_memory(const NetworkSpec& spec, int64_t images, const TrainingOptions& options);

class TrainingEngine {
 public:
  // Errors: tensors that are not the network's, a plan of another network.
  TrainingEngine(const NetworkSpec& spec, std::vector<TrainingTensor> tensors, TrainingOptions options);
  ~TrainingEngine();

  // images: N,3,H,W planes. seed: of dropout. One raw map a head, small objects first; valid until the next forward().
  // Errors: a size that the network cannot take, a layer that oneDNN cannot do.
  std::vector<RawMap> forward(const float* images, int64_t n, int64_t height, int64_t width, uint64_t seed);

  // Of the last forward(): gradients: N,A*(5+K),G,G planes, one a map; into: where each parameter's gradient goes,
  // null where none is wanted (one a slot). What stood there is overwritten, where has_gradient(). Once a forward().
  // Returns the sum of the squares of all gradients written, in double: not finite when any of them is not.
  double backward(const std::vector<const float*>& map_gradients, const std::vector<float*>& into);

  // Whether backward() writes the gradient of this slot: its layer is trained and some head needs it.
  bool has_gradient(size_t slot) const;

  // To be told after the parameters have changed; those of frozen layers never do.
  void parameters_changed();

  // Both passes, each step timed by itself, with some small gradient of the maps. into: as for backward().
  std::vector<StepTime> profile(const float* images, int64_t n, int64_t height, int64_t width,
                                const std::vector<float*>& into);

  std::vector<std::string> describe() const;  // memory, and the plan in the last line
  int64_t memory_bytes() const;               // arena and packed kernels

 private:
  struct Inside;
  std::unique_ptr<Inside> inside_;
};

}  // namespace yolov3
