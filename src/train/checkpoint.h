// What a run needs to go on where it was, in and out of the model file's training state.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "engine/torch_network.h"
#include "format/model_file.h"
#include "train/adam.h"

namespace yolov3 {

// Where in the run: `next_batch` of `epoch` (both from 0) is the next to be trained.
struct RunPosition {
  int epoch = 0;
  int64_t next_batch = 0;
  int64_t step = 0;                                 // updates done
  double best = -1;                                 // best fitness so far
  double seconds = 0;                               // of training so far
  double giou_sum = 0, conf_sum = 0, prob_sum = 0;  // of the running epoch, for its means
  int64_t images = 0;                               // of the running epoch
  int64_t batch = 0, pictures = 0;                  // what next_batch counts in: --batch and the size of the data set
  uint64_t seed = 0;                                // what the order of the epoch comes from
};

// Saves last.h5 (model, moments, position); the one before becomes last.prev.h5.
void save_checkpoint(const std::filesystem::path& weights_folder, const Model& model, TorchNetwork& network, Adam& adam,
                     const RunPosition& position, const std::string& args_toml);

struct Checkpoint {
  Model model;
  TrainingState state;
  RunPosition position;
  std::filesystem::path path;  // last.h5, or last.prev.h5 where that one is damaged
};

// Nothing when there is no checkpoint yet. Errors: both are damaged.
std::optional<Checkpoint> load_checkpoint(const std::filesystem::path& weights_folder);
void restore_adam(const Checkpoint& checkpoint, TorchNetwork& network, Adam& adam);

}  // namespace yolov3
