// What a training run starts from. Whatever can be refused is refused here, before the run has a folder, so that a mistake
// leaves no empty run behind.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "engine/training_plan.h"
#include "net/spec.h"
#include "net/weights.h"
#include "train/checkpoint.h"
#include "train/options.h"
#include "train/ranks.h"

namespace yolov3 {

// The data sets of a run. Every defect of their files is in `listing`.
struct RunData {
  Dataset train, val;
  std::string listing;
  std::map<std::string, int64_t> train_defects;  // of the train split, by reason
};

struct Start {
  RunData data;
  NetworkSpec spec;
  Weights weights;
  torch::Device device = torch::kCPU;
  std::optional<TrainingPlan> plan;  // nothing: LibTorch's own operators
  bool bf16 = false;
  std::vector<double> class_weights;  // LossOptions::class_weights
};

// The checkpoint to go on from, when --resume asks for one and there is one.
std::optional<Checkpoint> find_checkpoint(const TrainOptions& options, const std::filesystem::path& directory);

// Removes what killed processes left unfinished in the folder of a run to be resumed; it is locked.
void clean_up(const std::filesystem::path& directory);

// args.toml with what was chosen at the start, plan and batch, so that it repeats the run.
std::string effective_args(std::string args_toml, const TrainOptions& options, const std::optional<TrainingPlan>& plan);

// Reads the data, makes or loads the weights, chooses the training plan, and options.batch where that is kAutoBatch.
// Ranks but the first have its plan, and weights that are to be replaced by its own. Errors: whatever of the options
// cannot be; ranks that have other options, data, or another version of the program.
Start accept(TrainOptions& options, const std::optional<Checkpoint>& checkpoint, Ranks& ranks,
             const std::string& args_toml);

// A warning when the learning rate is still rising at the end.
void tell_of_long_warm_up(const TrainOptions& options);

// A warning when the disk of the run's folder cannot hold the model files that the run will write.
void tell_of_small_disk(const std::filesystem::path& directory, const Start& start, const TrainOptions& options);

std::string describe(const Start& start, const TrainOptions& options);

}  // namespace yolov3
