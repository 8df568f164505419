// Runs a step that was not finite again, three ways, to see where it goes wrong: `yolov3 replay`.
//
//   as trained   the engine and plan of the run, its loss, its gradients
//   reference    the forward pass in plain loops (engine/reference.h) by the batch's statistics, and the loss of its maps
//   LibTorch     forward, loss and gradients by LibTorch's operators, in float64 where that does not take too long
//
// All on the CPU. Dropout is left out by the reference engine; LibTorch draws other numbers than the run did.
#pragma once

#include <optional>
#include <string>

#include "train/replay_case.h"

namespace yolov3 {

struct ReplayReport {
  std::string text;
  std::optional<bool> as_trained;            // whether the step was finite; nothing: it cannot be run here
  bool reference = false, libtorch = false;  // likewise
  bool bf16 = false, by_torch = false;       // as trained
  double largest_logit = 0;                  // by magnitude, in LibTorch's way; 0 where one is not finite
};

// options: those of the run (the case's args_toml). precision: of LibTorch's way: auto, f32, f64.
// Errors: options that are not of this network.
ReplayReport replay_step(const ReplayCase& step, const TrainOptions& options, const std::string& precision = "auto");

}  // namespace yolov3
