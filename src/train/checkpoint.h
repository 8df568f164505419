// What a run needs to go on where it was, in and out of the model file's training state.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "engine/torch_network.h"
#include "format/model_file.h"
#include "train/optimizer.h"
#include "train/options.h"
#include "train/position.h"

namespace yolov3 {

// What a checkpoint says beside the model and the optimizer's state.
struct RunState {
  RunPosition position;
  std::string args_toml, plan;  // train/engine_network.h, plan_text()
  std::string results;          // results.csv up to the position
};

// Saves last.h5 (model, state of the optimizer, run); the one before becomes last.prev.h5. The model holds the averaged
// weights when there are such; then the state has the ones being trained. The folder is made when it is not there.
void save_checkpoint(const std::filesystem::path& weights_folder, const Model& model, const TorchNetwork& network,
                     Optimizer& optimizer, const RunState& run);

struct Checkpoint {
  Model model;
  TrainingState state;
  RunPosition position;
  std::filesystem::path path;                  // last.h5, or where that one is damaged another
  const std::string& plan() const;             // as in RunState
  std::optional<std::string> results() const;  // nothing in an older version's
  // The model's, but for the end that a run which goes on has not come to.
  std::map<std::string, std::string> facts() const;
};

// Of last.h5, next.h5 and last.prev.h5 the first that is not damaged; nothing when none is there. Errors: all are damaged;
// that one cannot be read, or is no checkpoint.
std::optional<Checkpoint> load_checkpoint(const std::filesystem::path& weights_folder);

// Errors: it is of another network, other classes, another optimizer, or stands in the middle of an epoch that these
// options cannot go on with.
void check_resumable(const Checkpoint& checkpoint, const TrainOptions& options, const NetworkSpec& spec,
                     const std::vector<std::string>& names, int64_t pictures);

// The optimizer's state, and with averages the parameters being trained too. The network has the checkpoint's weights.
void restore_optimizer(const Checkpoint& checkpoint, const TorchNetwork& network, Optimizer& optimizer);

}  // namespace yolov3
