// Metrics for people and for programs.
#pragma once

#include <string>
#include <vector>

#include "eval/metrics.h"

namespace yolov3 {

// The per class table with an `all` row first.
std::string metrics_table(const Metrics& metrics, const std::vector<std::string>& names);

// docs/design: {"images":..,"objects":..,"coco":{"AP":..},"voc":{..},"classes":[..]}; null where there is no truth.
std::string metrics_json(const Metrics& metrics, const std::vector<std::string>& names);

}  // namespace yolov3
