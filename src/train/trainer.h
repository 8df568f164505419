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
  bool interrupted = false;  // by Ctrl-C or SIGTERM: saved, can be resumed
};

// Trains into a new run directory (or the one being resumed) and says how it goes on stderr.
// `args_toml`: the effective options as the program writes them into the run directory.
// Errors: of the data, the model and the device; a non-finite loss or gradient stops the run with the image, the head
// and the cell named and the weights of the last good step saved. A build without LibTorch says so.
// `on_batch` is called after each batch, when set, with the number of batches trained since the run began; `on_run`
// once, with the run directory, before the first.
TrainResult train(const TrainOptions& options, const std::string& args_toml,
                  const std::function<void(int64_t batches)>& on_batch = {},
                  const std::function<void(const std::filesystem::path& directory)>& on_run = {});

}  // namespace yolov3
