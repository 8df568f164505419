// A run directory (docs/train.md) as the report and the board show it, read again and again while the run goes on.
//
// Memory is bounded whatever the files hold: curves by BoundedSeries, at most 24 of them, files by their size. What is
// missing is left out; what cannot be read is a line of `problems` for the page. Nothing of a folder is read but
// results.csv, args.toml, events.out.tfevents.*, report.json and the pictures named here. Threads: one at a time.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/bounded_series.h"
#include "app/run_table.h"
#include "format/event_reader.h"

namespace yolov3 {

inline constexpr std::array kRunPictures = {"train_batch0.jpg", "val_batch0_labels.jpg", "val_batch0_pred.jpg"};

// Holds at least one of the files that make a run.
bool is_run_folder(const std::filesystem::path& folder);

// The version of a file: its size and time of change. Empty where there is none.
std::string file_stamp(const std::filesystem::path& file);

// What a list of runs says of one. Reads results.csv and args.toml only.
struct RunSummary {
  int epochs = 0, epochs_done = 0;                            // epochs: wanted, 0 = not known
  double map50 = -1, map50_95 = -1, loss = -1, seconds = -1;  // of the best epoch; the last loss; -1 = not known
  double updated = 0;                                         // when anything was written last, seconds since 1970
  std::string state;                                          // finished, running, stopped
};
RunSummary summarize_run(const std::filesystem::path& folder, double now);
// `updated` and `state` alone, where the two files have not changed.
void refresh_state(const std::filesystem::path& folder, double now, RunSummary& run);

// Of args.toml: every option and its value as text. Nothing when it cannot be read.
using OptionTexts = std::vector<std::pair<std::string, std::string>>;
OptionTexts option_texts(const std::string& toml);
OptionTexts read_run_options(const std::filesystem::path& folder);

class RunReader {
 public:
  explicit RunReader(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // What was written since the last call.
  void refresh();
  // As docs/report.md describes /api/run, but for what only the board knows. `now`: seconds since 1970.
  nlohmann::ordered_json json(double now) const;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  void read_events();

  std::filesystem::path folder_;
  RunTable table_;
  std::string table_stamp_, table_problem_;
  std::vector<EventReader> events_;  // in the order of their names, which is that of time
  std::map<std::string, BoundedSeries, std::less<>> curves_;
};

// report.json of the folder, as it is; nothing where there is none. Errors: over 16 MB, no JSON object.
std::optional<std::string> read_report(const std::filesystem::path& folder);

}  // namespace yolov3
