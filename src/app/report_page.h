// What a training run or an evaluation came to, as one HTML file that needs no other: charts, tables, the worst cases as
// pictures, and how to repeat it. docs/report.md.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace yolov3 {

// Of a run directory, from the files in it. What is missing there is missing in the page. ended: it goes on no more,
// which its files do not say when it did not come to its last epoch.
std::string run_page(const std::filesystem::path& folder, bool ended = false);

struct EvaluationFacts {
  std::string title, lead;             // "best.h5 on voc/ (val)"
  std::vector<std::string> arguments;  // of `yolov3 eval`
  std::string options_toml;
  double images_per_second = 0;  // 0 = no model was run
  double peak_gb = 0;            // memory that the process held at most; 0 likewise
};

// report_json: of eval/report_data.h.
std::string evaluation_page(const EvaluationFacts& facts, const std::string& report_json);

// The words as one line for a shell.
std::string shell_line(const std::vector<std::string>& words);

// How to repeat a run of this folder; empty where it has no args.toml.
std::string repeat_command(const std::filesystem::path& folder);

// run_page() of a run that has ended into the folder's report.html; a failure costs a warning, never the run.
void write_run_page(const std::filesystem::path& folder);

}  // namespace yolov3
