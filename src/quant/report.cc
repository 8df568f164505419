#include "quant/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "quant/sensitivity.h"

namespace yolov3 {
namespace {

using Json = nlohmann::ordered_json;

std::string time_cell(std::optional<double> ms) { return ms ? fmt::format("{:.1f} ms", *ms) : "-"; }

// "3x3/2 conv, 64 filters"
std::string layer_text(const NetworkSpec& spec, int layer) {
  const auto& conv = std::get<Conv>(spec.layers[static_cast<size_t>(layer)].op);
  return fmt::format("{0}x{0}/{1} conv, {2} filters", conv.size, conv.stride, conv.filters);
}

size_t int8_layers(const NetworkSpec& spec, const Calibration& c) {
  return convolutions(spec).size() - c.quantization.float_layers.size();
}

// JSON has no infinity.
Json finite_or_null(std::optional<double> value) {
  return value && std::isfinite(*value) ? Json(*value) : Json(nullptr);
}

}  // namespace

std::string to_string(FloatReason reason) {
  switch (reason) {
    case FloatReason::first: return "reads the picture";
    case FloatReason::head: return "feeds a head";
    case FloatReason::sensitive: return "sensitive";
  }
  return "";
}

double int8_share(const NetworkSpec& spec, const Quantization& quantization) {
  double all = 0, in_float = 0;
  for (const int layer : convolutions(spec)) all += layer_flops(spec, static_cast<size_t>(layer));
  for (const int layer : quantization.float_layers) in_float += layer_flops(spec, static_cast<size_t>(layer));
  return all > 0 ? 1 - in_float / all : 0;
}

std::string calibration_table(const NetworkSpec& spec, const Calibration& c) {
  std::string out = fmt::format("{:<8} {:>8} {:>9} {:>12}  {}\n", "", "mAP50", "mAP50-95", "a picture", "engine");
  const auto row = [&](const char* name, double map50, double map, std::optional<double> ms,
                       const std::string& engine) {
    out += fmt::format("{:<8} {:>8.4f} {:>9.4f} {:>12}  {}\n", name, map50, map, time_cell(ms), engine);
  };
  row("f32", c.f32_map50, c.f32_map, c.f32_ms, c.f32_engine);
  row("int8", c.int8_map50, c.int8_map, c.int8_ms, c.int8_engine);
  out += fmt::format("drop {:.2f} points, allowed {:.2f}: {}\n", c.drop(), c.max_drop, c.passed ? "passed" : "FAILED");
  out += fmt::format("scales by {} from {} pictures, judged on {}\n", to_string(c.method), c.images, c.judged);
  out += fmt::format("int8: {} of {} convolutions, {:.1f}% of their operations\n", int8_layers(spec, c),
                     convolutions(spec).size(), 100 * int8_share(spec, c.quantization));
  for (const FloatLayer& layer : c.float_layers) {
    const std::string deviation =
        layer.deviation ? fmt::format(": int8 in it alone moves the raw maps by {:.3g}%", 100 * *layer.deviation) : "";
    out += fmt::format("  layer {:>3} in floating point ({}): {}{}\n", layer.layer, layer_text(spec, layer.layer),
                       to_string(layer.reason), deviation);
  }
  return out;
}

std::string calibration_json(const NetworkSpec& spec, const Calibration& c) {
  Json json{{"passed", c.passed},
            {"f32_AP50", c.f32_map50},
            {"int8_AP50", c.int8_map50},
            {"f32_AP", c.f32_map},
            {"int8_AP", c.int8_map},
            {"drop_points", c.drop()},
            {"max_drop_points", c.max_drop},
            {"method", to_string(c.method)},
            {"images", c.images},
            {"judged_images", c.judged},
            {"f32_engine", c.f32_engine},
            {"int8_engine", c.int8_engine},
            {"f32_ms", finite_or_null(c.f32_ms)},
            {"int8_ms", finite_or_null(c.int8_ms)},
            {"convolutions", convolutions(spec).size()},
            {"int8_convolutions", int8_layers(spec, c)},
            {"int8_share_of_flops", int8_share(spec, c.quantization)},
            {"float_layers", Json::array()}};
  for (const FloatLayer& layer : c.float_layers) {
    json["float_layers"].push_back(
        {{"layer", layer.layer}, {"reason", to_string(layer.reason)}, {"deviation", finite_or_null(layer.deviation)}});
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string calibration_summary(const NetworkSpec& spec, const Calibration& c) {
  return fmt::format("mAP50 {:.4f} of {:.4f} in f32; scales by {} from {} pictures; {} of {} convolutions in int8",
                     c.int8_map50, c.f32_map50, to_string(c.method), c.images, int8_layers(spec, c),
                     convolutions(spec).size());
}

}  // namespace yolov3
