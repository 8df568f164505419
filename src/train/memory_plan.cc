#include "train/memory_plan.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "data/loader.h"
#include "engine/dnnl_engine.h"
#include "engine/plan.h"
#include "engine/training_engine.h"
#include "net/weights.h"
#include "train/optimizer.h"
#include "train/setup.h"

namespace yolov3 {
namespace {

constexpr int64_t kFloat = sizeof(float);

NetworkSpec at_largest_size(const NetworkSpec& spec, const TrainOptions& options) {
  int64_t width = options.width, height = options.height;
  for (const int size : options.multi_scale) {
    if (int64_t{size} * size > width * height) width = height = size;
  }
  return with_input_size(spec, width, height);
}

// Of one picture, all heads.
int64_t raw_map_bytes(const NetworkSpec& spec) {
  int64_t numbers = 0;
  for (const Head& head : heads(spec)) {
    numbers += static_cast<int64_t>(head.anchors.size()) * (5 + head.classes) * head.grid_height * head.grid_width;
  }
  return numbers * kFloat;
}

// What LibTorch's operators keep of one picture for the way back: of a convolution with batch norm its sum and its output,
// of other layers their output; and on the way back a few gradients of the largest map.
int64_t libtorch_map_bytes(const NetworkSpec& spec, bool bf16) {
  int64_t numbers = 0, largest = 0;
  for (const Layer& layer : spec.layers) {
    const auto* conv = std::get_if<Conv>(&layer.op);
    const bool passes_on =
        std::holds_alternative<Yolo>(layer.op) || (std::holds_alternative<Route>(layer.op) && layer.inputs.size() == 1);
    if (passes_on) continue;
    numbers += layer.out.size() * (conv != nullptr && conv->batch_normalize ? 2 : 1);
    largest = std::max(largest, layer.out.size());
  }
  return (numbers + 3 * largest) * (bf16 ? kFloat / 2 : kFloat);
}

// Of one picture: the network in use holds a layer's inputs and its output at a time.
int64_t map_bytes_in_use(const NetworkSpec& spec, bool bf16) {
  int64_t largest = 0;
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    int64_t held = spec.layers[i].out.size();
    for (size_t which = 0; which < spec.layers[i].inputs.size(); ++which) held += input_shape(spec, i, which).size();
    largest = std::max(largest, held);
  }
  return largest * (bf16 ? kFloat / 2 : kFloat);
}

// Two copies of the weights, one of them folded, and what the engine in use takes: oneDNN's, else LibTorch's.
int64_t judging_bytes(const NetworkSpec& spec, const TrainOptions& options, bool bf16, int64_t val_pictures) {
  const NetworkSpec sized = with_input_size(spec, options.width, options.height);
  const int64_t weights = count_params(spec).all * kFloat;
  const int64_t batch = std::clamp<int64_t>(val_pictures, 1, std::max(options.batch, 1));
  try {
    const DnnlMemory used = dnnl_memory(sized, batch, bf16 && cpu_computes_bf16() ? "bf16" : "f32");
    return 2 * weights + used.maps + used.weights;
  } catch (const Error&) {
    return 4 * weights + batch * map_bytes_in_use(sized, bf16);
  }
}

}  // namespace

int copies_of_parameters(const TrainOptions& options) {
  const int moments = parse_optimizer(options.optimizer) == OptimizerKind::adam ? 2 : 1;
  return 2 + moments + (options.ema > 0 ? 1 : 0) + (batches_per_update(options) > 1 ? 1 : 0);
}

MemoryEstimate estimate_memory(const NetworkSpec& spec, const TrainOptions& options,
                               const std::optional<TrainingPlan>& plan, int64_t program, int64_t val_pictures) {
  const NetworkSpec large = at_largest_size(spec, options);
  const int64_t weights = count_params(spec).all * kFloat, batch = options.batch;
  const bool bf16 = plan ? plan->type == NumberType::bf16 : use_bf16(options);
  MemoryEstimate estimate;
  estimate.program = program;
  estimate.parameters = copies_of_parameters(options) * weights;
  if (plan) {
    TrainingOptions engine;
    engine.plan = *plan;
    engine.threads = options.threads;
    engine.frozen_layers = frozen_layers(options, spec);
    const TrainingMemory memory = training_memory(large, batch, engine);
    estimate.maps = memory.maps + memory.kernels;
  } else {
    estimate.maps = batch * libtorch_map_bytes(large, bf16) + (bf16 ? weights / 2 : 0);
  }
  estimate.maps += 6 * batch * raw_map_bytes(large);  // the loss: logits, decoded boxes, their gradients
  const int64_t ahead = options.workers > 0 ? LoaderOptions{}.prefetch + 1 : 1;
  estimate.pictures = ahead * batch * large.input.size() * kFloat;
  // Saving copies the weights and all of the optimizer's state.
  const int64_t saving = (copies_of_parameters(options) - 1) * weights;
  const int64_t judging = options.validate ? judging_bytes(spec, options, bf16, val_pictures) : 0;
  estimate.closing = std::max(saving, judging);
  return estimate;
}

std::string describe(const MemoryEstimate& e) {
  const auto text = [](int64_t bytes) { return human_bytes(static_cast<double>(bytes)); };
  return fmt::format(
      "{}: program {}, parameters with gradients and moments {}, a batch's maps {}, pictures ahead {}, "
      "judging and saving {}",
      text(e.total()), text(e.program), text(e.parameters), text(e.maps), text(e.pictures), text(e.closing));
}

int largest_batch(int most, int64_t usable, const std::function<int64_t(int batch)>& total_of) {
  int fits = 0, too_large = most + 1;
  while (too_large - fits > 1) {
    const int middle = (fits + too_large) / 2;
    (total_of(middle) <= usable ? fits : too_large) = middle;
  }
  return fits;
}

}  // namespace yolov3
