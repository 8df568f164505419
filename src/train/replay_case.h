// A training step that was not finite, as a file that holds all that is needed to run it again: `replay-000042.h5` in the
// folder of the run. It is a model file (format/model_file.h) of the weights before the step, with the batch and the rest
// as its training state; docs/formats.md lists it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "data/batch.h"
#include "format/model_file.h"
#include "train/options.h"

namespace yolov3 {

struct ReplayCase {
  Model model;                                 // the weights that are trained, not their average
  Batch batch;                                 // images, objects_net and examples (0, 1, ...) only
  std::vector<std::string> pictures, origins;  // of the batch: file and where it is named
  std::vector<double> class_weights;           // LossOptions', which args_toml has in other words
  // By parameter: of the batches that wait for their update; of `accumulated` pictures.
  std::map<std::string, Tensor> sums;
  int64_t accumulated = 0;
  bool update = true;  // the batch completes an update
  double lr = 0;
  int epoch = 0;                         // from 0
  int64_t batch_in_epoch = 0, step = 0;  // from 0; updates done
  int64_t draws = 0;                     // seed of LibTorch's generator: dropout
  std::string reason;                    // NonFinite's message
  std::string args_toml, plan;           // as in a checkpoint
};

void save_replay(const std::filesystem::path& path, const ReplayCase& step);

// Errors: another file, a damaged one, one whose parts do not belong together.
ReplayCase load_replay(const std::filesystem::path& path);

}  // namespace yolov3
