// Validation inside a training run: the weights as they are, on the val split; loss and metrics in one pass.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "data/dataset.h"
#include "engine/torch_network.h"
#include "eval/metrics.h"
#include "train/options.h"
#include "train/ranks.h"
#include "train/run_directory.h"

namespace yolov3 {

struct Validation {
  Metrics metrics;
  Findings findings;
  double box_loss = 0, obj_loss = 0, cls_loss = 0;  // means over pictures
  std::optional<double> class_blind_map50;          // with options.overfit: as if there were one class
  std::string pictures_error;                       // why they could not be written, or nothing
};

// Uses batch norm's running statistics, folded. pictures: folder for val_batch0_labels.jpg and val_batch0_pred.jpg,
// empty for none. Stops early, with what it has, when an interrupt is requested. Ranks share the pictures; the first has
// the result of all, the others of none.
Validation validate(const NetworkSpec& spec, const Weights& weights, torch::Device device, bool bf16,
                    const Dataset& dataset, const TrainOptions& options, const std::filesystem::path& pictures,
                    Ranks& ranks);

// Its columns of an epoch's record.
void add_validation(EpochRecord& record, const Validation& validation);

}  // namespace yolov3
