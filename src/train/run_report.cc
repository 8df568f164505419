#include "train/run_report.h"

#include "base/files.h"

namespace yolov3 {

void write_run_report(const std::filesystem::path& directory, const Dataset& train, const Dataset& val,
                      const TrainOptions& options, const std::optional<Judgement>& judgement) {
  ReportData data{train.names, options.width, options.height, {}, judgement};
  data.splits["train"] = dataset_stats(train, options.width, options.height);
  if (options.validate) data.splits["val"] = dataset_stats(val, options.width, options.height);
  write_file(directory / "report.json", report_json(data, pictures_of(val)));
}

}  // namespace yolov3
