// The self-test before a long run: a network that cannot learn a few pictures by heart will not learn many. Trains on the
// first pictures that have objects, validates on the same, and explains a failure by what is known of their boxes, of the
// anchors and of how the losses went.
#pragma once

#include <string>
#include <vector>

#include "net/spec.h"
#include "train/options.h"
#include "train/overfit_defaults.h"
#include "train/run_directory.h"
#include "train/start.h"
#include "train/validate.h"

namespace yolov3 {

// Leaves the first options.overfit pictures of train that have objects, in val once and in train again and again, so
// that an epoch has kOverfitBatches batches. Errors: no picture has an object that is trained on.
void reduce_to_overfit(RunData& data, const TrainOptions& options);

class OverfitTest {
 public:
  // All must outlive it. data: reduced.
  OverfitTest(const RunData& data, const NetworkSpec& spec, const TrainOptions& options);

  void go_on(const std::vector<EpochRecord>& before) { records_ = before; }  // what a resumed run has behind it
  void add(const EpochRecord& record, const Validation& validation);         // after each epoch
  bool passed() const;
  std::string verdict() const;  // what was reached; where that is not enough, what may be wrong and what to try

 private:
  std::vector<std::string> findings() const;
  void find_in_boxes(std::vector<std::string>& found) const;
  void find_in_losses(std::vector<std::string>& found) const;
  void find_in_classes(std::vector<std::string>& found) const;

  const RunData& data_;
  const NetworkSpec& spec_;
  const TrainOptions& options_;
  std::vector<EpochRecord> records_;
  Validation last_;
};

}  // namespace yolov3
