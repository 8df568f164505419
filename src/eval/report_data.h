// What report pages and `yolov3 board` show of a data set and an evaluation, as one JSON text: report.json of a run
// directory. docs/report.md lists its keys.
//
// Names go out as they are, bytes that are not UTF-8 as U+FFFD. Numbers of curves have four decimals, null is NaN.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/stats.h"
#include "eval/metrics.h"

namespace yolov3 {

struct JudgedPictures {
  std::function<std::string(int64_t picture)> name;
  std::function<Image(int64_t picture)> load;  // whole; may throw an Error; empty = the report has no pictures
};
JudgedPictures pictures_of(const Dataset& dataset);  // which must outlive it

struct Judgement {
  std::string split;
  std::optional<int> epoch;  // of a run, from 0
  Metrics metrics;
  Findings findings;
};

struct ReportData {
  std::vector<std::string> names;
  int net_width = 0, net_height = 0;  // 0 = not known: sizes are in pixels of the pictures
  std::map<std::string, DatasetStats> splits;
  std::optional<Judgement> judgement;
};

// A picture that cannot be read is left out; whatever else is wrong with it is no reason to lose the figures.
std::string report_json(const ReportData& data, const JudgedPictures& pictures);

}  // namespace yolov3
