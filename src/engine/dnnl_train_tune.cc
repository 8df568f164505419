#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "base/checksum.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/tensor.h"
#include "engine/dnnl_train_conv.h"
#include "engine/openmp_threads.h"
#include "engine/plan_cache.h"
#include "engine/training_engine.h"
#include "engine/training_tune.h"
#include "net/cfg.h"
#include "net/weights.h"

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kLeastMs = 40;  // of runs of one primitive
constexpr int kLeastRuns = 3, kMostRuns = 50;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Memory of its own with a margin (kKernelMargin), full of numbers between 1 and 2, so that none is denormal.
struct Filled {
  Tensor storage;
  dnnl::memory memory;
};

Filled filled(const dnnl::memory::desc& form, const dnnl::engine& engine) {
  const auto words = static_cast<int64_t>((form.get_size() + 3) / 4), margin = kKernelMargin / 4;
  Filled result{Tensor({words + 2 * margin}), {}};
  const bool bf16 = form.data_type() == dnnl::memory::data_type::bf16;
  uint32_t state = 1;
  for (float& number : result.storage.values()) {
    state = state * 1664525u + 1013904223u;
    number = std::bit_cast<float>(bf16 ? 0x3f803f80u | (state & 0x007f007fu) : 0x3f800000u | (state >> 9));
  }
  result.memory = dnnl::memory(form, engine, result.storage.data() + margin);
  return result;
}

double time_primitive(const dnnl::primitive& primitive, const std::unordered_map<int, dnnl::memory>& arguments,
                      const dnnl::engine& engine) {
  dnnl::stream stream(engine);
  const auto run = [&] {
    const auto start = Clock::now();
    primitive.execute(stream, arguments);
    stream.wait();
    return ms_since(start);
  };
  run();
  std::vector<double> times;
  for (double spent = 0; static_cast<int>(times.size()) < kLeastRuns ||
                         (spent < kLeastMs && static_cast<int>(times.size()) < kMostRuns);) {
    times.push_back(run());
    spent += times.back();
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

// The three primitives of a solution, each timed alone.
class SolutionTimer {
 public:
  explicit SolutionTimer(const dnnl::engine& engine) : engine_(engine) {}

  double forward(const TrainConvSolution& s) {
    const auto& d = s.forward;
    return time(dnnl::convolution_forward(d), d,
                {{DNNL_ARG_SRC, d.src_desc()},
                 {DNNL_ARG_WEIGHTS, d.weights_desc()},
                 {DNNL_ARG_BIAS, d.bias_desc()},
                 {DNNL_ARG_DST, d.dst_desc()}});
  }
  double data(const TrainConvSolution& s) {
    const auto& d = s.data;
    return time(dnnl::convolution_backward_data(d), d,
                {{DNNL_ARG_DIFF_DST, d.diff_dst_desc()},
                 {DNNL_ARG_WEIGHTS, d.weights_desc()},
                 {DNNL_ARG_DIFF_SRC, d.diff_src_desc()}});
  }
  double weights(const TrainConvSolution& s) {
    const auto& d = s.weights;
    return time(dnnl::convolution_backward_weights(d), d,
                {{DNNL_ARG_SRC, d.src_desc()},
                 {DNNL_ARG_DIFF_DST, d.diff_dst_desc()},
                 {DNNL_ARG_DIFF_WEIGHTS, d.diff_weights_desc()},
                 {DNNL_ARG_DIFF_BIAS, d.diff_bias_desc()}});
  }

 private:
  double time(const dnnl::primitive& primitive, const dnnl::primitive_desc_base& description,
              const std::vector<std::pair<int, dnnl::memory::desc>>& forms) {
    std::vector<Filled> memories;
    std::unordered_map<int, dnnl::memory> arguments;
    for (const auto& [argument, form] : forms) {
      if (form.get_size() == 0) continue;
      memories.push_back(filled(form, engine_));
      arguments[argument] = memories.back().memory;
    }
    memories.push_back(filled(description.query_md(dnnl::query::scratchpad_md), engine_));
    arguments[DNNL_ARG_SCRATCHPAD] = memories.back().memory;
    return time_primitive(primitive, arguments, engine_);
  }

  const dnnl::engine& engine_;
};

struct BestPasses {
  ConvPasses algorithms;
  std::array<PassTime, 3> times;
  double total() const { return times[0].ms + times[1].ms + times[2].ms; }
};

class Tuner {
 public:
  Tuner(const NetworkSpec& spec, int64_t images) : spec_(spec), images_(images), timer_(engine_) {}

  TrainingTuning run(const TrainingPlan& rule) {
    TrainingTuning tuning{rule, {}};
    const std::vector<int> layers = conv_layers(spec_);
    for (size_t i = 0; i < layers.size(); ++i) {
      const BestPasses best = best_of(layers[i], rule);
      tuning.plan.convolutions[i] = best.algorithms;
      for (PassTime time : best.times) {
        time.layer = layers[i];
        if (time.ms > 0) tuning.passes.push_back(std::move(time));
      }
    }
    return tuning;
  }

 private:
  using Key = std::tuple<Layout, int64_t, int64_t, int64_t, int, int, int, int, int, bool, bool>;

  const BestPasses& best_of(int layer, const TrainingPlan& plan) {
    const Conv& conv = std::get<Conv>(spec_.layers[static_cast<size_t>(layer)].op);
    const LayerShape in = input_shape(spec_, static_cast<size_t>(layer));
    const bool first = spec_.layers[static_cast<size_t>(layer)].inputs[0] == kNetworkInput;
    const Key key{plan.layout, in.channels, in.height,    in.width,    conv.filters,
                  conv.size,   conv.stride, conv.padding, conv.groups, conv.batch_normalize,
                  first};
    const auto known = known_.find(key);
    if (known != known_.end()) return known->second;
    BestPasses best;
    measure(layer, conv, plan, ConvAlgorithm::direct, best);
    if (plan.type == NumberType::f32 && winograd_applies(conv, in.channels)) {
      measure(layer, conv, plan, ConvAlgorithm::winograd, best);
    }
    return known_[key] = best;
  }

  void measure(int layer, const Conv& conv, const TrainingPlan& plan, ConvAlgorithm algorithm, BestPasses& best) {
    TrainConvTask task{layer, conv, input_shape(spec_, static_cast<size_t>(layer)),
                       spec_.layers[static_cast<size_t>(layer)].out, images_};
    const bool first = spec_.layers[static_cast<size_t>(layer)].inputs[0] == kNetworkInput;
    task.source = task.target = task.gradient = {plan.type, plan.layout, 1};
    if (first && block_of(plan.layout) > task.in.channels) task.source.layout = Layout::planes;
    task.passes = {algorithm, algorithm, algorithm};
    task.data = !first;
    const TrainConvSolution found = solve_train_conv(engine_, task);
    keep(best.times[0], best.algorithms.forward, "convolution", found.forward, timer_.forward(found));
    if (task.data) keep(best.times[1], best.algorithms.data, "data gradient", found.data, timer_.data(found));
    keep(best.times[2], best.algorithms.weights, "kernel gradient", found.weights, timer_.weights(found));
  }

  static void keep(PassTime& best, ConvAlgorithm& algorithm, const char* pass,
                   const dnnl::primitive_desc_base& description, double ms) {
    if (best.ms > 0 && best.ms <= ms) return;
    algorithm = is_winograd(description) ? ConvAlgorithm::winograd : ConvAlgorithm::direct;
    best = {0, pass, algorithm, implementation_name(description), ms};
  }

  const NetworkSpec& spec_;
  int64_t images_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  SolutionTimer timer_;
  std::map<Key, BestPasses> known_;
};

// What a measured plan depends on: CPU, what we may use of it, threads, library, network, batch.
std::string training_plan_key(const NetworkSpec& spec, int64_t images, int threads) {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("training | {} | {} | {} threads | oneDNN {}.{}.{} | batch {} {:08x}", cpu_model_name(),
                     to_string(cpu_features()), threads, version->major, version->minor, version->patch, images,
                     crc32c(write_cfg(spec)));
}

std::optional<TrainingPlan> kept_plan(const std::filesystem::path& cache, const std::string& key,
                                      const NetworkSpec& spec) {
  const std::optional<std::string> text = read_cached_plan(cache, key);
  if (!text) return std::nullopt;
  try {
    return parse_training_plan(*text, spec);
  } catch (const Error& error) {
    log_warning("{}: the plan kept there is not used: {}", cache.string(), error.what());
    return std::nullopt;
  }
}

}  // namespace

double TrainingTuning::total_ms() const {
  double sum = 0;
  for (const PassTime& time : passes) sum += time.ms;
  return sum;
}

TrainingTuning tune_training(const NetworkSpec& spec, int64_t images, const std::string& precision, int threads) {
  const OpenMpThreads guard(threads_or_all(threads));
  const TrainingPlan rule = rule_training_plan(spec, precision);
  std::vector<Layout> layouts{rule.layout};
  if (rule.type == NumberType::bf16 && cpu_features().avx512) layouts = {Layout::channels_last, Layout::blocked16};
  Tuner tuner(spec, images);
  std::optional<TrainingTuning> best;
  for (const Layout layout : layouts) {
    TrainingPlan plan = rule;
    plan.layout = layout;
    TrainingTuning tuning = tuner.run(plan);
    if (!best || tuning.total_ms() < best->total_ms()) best = std::move(tuning);
  }
  return std::move(*best);
}

double time_training(const NetworkSpec& spec, int64_t images, const TrainingPlan& plan, int threads) {
  Weights weights = random_weights(spec), gradients = zero_weights(spec);
  std::vector<TrainingTensor> tensors;
  std::vector<float*> into;
  for (size_t i = 0; i < weights.tensors.size(); ++i) {  // O,I,H,W for O,H,W,I: other numbers, the same work
    tensors.push_back({weights.tensors[i].data(), nullptr});
    into.push_back(gradients.tensors[i].data());
  }
  TrainingEngine engine(spec, std::move(tensors), {.plan = plan, .threads = threads});
  Tensor pictures({images, spec.input.channels, spec.input.height, spec.input.width});
  Rng rng(1);
  for (float& value : pictures.values()) value = static_cast<float>(rng.uniform());
  std::vector<double> runs;
  for (int run = 0; run < 4; ++run) {
    engine.parameters_changed();
    double ms = 0;
    for (const StepTime& step : engine.profile(pictures.data(), images, spec.input.height, spec.input.width, into)) {
      ms += step.ms;
    }
    if (run > 0) runs.push_back(ms);
  }
  std::ranges::sort(runs);
  return runs[runs.size() / 2];
}

TrainingPlan choose_training_plan(const NetworkSpec& spec, int64_t images, const std::string& precision, int threads,
                                  bool tune) {
  const auto plan_of = [&](const std::string& type) {
    return tune ? tune_training(spec, images, type, threads).plan : rule_training_plan(spec, type);
  };
  if (precision != "auto") return plan_of(precision);
  if (!cpu_computes_bf16()) return plan_of("f32");
  const std::filesystem::path cache = plan_cache_path();
  const std::string key = training_plan_key(spec, images, threads_or_all(threads));
  if (!tune) {
    if (const std::optional<TrainingPlan> kept = kept_plan(cache, key, spec)) return *kept;
  }
  log_info("measuring whether this CPU trains the network faster in bf16 or in f32{}",
           tune            ? std::string()
           : cache.empty() ? std::string(" (each time: neither HOME nor YOLOV3_CACHE says where to keep it)")
                           : " (once; kept in " + cache.string() + ")");
  std::optional<TrainingPlan> best;
  double least = std::numeric_limits<double>::infinity();
  for (const char* type : {"bf16", "f32"}) {
    try {
      TrainingPlan plan = plan_of(type);
      const double ms = time_training(spec, images, plan, threads);
      log_info("{}: {:.0f} ms a batch of {}", type, ms, images);
      if (ms < least) best = std::move(plan);
      least = std::min(least, ms);
    } catch (const Error& error) {  // what the one cannot do, the other may
      log_info("{}: {}", type, error.what());
    }
  }
  if (!best) return rule_training_plan(spec, "f32");  // whoever uses it is told what is the matter
  if (!tune) write_cached_plan(cache, key, write_training_plan(*best));
  return *best;
}

}  // namespace yolov3
