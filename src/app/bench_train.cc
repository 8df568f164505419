#include "app/bench_train.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "app/options.h"
#include "app/program.h"
#include "app/program_facts.h"
#include "app/report_file.h"
#include "base/cpu.h"
#include "base/log.h"
#include "engine/training_tune.h"
#include "net/shape.h"
#include "train/measure.h"

namespace yolov3 {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kWarmup = 2, kSteps = 7;

bool is_conv_pass(const StepTime& step) {
  return step.kind == "convolution" || step.kind == "data gradient" || step.kind == "kernel gradient";
}

struct Figures {
  const NetworkSpec& spec;
  const BenchTrainChoice& choice;
  TrainingMeasure measure;
  TrainingTuning limit;  // empty: not measured

  double step_ms() const { return median_total(measure.steps); }
  double conv_ms() const {
    double sum = 0;
    for (const StepTime& step : measure.passes) sum += is_conv_pass(step) ? step.ms : 0;
    return sum;
  }
};

std::map<std::pair<int, std::string>, double> limits_of(const Figures& f) {
  std::map<std::pair<int, std::string>, double> limits;
  for (const PassTime& pass : f.limit.passes) limits[{pass.layer, pass.pass}] = pass.ms;
  return limits;
}

std::string part_lines(const Figures& f) {
  const StepParts parts = median(f.measure.steps);
  const double whole = f.step_ms();
  std::string out = fmt::format("\n{:<28} {:>9} {:>7}\n", "part of a step (medians)", "ms", "share");
  const auto line = [&](const char* name, double ms) {
    out += fmt::format("{:<28} {:>9.1f} {:>6.1f}%\n", name, ms, 100 * ms / whole);
  };
  line("forward", parts.forward);
  line("loss", parts.loss);
  line("backward", parts.backward);
  line("gradient norm", parts.norm);
  line("optimizer", parts.update);
  line("whole step", whole);
  out += fmt::format("{:.2f} images/s, {:.0f} ms an image; loss {:.3f} -> {:.3f} over {} steps on one batch\n",
                     1000.0 * f.choice.options.batch / whole, whole / f.choice.options.batch, f.measure.first_loss,
                     f.measure.last_loss, f.measure.steps.size() + kWarmup);
  return out;
}

std::string kind_lines(const Figures& f) {
  std::vector<std::string> order;
  std::map<std::string, std::pair<double, double>> sums;  // ms, limit
  const auto limits = limits_of(f);
  for (const StepTime& step : f.measure.passes) {
    if (!sums.contains(step.kind)) order.push_back(step.kind);
    auto& [ms, limit] = sums[step.kind];
    ms += step.ms;
    const auto found = limits.find({step.layer, step.kind});
    if (found != limits.end()) limit += found->second;
  }
  std::string out = fmt::format("\n{:<28} {:>9} {:>9} {:>7}\n", "kind of pass (one step)", "ms", "alone", "reached");
  double all = 0;
  for (const std::string& kind : order) {
    const auto& [ms, limit] = sums[kind];
    all += ms;
    out += fmt::format("{:<28} {:>9.1f}", kind, ms);
    if (limit > 0) out += fmt::format(" {:>9.1f} {:>6.0f}%", limit, 100 * limit / ms);
    out += "\n";
  }
  out += fmt::format("{:<28} {:>9.1f}\n", "all passes", all);
  const double conv = f.conv_ms();
  out += fmt::format(
      "\nconvolution passes: {:.1f} ms here, {:.1f} ms each alone with its numbers in the cache: {:.0f}% of that "
      "limit\n",
      conv, f.limit.total_ms(), 100 * f.limit.total_ms() / conv);
  return out;
}

std::string layer_lines(const Figures& f) {
  const auto limits = limits_of(f);
  std::map<int, std::map<std::string, double>> layers;
  for (const StepTime& step : f.measure.passes) layers[step.layer][step.kind] += step.ms;
  std::string out = fmt::format("\n{:>5} {:<26} {:>17} {:>17} {:>17} {:>9} {:>8}\n", "layer", "", "forward (alone)",
                                "data (alone)", "kernel (alone)", "norm", "other");
  for (const auto& [layer, kinds] : layers) {
    const Layer& l = f.spec.layers.at(static_cast<size_t>(layer));
    const auto* conv = std::get_if<Conv>(&l.op);
    const std::string what =
        conv != nullptr ? fmt::format("{0}x{0}/{1} {2}>{3}", conv->size, conv->stride,
                                      input_shape(f.spec, static_cast<size_t>(layer)).channels, to_string(l.out))
                        : layer_kind(l) + " " + to_string(l.out);
    double other = 0, norm = 0;
    std::string passes;
    for (const auto& [kind, ms] : kinds) {
      if (kind.starts_with("batch norm")) {
        norm += ms;
      } else if (kind != "convolution" && kind != "data gradient" && kind != "kernel gradient") {
        other += ms;
      }
    }
    for (const char* kind : {"convolution", "data gradient", "kernel gradient"}) {
      const auto found = limits.find({layer, kind});
      passes += kinds.contains(kind)
                    ? fmt::format(" {:>8.2f} ({:>6.2f})", kinds.at(kind), found == limits.end() ? 0.0 : found->second)
                    : fmt::format(" {:>17}", "");
    }
    out += fmt::format("{:>5} {:<26}{} {:>9.2f} {:>8.2f}\n", layer, what, passes, norm, other);
  }
  return out;
}

std::string heading(const Figures& f) {
  const TrainOptions& o = f.choice.options;
  const Json facts = program_facts();
  std::string out;
  if (build_type() != "Release") {
    out += fmt::format("WARNING: a {} build; times mean little without -DCMAKE_BUILD_TYPE=Release\n", build_type());
  }
  out += fmt::format("network    {}, {}x{}, {} classes, training, {:.2f} GFLOP an image forwards\n", f.choice.model,
                     f.spec.input.width, f.spec.input.height, class_count(f.spec), network_flops(f.spec) / 1e9);
  out += fmt::format("engine     --engine {}, --precision {}, batch {}, threads {}, {}\n", o.engine, o.precision,
                     o.batch, o.threads > 0 ? o.threads : available_cpus(), o.optimizer);
  for (const std::string& line : f.measure.description) out += "           " + line + "\n";
  out += fmt::format("CPU        {}; {}\n", facts["cpu"].get<std::string>(), facts["cpu_features"].get<std::string>());
  return out + fmt::format("build      {}, {}; {}\n", build_type(), facts["compiler"].get<std::string>(),
                           facts["libraries"].get<std::string>());
}

// docs/bench.md has the keys.
std::string json_of(const Figures& f) {
  const StepParts parts = median(f.measure.steps);
  Json json = program_facts();
  json["batch"] = f.choice.options.batch;
  json["width"] = f.spec.input.width;
  json["height"] = f.spec.input.height;
  json["engine"] = f.choice.options.engine;
  json["precision"] = f.measure.precision;
  json["step_ms"] = f.step_ms();
  json["parts_ms"] = {{"forward", parts.forward},
                      {"loss", parts.loss},
                      {"backward", parts.backward},
                      {"gradient_norm", parts.norm},
                      {"optimizer", parts.update}};
  json["description"] = f.measure.description;
  if (!f.limit.passes.empty()) {
    json["convolution_passes_ms"] = f.conv_ms();
    json["convolution_limit_ms"] = f.limit.total_ms();
  }
  const auto limits = limits_of(f);
  json["passes"] = Json::array();
  for (const StepTime& step : f.measure.passes) {
    Json pass{{"layer", step.layer}, {"kind", step.kind}, {"ms", step.ms}};
    if (is_conv_pass(step)) {
      pass["algorithm"] = step.algorithm;
      pass["implementation"] = step.detail;
      const auto found = limits.find({step.layer, step.kind});
      if (found != limits.end()) pass["alone_ms"] = found->second;
    }
    json["passes"].push_back(std::move(pass));
  }
  return json.dump(1) + "\n";
}

}  // namespace

int run_bench_train(const NetworkSpec& spec, const BenchTrainChoice& choice) {
  check_report_file("--json", choice.json, ReportKind::json);
  Figures f{spec, choice, measure_training(spec, choice.options, kWarmup, choice.runs > 0 ? choice.runs : kSteps), {}};
  if (choice.passes && !f.measure.passes.empty()) {
    f.limit = tune_training(spec, choice.options.batch, f.measure.precision, choice.options.threads);
  }
  std::string table = heading(f) + part_lines(f);
  if (!f.limit.passes.empty()) table += kind_lines(f) + layer_lines(f);
  table = fit_for_terminal(table);
  if (choice.json == "-") {
    log_line(table);  // stdout is the JSON's
  } else {
    print(table);
  }
  if (!choice.json.empty()) write_text(choice.json, json_of(f));
  return 0;
}

}  // namespace yolov3
