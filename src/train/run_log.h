// What a run says of itself while it goes: the epoch's line, TensorBoard events, results.csv, curves.
// A file that cannot be written (a full disk, a folder that is read-only) costs one warning, never the run; a folder that
// was taken away is made again.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "eval/metrics.h"
#include "train/position.h"
#include "train/run_directory.h"

namespace yolov3 {

struct StepRecord {
  int64_t step = 0;                             // updates done, this one included
  double lr = 0, giou = 0, conf = 0, prob = 0;  // losses of the update's last batch
};

// Of an epoch in this process, without its validation.
struct SpeedRecord {
  int64_t images = 0;
  double seconds = 0, wait_seconds = 0;  // wait: for the loader
};

// The record of an epoch that is trained and not judged yet.
EpochRecord training_record(const RunPosition& position, double lr);

// What the epoch's line says beside its record.
struct EpochSpeed {
  int epochs = 0;  // of the run; 0: not known, the time decides
  int64_t images = 0;
  double train_seconds = 0, wait_seconds = 0;  // wait: for the loader
  double seconds = 0;                          // with validation
  bool best = false;
};
std::string describe_epoch(const EpochRecord& record, const EpochSpeed& speed);
std::string describe_step(const StepRecord& step);  // losses and rate, for the live line

// What the model files of an epoch say of it. over: why the run ends with it, empty when it does not.
std::map<std::string, std::string> model_facts(const EpochRecord& record, const RunPosition& position,
                                               const std::string& over, const std::string& data);

class RunLog {
 public:
  // writes: false for a rank that is not the first: every call then does nothing.
  explicit RunLog(std::filesystem::path directory, bool writes = true);

  // The run goes on at `position`, whose checkpoint had these results (nothing: results.csv itself is asked): rows and
  // events from there on are of steps that are lost, and are written anew.
  void go_on(const RunPosition& position, const std::optional<std::string>& results);

  void step(const StepRecord& record);                  // events
  void epoch(const EpochRecord& record, int64_t step);  // events, csv, curves
  void speed(const SpeedRecord& record, int64_t step);  // events
  void picture(const std::string& name, int64_t step);  // events: a small copy of name.jpg of the run directory
  void pr_curves(const Metrics& metrics, const std::vector<std::string>& names, int64_t step);  // events
  std::string results() const { return csv_.text(); }
  const std::vector<EpochRecord>& records() const { return csv_.records(); }

  // Runs `write`; false when it threw. The first failure of a kind is a warning, and so is the first after a success.
  bool attempt(const std::string& what, const std::function<void()>& write);
  std::string why_failing(const std::string& what) const;  // of its last attempt; empty where that went well

 private:
  void write_events(const std::function<void(EventWriter&)>& write);
  void draw_curves() const;

  std::filesystem::path directory_;
  bool writes_;
  std::optional<EventWriter> events_;
  ResultsCsv csv_;
  std::map<std::string, std::string> failing_;  // what, and why
};

}  // namespace yolov3
