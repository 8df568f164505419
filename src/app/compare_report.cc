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
  const std::string place =
      d.picture.empty() ? "" : fmt::format(" (channel {}, row {}, column {}, {})", d.channel, d.y, d.x, d.picture);
  return fmt::format("{:<28} largest {:.3e} of {:.3e}{}, distance {:.2e}\n", what, d.largest, d.magnitude, place,
                     d.distance);
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

constexpr size_t kBoxesInTable = 8;

// A class that only B has is -1.
std::string class_of(const CompareFigures& f, const ChangedBox& box) {
  const auto k = static_cast<size_t>(box.class_id);
  return box.class_id >= 0 && k < f.classes.size() ? f.classes[k] : std::string("(no class of A)");
}

std::string box_text(const Detection& d) {
  return fmt::format("{:.3f} at {:.1f},{:.1f},{:.1f},{:.1f}", d.score, d.box.x0, d.box.y0, d.box.x1, d.box.y1);
}

std::string changed_text(const CompareFigures& f, const std::vector<ChangedBox>& changed) {
  std::string out;
  for (size_t i = 0; i < std::min(changed.size(), kBoxesInTable); ++i) {
    const ChangedBox& box = changed[i];
    const std::string what = box.a && box.b
                                 ? fmt::format("A {}, B {}, IoU {:.3f}", box_text(*box.a), box_text(*box.b), box.iou)
                                 : fmt::format("only in {}: {}", box.a ? "A" : "B", box_text(box.a ? *box.a : *box.b));
    out += fmt::format("  {:<26} {}: {}\n", class_of(f, box), box.picture, what);
  }
  return out;
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

Json box_json(const std::optional<Detection>& d) {
  if (!d) return nullptr;
  return {{"score", d->score}, {"box", {d->box.x0, d->box.y0, d->box.x1, d->box.y1}}};
}

Json changed_json(const CompareFigures& f, const std::vector<ChangedBox>& changed) {
  Json list = Json::array();
  for (const ChangedBox& box : changed) {
    list.push_back({{"picture", box.picture},
                    {"class_id", box.class_id},
                    {"class", class_of(f, box)},
                    {"a", box_json(box.a)},
                    {"b", box_json(box.b)},
                    {"iou", box.iou}});
  }
  return list;
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
  return fit_for_terminal(out + changed_text(f, boxes.changed) + metrics_text(f));
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
  json["boxes"]["changed"] = changed_json(f, boxes.changed);
  if (f.metrics_a) json["metrics"] = {{"a", metrics_json_of(*f.metrics_a)}, {"b", metrics_json_of(*f.metrics_b)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace yolov3
