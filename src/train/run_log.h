// What a run says of itself while it goes: the live line, the epoch's line, TensorBoard events, results.csv, curves.
// A file that cannot be written (a full disk, a folder taken away) costs one warning, never the run.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "eval/metrics.h"
#include "train/run_directory.h"

namespace yolov3 {

struct StepRecord {
  int64_t step = 0;                             // updates done, this one included
  double lr = 0, giou = 0, conf = 0, prob = 0;  // losses of the update's last batch
};

// Of an epoch, without its validation.
struct SpeedRecord {
  double images_per_second = 0;
  double data_wait = 0;  // share of the time in which the loader was waited for
  double peak_bytes = 0; // that the process has held
};

class RunLog {
 public:
  // first_epoch: rows of results.csv from there on are of a run that was stopped later, and are written anew.
  RunLog(std::filesystem::path directory, int first_epoch);

  void step(const StepRecord& record);                  // events
  void epoch(const EpochRecord& record, int64_t step);  // events, csv, curves
  void speed(const SpeedRecord& record, int64_t step);  // events
  void picture(const std::string& name, int64_t step);  // events: a small copy of name.jpg of the run directory
  void pr_curves(const Metrics& metrics, const std::vector<std::string>& names, int64_t step);  // events

  // Runs `write`; false when it threw. The first failure of a kind is a warning, and so is the first after a success.
  bool attempt(const std::string& what, const std::function<void()>& write);

 private:
  void draw_curves() const;
  void events(const std::function<void(EventWriter&)>& write);  // and flush

  std::filesystem::path directory_;
  std::optional<EventWriter> events_;
  ResultsCsv csv_;
  std::set<std::string> failing_;
};

}  // namespace yolov3
