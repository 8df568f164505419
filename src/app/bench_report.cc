#include "app/bench_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/program_facts.h"
#include "base/text.h"
#include "net/shape.h"

namespace yolov3 {
namespace {

using Json = nlohmann::ordered_json;

const Layer* layer_of(const BenchFigures& f, const StepTime& step) {
  return step.layer < 0 ? nullptr : &f.bench_case->spec.layers.at(static_cast<size_t>(step.layer));
}

struct StepShape {
  std::string in, out, kernel;
};

StepShape shape_of(const BenchFigures& f, const StepTime& step) {
  const Layer* layer = layer_of(f, step);
  if (layer == nullptr) return {};
  StepShape shape{to_string(input_shape(f.bench_case->spec, static_cast<size_t>(step.layer))), to_string(layer->out),
                  ""};
  const auto* conv = std::get_if<Conv>(&layer->op);
  if (conv == nullptr || !is_convolution(step)) return shape;
  shape.kernel = fmt::format("{0}x{0}/{1}", conv->size, conv->stride);
  if (conv->groups > 1) shape.kernel += fmt::format(" g{}", conv->groups);
  return shape;
}

// Of the measured peak of its number type; 0 = not known.
double share_of_peak(const BenchFigures& f, const StepTime& step) {
  for (const Peak& peak : f.peaks) {
    if (peak.type == step.type && peak.gflop_per_s > 0 && is_convolution(step)) {
      return gflop_per_s(step) / peak.gflop_per_s;
    }
  }
  return 0;
}

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

// Everything that is no convolution: the passes, input and output, decode and NMS.
double outside_share(const BenchFigures& f) {
  const StepSums sums = sums_of(f.steps);
  const double outside = sums.passes + sums.input_output + f.stages.boxes.median;
  return ratio(outside, sums.all() + f.stages.boxes.median);
}

// ---- for people

std::string percent(double share) { return fmt::format("{:.1f}%", 100 * share); }

std::string heading(const BenchFigures& f) {
  const BenchCase& c = *f.bench_case;
  const Json facts = program_facts();
  std::string out;
  if (build_type() != "Release") {
    out += fmt::format("WARNING: a {} build; times mean little without -DCMAKE_BUILD_TYPE=Release\n", build_type());
  }
  out += fmt::format("network    {}, {}x{}, {} classes, {}, {:.2f} GFLOP an image\n", c.model, c.spec.input.width,
                     c.spec.input.height, class_count(c.spec), c.weights_from, network_flops(c.spec) / 1e9);
  out += fmt::format("engine     {} (--engine {}, --precision {}, --plan {}), batch {}, threads {}\n", f.engine,
                     f.asked.kind, f.asked.precision, f.asked.plan, f.batch, f.threads);
  for (const std::string& line : f.description) out += "           " + line + "\n";
  out += fmt::format("CPU        {}; {}\n", facts["cpu"].get<std::string>(), facts["cpu_features"].get<std::string>());
  out += fmt::format("build      {}, {}; {}\n", build_type(), facts["compiler"].get<std::string>(),
                     facts["libraries"].get<std::string>());
  return out + fmt::format("picture    {}, {}\n", c.picture_from, human_bytes(static_cast<double>(c.picture.size())));
}

std::string stage_line(const char* name, const Spread& s) {
  return fmt::format("{:<36} {:>9.3f} {:>9.3f} {:>9.3f}\n", name, s.median, s.min, s.max);
}

std::string stage_table(const BenchFigures& f) {
  const StageTimes& s = f.stages;
  const std::string unit = f.batch == 1 ? "an image" : fmt::format("a batch of {}", f.batch);
  std::string out = fmt::format("\n{:<36} {:>9} {:>9} {:>9}\n",
                                fmt::format("ms {}, {} runs", unit, s.network_ms.size()), "median", "min", "max");
  out += stage_line("decode the picture", s.decode) + stage_line("letterbox", s.letterbox) +
         stage_line("network", s.network) + stage_line("boxes (decode, NMS)", s.boxes) +
         stage_line("end to end, picture to boxes", s.end_to_end);
  out += fmt::format("{:.2f} images/s by the network alone, {:.2f} end to end ({:+.1f}% time); {} boxes found\n",
                     f.images_per_s(), ratio(1e3 * f.batch, s.end_to_end.median),
                     100 * (ratio(s.end_to_end.median, s.network.median) - 1), s.found);
  if (f.throughput) {
    out += fmt::format("{} engines side by side, one thread each: {:.2f} images/s, {:.2f} times as many\n",
                       f.throughput->engines, f.throughput->images_per_s(),
                       ratio(f.throughput->images_per_s(), f.images_per_s()));
  }
  return out;
}

std::string step_line(const BenchFigures& f, const StepTime& step) {
  const StepShape shape = shape_of(f, step);
  const std::string layer = step.layer < 0 ? "-" : fmt::format("{}", step.layer);
  const std::string rate = is_convolution(step) ? fmt::format("{:.1f}", gflop_per_s(step)) : "";
  const double peak = share_of_peak(f, step);
  std::string line = fmt::format("{:>5}  {:<24} {:>13} {:>2} {:<13} {:<8} {:<9} {:<5} {:>8.3f} {:>8} {:>8} {:>6}  {}",
                                 layer, step.kind, shape.in, shape.out.empty() ? "" : "->", shape.out, shape.kernel,
                                 step.algorithm, step.type, step.ms, rate, percent(ratio(step.ms, f.network_ms())),
                                 peak > 0 ? percent(peak) : "", step.detail);
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string step_table(const BenchFigures& f) {
  if (f.steps.empty()) return f.no_steps.empty() ? "" : fmt::format("\nno times of single steps: {}\n", f.no_steps);
  std::string out = fmt::format("\n{:>5}  {:<24} {:>13} {:>2} {:<13} {:<8} {:<9} {:<5} {:>8} {:>8} {:>8} {:>6}  {}\n",
                                "layer", "step", "in", "", "out", "kernel", "algorithm", "type", "ms", "GFLOP/s",
                                "network", "peak", "library");
  for (const StepTime& step : f.steps) out += step_line(f, step);
  const StepSums sums = sums_of(f.steps);
  out += fmt::format("\nsum of the steps {:.2f} ms; the network as a whole {:.2f} ms\n", sums.all(), f.network_ms());
  out += fmt::format("convolutions {:.2f} ms, passes outside them {:.2f} ms, input and output {:.2f} ms: {} outside\n",
                     sums.convolutions, sums.passes, sums.input_output,
                     percent(ratio(sums.passes + sums.input_output, sums.all())));
  out += fmt::format("outside the convolutions, decode and NMS included: {}\n", percent(outside_share(f)));
  for (const Peak& peak : f.peaks) {
    out += fmt::format("peak {}: {:.1f} GFLOP/s, the library's fastest direct convolution seen here ({})\n", peak.type,
                       peak.gflop_per_s, peak.from);
  }
  return out + "GFLOP/s count the direct algorithm: Winograd does fewer operations and may pass 100% of the peak\n";
}

// ---- for programs

Json json_of(const Spread& s) { return {{"median", s.median}, {"min", s.min}, {"max", s.max}}; }

Json json_of_step(const BenchFigures& f, const StepTime& step) {
  const StepShape shape = shape_of(f, step);
  return {{"layer", step.layer},
          {"kind", step.kind},
          {"in", shape.in},
          {"out", shape.out},
          {"kernel", shape.kernel},
          {"algorithm", step.algorithm},
          {"type", step.type},
          {"library", step.detail},
          {"ms", step.ms},
          {"gflop", step.gflop},
          {"gflop_per_s", is_convolution(step) ? gflop_per_s(step) : 0},
          {"share_of_network", ratio(step.ms, f.network_ms())},
          {"share_of_peak", share_of_peak(f, step)}};
}

Json json_of_steps(const BenchFigures& f) {
  Json json;
  json["steps"] = Json::array();
  for (const StepTime& step : f.steps) json["steps"].push_back(json_of_step(f, step));
  json["no_steps"] = f.no_steps;
  json["peaks"] = Json::object();
  for (const Peak& peak : f.peaks) json["peaks"][peak.type] = {{"gflop_per_s", peak.gflop_per_s}, {"from", peak.from}};
  if (f.steps.empty()) return json;
  const StepSums sums = sums_of(f.steps);
  json["sums"] = {{"steps_ms", sums.all()},
                  {"convolutions_ms", sums.convolutions},
                  {"passes_ms", sums.passes},
                  {"input_output_ms", sums.input_output},
                  {"outside_convolutions", ratio(sums.passes + sums.input_output, sums.all())},
                  {"outside_convolutions_with_boxes", outside_share(f)}};
  return json;
}

}  // namespace

double BenchFigures::images_per_s() const { return ratio(1e3 * batch, stages.network.median); }

std::string bench_table(const BenchFigures& figures) {
  return heading(figures) + stage_table(figures) + step_table(figures);
}

std::string bench_json(const BenchFigures& f) {
  const BenchCase& c = *f.bench_case;
  const StageTimes& s = f.stages;
  Json json;
  json["program"] = program_facts();
  json["model"] = {{"name", c.model},
                   {"weights", c.weights_from},
                   {"input", {c.spec.input.width, c.spec.input.height}},
                   {"classes", class_count(c.spec)},
                   {"gflop", network_flops(c.spec) / 1e9}};
  json["engine"] = {{"name", f.engine},
                    {"asked", f.asked.kind},
                    {"precision", f.asked.precision},
                    {"plan", f.asked.plan},
                    {"description", f.description}};
  json["batch"] = f.batch;
  json["threads"] = f.threads;
  json["runs"] = s.network_ms.size();
  json["network_ms"] = f.network_ms();
  json["network_runs_ms"] = s.network_ms;
  json["images_per_s"] = f.images_per_s();
  json["stages"] = {{"decode", json_of(s.decode)},
                    {"letterbox", json_of(s.letterbox)},
                    {"network", json_of(s.network)},
                    {"boxes", json_of(s.boxes)},
                    {"end_to_end", json_of(s.end_to_end)}};
  json["end_to_end_over_network"] = ratio(s.end_to_end.median, s.network.median) - 1;
  json["boxes_found"] = s.found;
  json.update(json_of_steps(f));
  if (f.throughput) {
    json["throughput"] = {{"engines", f.throughput->engines},
                          {"images", f.throughput->images},
                          {"seconds", f.throughput->seconds},
                          {"images_per_s", f.throughput->images_per_s()}};
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace yolov3
