#include "engine/dnnl_engine.h"

#include <algorithm>
#include <cstring>
#include <list>
#include <set>

#include "base/cpu.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "engine/dnnl_program.h"
#include "engine/dnnl_tune.h"
#include "engine/openmp_threads.h"
#include "engine/plan_cache.h"

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
  struct Program {
    int64_t images, height, width;
    std::unique_ptr<DnnlProgram> program;
    std::set<int64_t> rode;  // smaller batches that have taken a place in it
  };

  enum class Use { whole, maybe_part };  // whether a program for more images will do

  DnnlProgram& prepare(const Tensor& images) {
    check(images.shape().size() == 4 && images.dim(0) >= 1 && images.dim(1) == model_->spec().input.channels,
          "the network takes images of shape (N,{},H,W), not {}", model_->spec().input.channels,
          to_string(images.shape()));
    DnnlProgram& program = program_for(images.dim(0), images.dim(2), images.dim(3));
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
    const auto count = static_cast<int64_t>(pictures.size());
    DnnlProgram* larger = use == Use::maybe_part ? program_to_ride_in(count, height, width) : nullptr;
    DnnlProgram& program = larger != nullptr ? *larger : program_for(count, height, width);
    pictures_to_map(pictures, first_images(program.input(), count));
    clear_images(program.input(), count);
    return program;
  }

  // The short batch at the end of a folder, which comes once, takes a place in a larger one's program, the smallest that
  // there is; a batch size that comes again gets a program of its own.
  DnnlProgram* program_to_ride_in(int64_t images, int64_t height, int64_t width) {
    auto best = programs_.end();
    for (auto p = programs_.begin(); p != programs_.end(); ++p) {
      if (p->height != height || p->width != width || p->images < images) continue;
      if (p->images == images) return nullptr;
      if (best == programs_.end() || p->images < best->images) best = p;
    }
    if (best == programs_.end() || !best->rode.insert(images).second) return nullptr;
    programs_.splice(programs_.begin(), programs_, best);
    return programs_.front().program.get();
  }

  // Most recently used first; the least recently used one goes when there are too many.
  DnnlProgram& program_for(int64_t images, int64_t height, int64_t width) {
    const auto found = std::ranges::find_if(
        programs_, [&](const Program& p) { return p.images == images && p.height == height && p.width == width; });
    if (found != programs_.end()) {
      programs_.splice(programs_.begin(), programs_, found);
      return *programs_.front().program;
    }
    NetworkSpec spec = model_->spec();
    if (spec.input.height != height || spec.input.width != width)
      spec = with_input_size(std::move(spec), width, height);
    auto program = std::make_unique<DnnlProgram>(model_, spec, images, plan_);
    if (programs_.size() >= kKeptPrograms) programs_.pop_back();
    tell_substitutes(*program);
    programs_.push_front({images, height, width, std::move(program), {}});
    try {
      fit_arena();
    } catch (...) {  // no memory: no program has a place any more
      programs_.clear();
      throw;
    }
    return *programs_.front().program;
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

  // Grown, never shrunk while in use: the largest of the kept programs decides.
  void fit_arena() {
    int64_t needed = 0;
    for (const Program& p : programs_) needed = std::max(needed, p.program->arena_bytes());
    const int64_t floats = (needed + 3) / 4;
    if (floats > arena_.size() || floats < arena_.size() / 2) arena_ = Tensor({floats});
    for (const Program& p : programs_) p.program->place(reinterpret_cast<std::byte*>(arena_.data()));
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
  std::list<Program> programs_;
  Tensor arena_;
  bool told_substitutes_ = false;
};

std::vector<StepTime> DnnlEngine::profile(std::span<const Image> pictures) {
  const OpenMpThreads guard(threads_);
  DnnlProgram& program = prepare(pictures, Use::whole);
  return program.run_timed();
}

std::vector<std::string> DnnlEngine::describe() const {
  std::vector<std::string> lines;
  for (const Program& p : programs_) {
    lines.push_back(fmt::format("batch {} of {}x{}: maps {:.1f} MB in one arena of {:.1f} MB, packed weights {:.0f} MB",
                                p.images, p.width, p.height, p.program->arena_bytes() * 1e-6, arena_.size() * 4e-6,
                                p.program->packed_bytes() * 1e-6));
    lines.insert(lines.end(), p.program->substitutes().begin(), p.program->substitutes().end());
  }
  if (programs_.size() > 1) {
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
    check(fits, "--plan {}: it computes in {}, --precision is {}", options.plan, to_string(choice.type),
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
  check(options.device == "cpu", "--device {}: the dnnl engine runs on the CPU; use --engine torch", options.device);
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
