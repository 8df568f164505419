// The training loop of the notes' train.py as one call.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "train/options.h"

namespace yolov3 {

struct TrainResult {
  std::filesystem::path run_directory;
  int epochs_done = 0;
  double best_map50 = 0;
  bool interrupted = false;     // by Ctrl-C or SIGTERM: saved, can be resumed
  std::string ended;            // why nothing is left to do (train/stopping.h), empty when interrupted
  bool overfit_passed = false;  // with options.overfit: the self-test
  std::string overfit_verdict;  // and what it found, for people
};

// Trains into a new run directory (or the one being resumed) and says how it goes on stderr.
// `args_toml`: the effective options as the program writes them into the run directory.
// Errors: of the data, the model and the device; a loss or gradient that is not finite, where options.on_nan does not go
// on, with picture, box, head, cell and layer named, the weights before the step saved and the step itself in a file for
// `yolov3 replay`; a run that another process is training. A build without LibTorch says so.
// `on_batch` is called after each batch, when set, with how far the run is: the batches of its epochs so far, those that
// were left out included (a roll-back goes back); `on_run` once, with the run directory, before the first.
TrainResult train(const TrainOptions& options, const std::string& args_toml,
                  const std::function<void(int64_t batches)>& on_batch = {},
                  const std::function<void(const std::filesystem::path& directory)>& on_run = {});

}  // namespace yolov3
