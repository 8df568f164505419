#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "engine/dnnl_train_program.h"
#include "engine/openmp_threads.h"
#include "engine/shape_programs.h"
#include "engine/training_engine.h"

namespace yolov3 {
namespace {

constexpr size_t kKeptShapes = 12;  // multi-scale training goes round about as many sizes

}  // namespace

struct TrainingEngine::Inside {
  Inside(const NetworkSpec& spec, std::vector<TrainingTensor> tensors, TrainingOptions options)
      : threads(threads_or_all(options.threads)), model(spec, std::move(tensors), options) {
    const Lowering lowering = lower(spec, options.frozen_layers);
    for (const ParamSlot& slot : param_slots(spec)) {
      trained.push_back(slot.trainable && slot.layer >= options.frozen_layers &&
                        lowering.needed[static_cast<size_t>(slot.layer)]);
    }
  }

  DnnlTrainProgram& program_for(const BatchShape& shape) {
    return programs.get(shape, model.spec(), [&](const NetworkSpec& spec, int64_t images) {
      auto program = std::make_unique<DnnlTrainProgram>(model, spec, images);
      tell_substitutes(*program);
      return program;
    });
  }

  void tell_substitutes(const DnnlTrainProgram& program) {
    const auto& substitutes = program.substitutes();
    if (substitutes.empty() || told_substitutes) return;
    told_substitutes = true;
    log_info("{} passes of convolutions are not done as the plan wants them: {}{}", substitutes.size(), substitutes[0],
             substitutes.size() > 1 ? ", ..." : "");
  }

  int threads;
  DnnlTrainModel model;
  ShapePrograms<DnnlTrainProgram> programs{kKeptShapes};
  std::vector<bool> trained;            // slots that have a gradient
  DnnlTrainProgram* waiting = nullptr;  // has run forwards, and not yet backwards
  bool told_substitutes = false;
};

TrainingEngine::TrainingEngine(const NetworkSpec& spec, std::vector<TrainingTensor> tensors, TrainingOptions options) {
  check(!tensors.empty(), "the training engine was given no parameters");
  inside_ = std::make_unique<Inside>(spec, std::move(tensors), std::move(options));
}

TrainingEngine::~TrainingEngine() = default;

std::vector<RawMap> TrainingEngine::forward(const float* images, int64_t n, int64_t height, int64_t width,
                                            uint64_t seed) {
  const OpenMpThreads guard(inside_->threads);
  inside_->waiting = nullptr;
  DnnlTrainProgram& program = inside_->program_for({n, height, width});
  program.forward(images, seed);
  inside_->waiting = &program;
  return program.outputs();
}

double TrainingEngine::backward(const std::vector<const float*>& map_gradients, const std::vector<float*>& into) {
  check(inside_->waiting != nullptr, "backward() without a forward() before it");
  const OpenMpThreads guard(inside_->threads);
  inside_->model.set_gradients(into);
  DnnlTrainProgram& program = *inside_->waiting;
  inside_->waiting = nullptr;  // its maps are overwritten on the way
  program.backward(map_gradients);
  return inside_->model.gradient_squares();
}

bool TrainingEngine::has_gradient(size_t slot) const { return inside_->trained.at(slot); }

void TrainingEngine::parameters_changed() { inside_->model.parameters_changed(); }

std::vector<StepTime> TrainingEngine::profile(const float* images, int64_t n, int64_t height, int64_t width,
                                              const std::vector<float*>& into) {
  const OpenMpThreads guard(inside_->threads);
  inside_->waiting = nullptr;
  DnnlTrainProgram& program = inside_->program_for({n, height, width});
  std::vector<StepTime> times;
  program.forward(images, 0, &times);
  std::vector<Tensor> gradients;
  std::vector<const float*> pointers;
  for (const RawMap& map : program.outputs()) {
    gradients.emplace_back(Shape{map.images, map.channels, map.height, map.width});
    std::ranges::fill(gradients.back().values(), 1e-4f);
  }
  for (const Tensor& tensor : gradients) pointers.push_back(tensor.data());
  inside_->model.set_gradients(into);
  program.backward(pointers, &times);
  return times;
}

std::vector<std::string> TrainingEngine::describe() const {
  std::vector<std::string> lines;
  for (const auto& [shape, program] : inside_->programs.entries()) {
    lines.push_back(fmt::format("batch {} of {}x{}: maps and gradients {:.0f} MB", shape.images, shape.width,
                                shape.height, program->arena_bytes() * 1e-6));
    lines.insert(lines.end(), program->substitutes().begin(), program->substitutes().end());
  }
  lines.push_back(fmt::format("one arena of {:.0f} MB, packed kernels {:.0f} MB",
                              inside_->programs.arena_bytes() * 1e-6, inside_->model.packed_bytes() * 1e-6));
  lines.push_back(write_training_plan(inside_->model.options().plan));
  return lines;
}

TrainingMemory training_memory(const NetworkSpec& spec, int64_t images, const TrainingOptions& options) {
  const OpenMpThreads guard(threads_or_all(options.threads));
  DnnlTrainModel model(spec, {}, options);
  const DnnlTrainProgram program(model, spec, images);
  return {program.arena_bytes(), model.packed_bytes()};
}

int64_t TrainingEngine::memory_bytes() const { return inside_->programs.arena_bytes() + inside_->model.packed_bytes(); }

}  // namespace yolov3
