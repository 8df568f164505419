#include <algorithm>
#include <list>

#include "base/error.h"
#include "base/log.h"
#include "engine/dnnl_train_program.h"
#include "engine/openmp_threads.h"
#include "engine/training_engine.h"

namespace yolov3 {
namespace {

constexpr size_t kKeptShapes = 12;  // multi-scale training goes round about as many sizes

}  // namespace

struct TrainingEngine::Inside {
  struct Program {
    int64_t images, height, width;
    std::unique_ptr<DnnlTrainProgram> program;
  };

  Inside(const NetworkSpec& spec, std::vector<TrainingTensor> tensors, TrainingOptions options)
      : threads(threads_or_all(options.threads)), model(spec, std::move(tensors), options) {
    const Lowering lowering = lower(spec, options.frozen_layers);
    for (const ParamSlot& slot : param_slots(spec)) {
      trained.push_back(slot.trainable && slot.layer >= options.frozen_layers &&
                        lowering.needed[static_cast<size_t>(slot.layer)]);
    }
    check(options.plan.convolutions.size() == conv_layers(spec).size(), "a plan of {} convolutions for a network of {}",
          options.plan.convolutions.size(), conv_layers(spec).size());
  }

  // Most recently used first; the least recently used one goes when there are too many.
  DnnlTrainProgram& program_for(int64_t images, int64_t height, int64_t width) {
    const auto found = std::ranges::find_if(
        programs, [&](const Program& p) { return p.images == images && p.height == height && p.width == width; });
    if (found != programs.end()) {
      programs.splice(programs.begin(), programs, found);
      return *programs.front().program;
    }
    NetworkSpec spec = model.spec();
    if (spec.input.height != height || spec.input.width != width)
      spec = with_input_size(std::move(spec), width, height);
    auto program = std::make_unique<DnnlTrainProgram>(model, spec, images);
    tell_substitutes(*program);
    if (programs.size() >= kKeptShapes) programs.pop_back();
    programs.push_front({images, height, width, std::move(program)});
    try {
      fit_arena();
    } catch (...) {  // no memory: no program has a place any more
      programs.clear();
      throw;
    }
    return *programs.front().program;
  }

  // The largest of the kept programs decides.
  void fit_arena() {
    int64_t needed = 0;
    for (const Program& p : programs) needed = std::max(needed, p.program->arena_bytes());
    const int64_t floats = (needed + 3) / 4;
    if (floats > arena.size() || floats < arena.size() / 2) {
      arena = Tensor();  // the old one goes first: two need not fit
      arena = Tensor({floats});
    }
    for (const Program& p : programs) p.program->place(reinterpret_cast<std::byte*>(arena.data()));
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
  std::list<Program> programs;
  Tensor arena;
  std::vector<bool> trained;            // slots that have a gradient
  DnnlTrainProgram* waiting = nullptr;  // has run forwards, and not yet backwards
  bool told_substitutes = false;
};

TrainingEngine::TrainingEngine(const NetworkSpec& spec, std::vector<TrainingTensor> tensors, TrainingOptions options)
    : inside_(std::make_unique<Inside>(spec, std::move(tensors), std::move(options))) {}

TrainingEngine::~TrainingEngine() = default;

std::vector<RawMap> TrainingEngine::forward(const float* images, int64_t n, int64_t height, int64_t width,
                                            uint64_t seed) {
  const OpenMpThreads guard(inside_->threads);
  inside_->waiting = nullptr;
  DnnlTrainProgram& program = inside_->program_for(n, height, width);
  program.forward(images, seed);
  inside_->waiting = &program;
  return program.outputs();
}

void TrainingEngine::backward(const std::vector<const float*>& map_gradients, const std::vector<float*>& into) {
  check(inside_->waiting != nullptr, "backward() without a forward() before it");
  const OpenMpThreads guard(inside_->threads);
  inside_->model.set_gradients(into);
  DnnlTrainProgram& program = *inside_->waiting;
  inside_->waiting = nullptr;  // its maps are overwritten on the way
  program.backward(map_gradients);
}

bool TrainingEngine::has_gradient(size_t slot) const { return inside_->trained.at(slot); }

void TrainingEngine::parameters_changed() { inside_->model.parameters_changed(); }

std::vector<StepTime> TrainingEngine::profile(const float* images, int64_t n, int64_t height, int64_t width,
                                              const std::vector<float*>& into) {
  const OpenMpThreads guard(inside_->threads);
  inside_->waiting = nullptr;
  DnnlTrainProgram& program = inside_->program_for(n, height, width);
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
  for (const Inside::Program& p : inside_->programs) {
    lines.push_back(fmt::format("batch {} of {}x{}: maps and gradients {:.0f} MB", p.images, p.width, p.height,
                                p.program->arena_bytes() * 1e-6));
    const auto& substitutes = p.program->substitutes();
    lines.insert(lines.end(), substitutes.begin(), substitutes.end());
  }
  lines.push_back(fmt::format("one arena of {:.0f} MB, packed kernels {:.0f} MB", inside_->arena.size() * 4e-6,
                              inside_->model.packed_bytes() * 1e-6));
  lines.push_back(write_training_plan(inside_->model.options().plan));
  return lines;
}

int64_t TrainingEngine::memory_bytes() const { return inside_->arena.size() * 4 + inside_->model.packed_bytes(); }

int64_t training_memory_bytes(const NetworkSpec& spec, const TrainingOptions& options, int64_t n, int64_t height,
                              int64_t width) {
  const OpenMpThreads guard(threads_or_all(options.threads));
  float never_read = 0;  // programs that are only built touch no parameter
  DnnlTrainModel model(spec, std::vector<TrainingTensor>(param_slots(spec).size(), {&never_read, nullptr}), options);
  const DnnlTrainProgram program(model, with_input_size(spec, width, height), n);
  return program.arena_bytes() + model.packed_bytes();
}

}  // namespace yolov3
