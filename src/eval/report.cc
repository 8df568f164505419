#include "eval/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"

namespace yolov3 {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kNameColumns = 24;

// Characters of UTF-8 text, near enough its width on a terminal.
size_t text_columns(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string padded(const std::string& text, size_t columns) {
  return text + std::string(columns - std::min(columns, text_columns(text)), ' ');
}

std::string cell(std::optional<double> value) { return value ? fmt::format("{:.3f}", *value) : "-"; }

struct Row {
  std::string name;
  int64_t images, instances;
  std::optional<double> precision, recall, f1, threshold, ap50, ap;
};

std::string line(const Row& row, size_t columns) {
  return fmt::format("{} {:>7} {:>9} {:>6} {:>6} {:>6} {:>9} {:>6} {:>8}\n", padded(row.name, columns), row.images,
                     row.instances, cell(row.precision), cell(row.recall), cell(row.f1), cell(row.threshold),
                     cell(row.ap50), cell(row.ap));
}

Row class_row(const std::string& name, const ClassMetrics& c) {
  if (c.objects == 0) return {name, c.images, 0, {}, {}, {}, {}, {}, {}};
  return {name, c.images, c.objects, c.precision, c.recall, c.f1, c.threshold, c.ap50, c.ap};
}

Row all_row(const Metrics& metrics) {
  if (metrics.objects == 0) return {"all", metrics.images, 0, {}, {}, {}, {}, {}, {}};
  double f1 = 0;
  int64_t classes = 0;
  for (const ClassMetrics& c : metrics.classes) {
    f1 += c.f1;
    classes += c.objects > 0 ? 1 : 0;
  }
  return {.name = "all",
          .images = metrics.images,
          .instances = metrics.objects,
          .precision = metrics.precision,
          .recall = metrics.recall,
          .f1 = f1 / static_cast<double>(classes),
          .threshold = {},  // each class has its own
          .ap50 = metrics.coco.ap50,
          .ap = metrics.coco.ap};
}

Json value_or_null(std::optional<double> value) { return value ? Json(*value) : Json(nullptr); }

Json class_json(const std::string& name, const ClassMetrics& c) {
  const auto judged = [&](double value) { return c.objects > 0 ? Json(value) : Json(nullptr); };
  return {{"class", name},
          {"objects", c.objects},
          {"AP", value_or_null(c.ap)},
          {"AP50", value_or_null(c.ap50)},
          {"precision", judged(c.precision)},
          {"recall", judged(c.recall)},
          {"f1", judged(c.f1)},
          {"threshold", judged(c.threshold)}};
}

Json coco_json(const CocoFigures& f) {
  return {{"AP", value_or_null(f.ap)},        {"AP50", value_or_null(f.ap50)},     {"AP75", value_or_null(f.ap75)},
          {"APs", value_or_null(f.ap_small)}, {"APm", value_or_null(f.ap_medium)}, {"APl", value_or_null(f.ap_large)},
          {"AR1", value_or_null(f.ar1)},      {"AR10", value_or_null(f.ar10)},     {"AR100", value_or_null(f.ar100)},
          {"ARs", value_or_null(f.ar_small)}, {"ARm", value_or_null(f.ar_medium)}, {"ARl", value_or_null(f.ar_large)}};
}

void check_names(const Metrics& metrics, const std::vector<std::string>& names) {
  check(names.size() == metrics.classes.size(), "report: {} names for {} classes", names.size(),
        metrics.classes.size());
}

}  // namespace

std::string metrics_table(const Metrics& metrics, const std::vector<std::string>& names) {
  check_names(metrics, names);
  size_t columns = kNameColumns;
  for (const std::string& name : names) columns = std::max(columns, text_columns(name));
  std::string table = fmt::format("{} {:>7} {:>9} {:>6} {:>6} {:>6} {:>9} {:>6} {:>8}\n", padded("Class", columns),
                                  "Images", "Instances", "P", "R", "F1", "threshold", "mAP50", "mAP50-95");
  table += line(all_row(metrics), columns);
  for (size_t k = 0; k < names.size(); ++k) table += line(class_row(names[k], metrics.classes[k]), columns);
  const CocoFigures& f = metrics.coco;
  table += fmt::format("COCO  AP {}  AP50 {}  AP75 {}  small {}  medium {}  large {}\n", cell(f.ap), cell(f.ap50),
                       cell(f.ap75), cell(f.ap_small), cell(f.ap_medium), cell(f.ap_large));
  table += fmt::format("      AR1 {}  AR10 {}  AR100 {}  small {}  medium {}  large {}\n", cell(f.ar1), cell(f.ar10),
                       cell(f.ar100), cell(f.ar_small), cell(f.ar_medium), cell(f.ar_large));
  table += fmt::format("VOC   AP50 area {}  11 points {}\n", cell(metrics.voc_area), cell(metrics.voc_11point));
  return table;
}

std::string metrics_json(const Metrics& metrics, const std::vector<std::string>& names) {
  check_names(metrics, names);
  Json json = {{"images", metrics.images}, {"objects", metrics.objects}, {"coco", coco_json(metrics.coco)}};
  json["voc"] = {{"AP50_area", value_or_null(metrics.voc_area)}, {"AP50_11point", value_or_null(metrics.voc_11point)}};
  json["classes"] = Json::array();
  for (size_t k = 0; k < names.size(); ++k) json["classes"].push_back(class_json(names[k], metrics.classes[k]));
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace yolov3
