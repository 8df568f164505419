// What a run needs to go on where it was, in and out of the model file's training state.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "engine/torch_network.h"
#include "format/model_file.h"
#include "train/optimizer.h"
#include "train/options.h"

namespace yolov3 {

// Where in the run: `next_batch` of `epoch` (both from 0) is the next to be trained.
struct RunPosition {
  int epoch = 0;
  int64_t next_batch = 0;
  int64_t step = 0;                                 // updates done; fewer than batches with --nominal-batch
  double best = -1;                                 // best fitness so far
  double seconds = 0;                               // of training so far
  double giou_sum = 0, conf_sum = 0, prob_sum = 0;  // of the running epoch, for its means
  int64_t images = 0;                               // of the running epoch
  int64_t batch = 0, pictures = 0;                  // what next_batch counts in: --batch and the size of the data set
  int64_t batches_per_update = 1;                   // and how its batches make updates
  uint64_t seed = 0;                                // what the order of the epoch comes from
};

// Saves last.h5 (model, state of the optimizer, position); the one before becomes last.prev.h5. The model holds the
// averaged weights when there are such; then the state has the ones being trained.
void save_checkpoint(const std::filesystem::path& weights_folder, const Model& model, const TorchNetwork& network,
                     Optimizer& optimizer, const RunPosition& position, const std::string& args_toml,
                     const std::string& plan);

struct Checkpoint {
  Model model;
  TrainingState state;
  RunPosition position;
  std::filesystem::path path;       // last.h5, or last.prev.h5 where that one is damaged
  const std::string& plan() const;  // train/engine_network.h, plan_text()
};

// Nothing when there is no checkpoint yet. Errors: both are damaged.
std::optional<Checkpoint> load_checkpoint(const std::filesystem::path& weights_folder);

// Errors: it is of another network, other classes, another optimizer, or stands in the middle of an epoch that these
// options cannot go on with.
void check_resumable(const Checkpoint& checkpoint, const TrainOptions& options, const NetworkSpec& spec,
                     const std::vector<std::string>& names, int64_t pictures);

// The optimizer's state, and with averages the parameters being trained too.
void restore_optimizer(const Checkpoint& checkpoint, const TorchNetwork& network, Optimizer& optimizer);

}  // namespace yolov3
