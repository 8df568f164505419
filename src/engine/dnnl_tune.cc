#include "engine/dnnl_tune.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "base/checksum.h"
#include "base/cpu.h"
#include "base/error.h"
#include "engine/dnnl_program.h"
#include "net/cfg.h"

namespace yolov3 {
namespace {

constexpr int kWarmUps = 1, kTimedRuns = 5, kWholeRuns = 5;

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

// A plan and what it cost: a whole run, and each convolution with the passes that finish it. Milliseconds.
struct Measured {
  Plan plan;
  double whole_ms = std::numeric_limits<double>::infinity();
  std::vector<double> conv_ms;
};

// The convolution that each step belongs to; -1 for what stands by itself (upsampling, joining, output).
std::vector<int> owners(const std::vector<StepTime>& steps) {
  std::vector<int> owner(steps.size(), -1);
  int conv = -1;
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::string& kind = steps[i].kind;
    if (kind == "convolution") owner[i] = ++conv;
    if (kind == "conversion") owner[i] = conv + 1;  // made for the next one
    if (kind.starts_with("activation") || kind.starts_with("shortcut") || kind == "copy") owner[i] = conv;
  }
  return owner;
}

Measured measure(const std::shared_ptr<DnnlModel>& model, const Plan& plan) {
  DnnlProgram program(model, model->spec(), 1, plan);
  Tensor arena({(program.arena_bytes() + 3) / 4});
  program.place(reinterpret_cast<std::byte*>(arena.data()));
  for (int i = 0; i < kWarmUps; ++i) program.run();
  const std::vector<int> owner = owners(program.steps());
  std::vector<std::vector<double>> times(owner.size());
  for (int i = 0; i < kTimedRuns; ++i) {
    const std::vector<StepTime> steps = program.run_timed();
    for (size_t s = 0; s < steps.size(); ++s) times[s].push_back(steps[s].ms);
  }
  Measured measured{plan, 0, std::vector<double>(plan.convolutions.size(), 0.0)};
  for (size_t s = 0; s < owner.size(); ++s) {
    if (owner[s] >= 0 && static_cast<size_t>(owner[s]) < measured.conv_ms.size()) {
      measured.conv_ms[static_cast<size_t>(owner[s])] += median(times[s]);
    }
  }
  std::vector<double> whole;
  for (int i = 0; i < kWholeRuns; ++i) {
    const auto start = std::chrono::steady_clock::now();
    program.run();
    whole.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  measured.whole_ms = median(whole);
  return measured;
}

const Measured& faster(const Measured& a, const Measured& b) { return b.whole_ms < a.whole_ms ? b : a; }

Plan all_direct(Plan plan) {
  for (ConvChoice& choice : plan.convolutions) choice.algorithm = ConvAlgorithm::direct;
  return plan;
}

Measured best_f32(const std::shared_ptr<DnnlModel>& model) {
  const Plan rule = rule_plan(model->spec(), "f32", nullptr);
  const Measured winograd = measure(model, rule);
  if (rule == all_direct(rule)) {  // no Winograd here: only the layout is open
    Plan channels_last = rule;
    channels_last.f32_layout = Layout::channels_last;
    return faster(winograd, measure(model, channels_last));
  }
  const Measured direct = measure(model, all_direct(rule));
  Plan mixed = rule;
  for (size_t i = 0; i < mixed.convolutions.size(); ++i) {
    if (direct.conv_ms[i] < winograd.conv_ms[i]) mixed.convolutions[i].algorithm = ConvAlgorithm::direct;
  }
  if (mixed == rule || mixed == direct.plan) return faster(winograd, direct);
  return faster(faster(winograd, direct), measure(model, mixed));
}

Measured best_bf16(const std::shared_ptr<DnnlModel>& model) {
  Plan plan = rule_plan(model->spec(), "bf16", nullptr);
  const Measured first = measure(model, plan);
  if (cpu_features().amx) return first;  // tiles are there for channels_last only
  plan.bf16_layout = plan.bf16_layout == Layout::channels_last ? Layout::blocked16 : Layout::channels_last;
  return faster(first, measure(model, plan));
}

// bf16 where f32 does not save more than kConversionShare of the convolution's time, which is about what the wider maps
// around it cost.
Measured mixture(const std::shared_ptr<DnnlModel>& model, const Measured& f32, const Measured& bf16) {
  constexpr double kConversionShare = 0.05;
  if (block_of(f32.plan.f32_layout) == 1) return {};  // no Winograd: nothing that bf16 is not better at
  Plan plan = f32.plan;
  plan.bf16_layout = bf16.plan.bf16_layout;
  for (size_t i = 0; i < plan.convolutions.size(); ++i) {
    if (f32.conv_ms[i] > (1 - kConversionShare) * bf16.conv_ms[i]) plan.convolutions[i] = bf16.plan.convolutions[i];
  }
  if (plan.convolutions == f32.plan.convolutions || plan.convolutions == bf16.plan.convolutions) return {};
  return measure(model, plan);
}

Measured best_int8(const std::shared_ptr<DnnlModel>& model) {
  Plan plan = rule_plan(model->spec(), "int8", model->quantization());
  Measured best = measure(model, plan);
  if (!cpu_computes_bf16()) return best;
  Plan other = plan;  // the float layers in the other type
  for (ConvChoice& choice : other.convolutions) {
    if (choice.type != NumberType::s8) {
      choice.type = choice.type == NumberType::bf16 ? NumberType::f32 : NumberType::bf16;
    }
  }
  return other == plan ? best : faster(best, measure(model, other));
}

}  // namespace

Plan tune_plan(const std::shared_ptr<DnnlModel>& model, const std::string& precision) {
  if (precision == "int8") return best_int8(model).plan;
  if (precision == "bf16") return best_bf16(model).plan;
  const Measured f32 = best_f32(model);
  if (precision == "f32" || !cpu_computes_bf16()) return f32.plan;
  const Measured bf16 = best_bf16(model);
  return faster(faster(f32, bf16), mixture(model, f32, bf16)).plan;
}

std::string plan_key(const DnnlModel& model, const std::string& precision, int threads) {
  std::string network = write_cfg(model.spec());
  if (precision == "int8") network += fmt::format("{}", fmt::join(model.quantization()->float_layers, ","));
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("{} | {} | {} threads | oneDNN {}.{}.{} | {} | {}x{} {:08x}", cpu_model_name(),
                     to_string(cpu_features()), threads, version->major, version->minor, version->patch, precision,
                     model.spec().input.width, model.spec().input.height, crc32c(network));
}

}  // namespace yolov3
