#include "engine/dnnl_engine.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/cpu.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/usage.h"
#include "engine/dnnl_program.h"
#include "engine/dnnl_tune.h"
#include "engine/openmp_threads.h"
#include "engine/plan_cache.h"
#include "engine/shape_programs.h"

namespace yolov3 {
namespace {

MapView first_images(MapView map, int64_t count) {
  map.images = count;
  return map;
}

// The places from image `first` on hold zeros, so that no chance number there (a NaN, a denormal) costs time.
void clear_images(const MapView& map, int64_t first) {
  if (first >= map.images) return;
  std::memset(map.at(first, 0, 0), 0,
              static_cast<size_t>((map.images - first) * map.image_stride * size_of(map.format.type)));
}

class DnnlEngine final : public Engine {
 public:
  DnnlEngine(std::shared_ptr<DnnlModel> model, Plan plan, int threads)
      : model_(std::move(model)), plan_(std::move(plan)), threads_(threads_or_all(threads)) {}

  std::vector<Tensor> forward(const Tensor& images) override {
    const OpenMpThreads guard(threads_);
    DnnlProgram& program = prepare(images);
    program.run();
    return copies(program.outputs());
  }

  std::vector<Tensor> forward_observed(const Tensor& images, const LayerObserver& observe) override {
    const OpenMpThreads guard(threads_);
    DnnlProgram& program = prepare(images);
    program.run_observed(observe);
    return copies(program.outputs());
  }

  std::vector<RawMap> forward_pictures(std::span<const Image> pictures) override {
    const OpenMpThreads guard(threads_);
    DnnlProgram& program = prepare(pictures, Use::maybe_part);
    program.run();
    std::vector<RawMap> maps = program.outputs();
    for (RawMap& map : maps) map.images = static_cast<int64_t>(pictures.size());
    return maps;
  }

  std::vector<StepTime> profile(std::span<const Image> pictures) override;

  std::vector<std::string> describe() const override;

  std::unique_ptr<Engine> share() const override { return std::make_unique<DnnlEngine>(model_, plan_, threads_); }

  std::string name() const override {
    std::string types;
    for (const NumberType type : {NumberType::s8, NumberType::bf16, NumberType::f32}) {
      const auto count = std::ranges::count(plan_.convolutions, type, &ConvChoice::type);
      if (count > 0) types += (types.empty() ? "" : "+") + to_string(type);
    }
    return "dnnl " + (types.empty() ? "f32" : types);
  }

 private:
  enum class Use { whole, maybe_part };  // whether a program for more images will do

  DnnlProgram& prepare(const Tensor& images) {
    check(images.shape().size() == 4 && images.dim(0) >= 1 && images.dim(1) == model_->spec().input.channels,
          "the network takes images of shape (N,{},H,W), not {}", model_->spec().input.channels,
          to_string(images.shape()));
    DnnlProgram& program = program_for({images.dim(0), images.dim(2), images.dim(3)});
    planes_to_map(images.data(), program.input());
    return program;
  }

  DnnlProgram& prepare(std::span<const Image> pictures, Use use) {
    check(!pictures.empty(), "an engine was given no pictures");
    check(model_->spec().input.channels == 3, "pictures have 3 channels, the network takes {}",
          model_->spec().input.channels);
    const int width = pictures[0].width, height = pictures[0].height;
    for (const Image& picture : pictures) {
      check(picture.width == width && picture.height == height,
            "pictures of one batch have one size: {}x{} after {}x{}", picture.width, picture.height, width, height);
    }
    const BatchShape shape{static_cast<int64_t>(pictures.size()), height, width};
    DnnlProgram* larger = use == Use::maybe_part ? program_to_ride_in(shape) : nullptr;
    DnnlProgram& program = larger != nullptr ? *larger : program_for(shape);
    pictures_to_map(pictures, first_images(program.input(), shape.images));
    clear_images(program.input(), shape.images);
    return program;
  }

  // The short batch at the end of a folder, which comes once, takes a place in a larger one's program, the smallest that
  // there is; a batch size that comes again gets a program of its own.
  DnnlProgram* program_to_ride_in(const BatchShape& shape) {
    const BatchShape* best = nullptr;
    for (const auto& entry : programs_.entries()) {
      const BatchShape& other = entry.shape;
      if (other.height != shape.height || other.width != shape.width || other.images < shape.images) continue;
      if (other.images == shape.images) return nullptr;
      if (best == nullptr || other.images < best->images) best = &other;
    }
    if (best == nullptr || !rode_.insert(shape).second) return nullptr;
    return &program_for(BatchShape(*best));
  }

  DnnlProgram& program_for(const BatchShape& shape) {
    return programs_.get(shape, model_->spec(), [&](const NetworkSpec& spec, int64_t images) {
      auto program = std::make_unique<DnnlProgram>(model_, spec, images, plan_);
      tell_substitutes(*program);
      return program;
    });
  }

  void tell_substitutes(const DnnlProgram& program) {
    const size_t count = program.substitutes().size();
    if (count == 0 || told_substitutes_) return;
    told_substitutes_ = true;
    log_warning(
        "oneDNN {} has no code for {} of the {} convolutions as the plan wants them, so that they are done "
        "otherwise: {}{}",
        dnnl_description(), count, plan_.convolutions.size(), program.substitutes()[0], count > 1 ? ", ..." : "");
  }

  static std::vector<Tensor> copies(const std::vector<RawMap>& maps) {
    std::vector<Tensor> tensors;
    for (const RawMap& map : maps) {
      Tensor tensor({map.images, map.channels, map.height, map.width});
      float* to = tensor.data();
      for (int64_t n = 0; n < map.images; ++n) {
        for (int64_t c = 0; c < map.channels; ++c) {
          for (int64_t cell = 0; cell < map.cells(); ++cell) *to++ = map.at(n, c, cell);
        }
      }
      tensors.push_back(std::move(tensor));
    }
    return tensors;
  }

  std::shared_ptr<DnnlModel> model_;
  Plan plan_;
  int threads_;
  ShapePrograms<DnnlProgram> programs_{kKeptPrograms};
  std::set<BatchShape> rode_;  // that have taken a place in a larger one's program
  bool told_substitutes_ = false;
};

std::vector<StepTime> DnnlEngine::profile(std::span<const Image> pictures) {
  const OpenMpThreads guard(threads_);
  DnnlProgram& program = prepare(pictures, Use::whole);
  return program.run_timed();
}

std::vector<std::string> DnnlEngine::describe() const {
  std::vector<std::string> lines;
  for (const auto& [shape, program] : programs_.entries()) {
    lines.push_back(fmt::format("batch {} of {}x{}: maps {:.1f} MB in one arena of {:.1f} MB, packed weights {:.0f} MB",
                                shape.images, shape.width, shape.height, program->arena_bytes() * 1e-6,
                                programs_.arena_bytes() * 1e-6, program->packed_bytes() * 1e-6));
    lines.insert(lines.end(), program->substitutes().begin(), program->substitutes().end());
  }
  if (programs_.entries().size() > 1) {
    lines.push_back(fmt::format("packed weights of all programs, shared where they can be: {:.0f} MB",
                                model_->packed_bytes() * 1e-6));
  }
  lines.push_back(write_plan(plan_));
  return lines;
}

std::optional<Plan> kept_plan(const std::filesystem::path& cache, const std::string& key, const DnnlModel& model) {
  const std::optional<std::string> text = read_cached_plan(cache, key);
  if (!text) return std::nullopt;
  try {
    return parse_plan(*text, model.spec(), model.quantization());
  } catch (const Error& error) {
    log_warning("{}: the plan kept there is not used: {}", cache.string(), error.what());
    return std::nullopt;
  }
}

// A prescribed one must compute in what --precision says.
Plan plan_from_file(const EngineOptions& options, const DnnlModel& model) {
  Plan plan;
  try {
    plan = parse_plan(read_file(options.plan, 1 << 20), model.spec(), model.quantization());
  } catch (const Error& error) {
    fail("--plan {}: {}", options.plan, error.what());
  }
  for (const ConvChoice& choice : plan.convolutions) {
    const bool fits = options.precision == "auto" || options.precision == "int8" || choice.type == NumberType::f32 ||
                      (options.precision == "bf16" && choice.type == NumberType::bf16);
    check_usage(fits, "--plan {}: it computes in {}, --precision is {}", options.plan, to_string(choice.type),
                options.precision);
  }
  return plan;
}

Plan choose_plan(const EngineOptions& options, const std::shared_ptr<DnnlModel>& model, const Plan& rule) {
  if (options.plan == "rule") return rule;
  if (options.plan != "auto" && options.plan != "tune") return plan_from_file(options, *model);
  const int threads = threads_or_all(options.threads);
  const std::filesystem::path cache = plan_cache_path();
  const std::string key = plan_key(*model, options.precision, threads);
  if (options.plan == "auto") {
    if (const std::optional<Plan> kept = kept_plan(cache, key, *model)) return *kept;
    // Which number type is fastest no rule knows for every CPU; which algorithm, it does.
    if (options.precision != "auto" || !cpu_computes_bf16()) return rule;
  }
  log_info("measuring how this CPU runs the network fastest ({})",
           cache.empty() ? std::string("each time: neither HOME nor YOLOV3_CACHE says where to keep it")
                         : "once; kept in " + cache.string());
  const OpenMpThreads guard(threads);
  Plan plan = tune_plan(model, options.precision);
  write_cached_plan(cache, key, write_plan(plan));
  return plan;
}

}  // namespace

std::unique_ptr<Engine> make_dnnl_engine(const Plan& plan, int threads, const NetworkSpec& spec,
                                         std::shared_ptr<const Weights> weights,
                                         std::shared_ptr<const Quantization> quantization) {
  check(plan.convolutions.size() == conv_layers(spec).size(), "a plan of {} convolutions for a network of {}",
        plan.convolutions.size(), conv_layers(spec).size());
  lower(spec);  // refuses what has no heads before anything is packed
  check(weights != nullptr, "the dnnl engine was given no weights");
  return std::make_unique<DnnlEngine>(std::make_shared<DnnlModel>(spec, std::move(weights), std::move(quantization)),
                                      plan, threads);
}

std::unique_ptr<Engine> make_dnnl_engine(const EngineOptions& options, const NetworkSpec& spec,
                                         std::shared_ptr<const Weights> weights) {
  check_usage(options.device == "cpu", "--device {}: the dnnl engine runs on the CPU; use --engine torch",
              options.device);
  check(weights != nullptr, "the dnnl engine was given no weights");
  lower(spec);
  const Plan rule = rule_plan(spec, options.precision, options.quantization.get());  // refuses what cannot be
  auto model = std::make_shared<DnnlModel>(spec, std::move(weights), options.quantization);
  Plan plan = choose_plan(options, model, rule);
  return std::make_unique<DnnlEngine>(std::move(model), std::move(plan), options.threads);
}

DnnlMemory dnnl_memory(const NetworkSpec& spec, int64_t images, const std::string& precision) {
  const Plan plan = rule_plan(spec, precision, nullptr);
  const DnnlProgram program(std::make_shared<DnnlModel>(spec, nullptr, nullptr), spec, images, plan);
  return {program.arena_bytes(), program.packed_bytes()};
}

std::string dnnl_description() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

}  // namespace yolov3
