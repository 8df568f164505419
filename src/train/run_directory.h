// The folder of a training run and the records in it: args.toml, results.csv, TensorBoard events, weights/, pictures.
// Nothing older is ever deleted; a run that is not resumed gets a folder of its own (exp, exp2, ...).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "format/events.h"

namespace yolov3 {

// project/name, or name2, name3, ... when that is taken. Made. Errors: the folder cannot be made.
std::filesystem::path make_run_directory(const std::filesystem::path& project, const std::string& name);

// One row an epoch; columns as docs/formats.md lists them.
struct EpochRecord {
  int epoch = 0;
  double seconds = 0;  // since the run began, over all resumes
  double box_loss = 0, obj_loss = 0, cls_loss = 0;
  double precision = 0, recall = 0, map50 = 0, map50_95 = 0;
  double val_box_loss = 0, val_obj_loss = 0, val_cls_loss = 0;
  double lr = 0;
  bool validated = false;  // without it the columns of metrics and val/ stay empty
};

// results.csv, rewritten whole and atomically after each epoch.
class ResultsCsv {
 public:
  explicit ResultsCsv(std::filesystem::path path) : path_(std::move(path)) {}

  // Of a run that goes on: the rows of an earlier text() of epochs below `end`; the file is not touched.
  void take_over(const std::string& text, int end);
  void add(const EpochRecord& record);
  std::string text() const;  // what the file holds, or would if it could be written
  const std::vector<EpochRecord>& records() const { return records_; }

 private:
  std::filesystem::path path_;
  std::vector<EpochRecord> records_;
};

// The same columns as TensorBoard scalars.
std::vector<std::pair<std::string, float>> epoch_scalars(const EpochRecord& record);

}  // namespace yolov3
