// What a run's report page needs beside its curves: report.json of the run directory (eval/report_data.h).
#pragma once

#include <filesystem>
#include <optional>

#include "data/dataset.h"
#include "eval/report_data.h"
#include "train/options.h"

namespace yolov3 {

// `judgement`: of the best validation so far; nothing before the first. Its pictures are those of `val`.
void write_run_report(const std::filesystem::path& directory, const Dataset& train, const Dataset& val,
                      const TrainOptions& options, const std::optional<Judgement>& judgement);

}  // namespace yolov3
