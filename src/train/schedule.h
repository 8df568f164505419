// The learning rate of each update: a warm-up, then one of four ways down. Set before the update it is for (D37).
//
//   warm-up   linear: lr0 * step / warmup_steps, the notes'; darknet: lr0 * (step / warmup_steps)^4, Darknet's burn_in
//   cosine    from lr0 to lr_end along half a cosine: the notes' train_step
//   linear    from lr0 to lr_end in a line
//   steps     lr0, times step_scale from each of the `drops` on (shares of the run): Darknet's policy=steps
//   constant  lr0
//
// Cosine and line begin where the warm-up ends; drops count from the run's first update, as Darknet's do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace yolov3 {

enum class Decay { cosine, linear, steps, constant };
Decay parse_decay(const std::string& word);  // "cosine", ... Errors: another word

enum class WarmUp { linear, darknet };
WarmUp parse_warm_up(const std::string& word);  // "linear", "darknet". Errors: another word

struct Schedule {
  Decay decay = Decay::cosine;
  WarmUp warm_up = WarmUp::linear;
  int64_t warmup_steps = 0, total_steps = 1;
  double lr0 = 1e-3, lr_end = 1e-6;
  std::vector<double> drops;  // ascending, over 0 and under 1
  double step_scale = 0.1;

  // The rate of update `step`, counted from 1; beyond total_steps the last rate.
  double rate(int64_t step) const;
};

}  // namespace yolov3
