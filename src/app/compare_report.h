// What `compare` says: a table for people, JSON for programs (docs/formats.md).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/compare_models.h"
#include "eval/metrics.h"

namespace yolov3 {

struct CompareFigures {
  std::string name_a, name_b;
  std::vector<std::string> classes;             // A's
  double tolerance = 0;                         // of layers
  std::optional<Metrics> metrics_a, metrics_b;  // where there is truth
};

std::string compare_table(const CompareFigures& figures, const Comparer& comparer, const NetworkSpec& spec);
std::string compare_json(const CompareFigures& figures, const Comparer& comparer);

}  // namespace yolov3
