#include "app/compare_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/program.h"

namespace yolov3 {
namespace {

using Json = nlohmann::ordered_json;

// ---- for people

std::string map_line(const std::string& what, const MapDifference& d) {
  return fmt::format("{:<28} largest {:.3e} of {:.3e} (channel {}, row {}, column {}, {}), distance {:.2e}\n", what,
                     d.largest, d.magnitude, d.channel, d.y, d.x, d.picture, d.distance);
}

std::string layer_name(const NetworkSpec& spec, int layer) {
  return fmt::format("layer {} ({})", layer, layer_kind(spec.layers.at(static_cast<size_t>(layer))));
}

std::string layers_text(const Comparer& comparer, const NetworkSpec& spec, double tolerance) {
  if (comparer.layers().empty()) {
    return fmt::format("layers                       not compared: {}\n",
                       comparer.no_layers().empty() ? "no picture was looked at" : comparer.no_layers());
  }
  if (const auto first = comparer.first_layer()) {
    return map_line("first that differs: " + layer_name(spec, first->layer), *first);
  }
  const MapDifference worst = *std::ranges::max_element(comparer.layers(), {}, &MapDifference::distance);
  return fmt::format("layers                       none of {} is farther away than {:.2e}; the farthest:\n",
                     comparer.layers().size(), tolerance) +
         map_line("  " + layer_name(spec, worst.layer), worst);
}

std::string metrics_text(const CompareFigures& f) {
  if (!f.metrics_a) return "";
  const auto row = [](const char* name, std::optional<double> a, std::optional<double> b) {
    if (!a || !b) return fmt::format("{:<28} no truth to judge by\n", name);
    return fmt::format("{:<28} A {:.4f}  B {:.4f}  difference {:+.4f}\n", name, *a, *b, *b - *a);
  };
  return row("mAP50", f.metrics_a->coco.ap50, f.metrics_b->coco.ap50) +
         row("mAP50-95", f.metrics_a->coco.ap, f.metrics_b->coco.ap);
}

// ---- for programs

Json map_json(const MapDifference& d) {
  return {{"layer", d.layer},
          {"largest", d.largest},
          {"magnitude", d.magnitude},
          {"distance", d.distance},
          {"picture", d.picture},
          {"channel", d.channel},
          {"y", d.y},
          {"x", d.x}};
}

Json metrics_json_of(const Metrics& metrics) {
  const auto value = [](std::optional<double> v) { return v ? Json(*v) : Json(nullptr); };
  return {{"AP50", value(metrics.coco.ap50)}, {"AP", value(metrics.coco.ap)}};
}

}  // namespace

std::string compare_table(const CompareFigures& f, const Comparer& comparer, const NetworkSpec& spec) {
  std::string out = fmt::format("A  {}\nB  {}\n{} pictures\n", f.name_a, f.name_b, comparer.pictures());
  if (!comparer.same_heads()) out += "raw maps                     not compared: the heads have other shapes\n";
  for (const MapDifference& d : comparer.heads()) out += map_line(fmt::format("raw map of layer {}", d.layer), d);
  out += layers_text(comparer, spec, f.tolerance);
  const BoxDifferences& boxes = comparer.boxes();
  out += fmt::format(
      "boxes                        {} equal (IoU > 0.95, score within 0.01), {} moved, {} only in A, {} only in B\n",
      boxes.equal, boxes.moved, boxes.only_a, boxes.only_b);
  if (boxes.equal + boxes.moved > 0) {
    out += fmt::format("                             least IoU {:.4f}{}, largest difference of scores {:.4f}{}\n",
                       boxes.worst_iou, boxes.worst_iou_picture.empty() ? "" : " in " + boxes.worst_iou_picture,
                       boxes.worst_score, boxes.worst_score_picture.empty() ? "" : " in " + boxes.worst_score_picture);
  }
  return fit_for_terminal(out + metrics_text(f));
}

std::string compare_json(const CompareFigures& f, const Comparer& comparer) {
  Json json{{"a", f.name_a}, {"b", f.name_b}, {"pictures", comparer.pictures()}, {"tolerance", f.tolerance}};
  json["raw_maps"] = Json::array();
  for (const MapDifference& d : comparer.heads()) json["raw_maps"].push_back(map_json(d));
  json["layers"] = Json::array();
  for (const MapDifference& d : comparer.layers()) json["layers"].push_back(map_json(d));
  const auto first = comparer.first_layer();
  json["first_layer"] = first ? Json(first->layer) : Json(nullptr);
  const BoxDifferences& boxes = comparer.boxes();
  json["boxes"] = {{"equal", boxes.equal},   {"moved", boxes.moved},         {"only_a", boxes.only_a},
                   {"only_b", boxes.only_b}, {"least_iou", boxes.worst_iou}, {"largest_score", boxes.worst_score}};
  if (f.metrics_a) json["metrics"] = {{"a", metrics_json_of(*f.metrics_a)}, {"b", metrics_json_of(*f.metrics_b)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace yolov3
