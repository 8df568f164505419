// The learning rate of the notes' train_step: linear warm-up, then cosine. Set before the update it is for (D37).
#pragma once

#include <cstdint>

namespace yolov3 {

struct Schedule {
  int64_t warmup_steps = 0, total_steps = 1;
  double lr0 = 1e-3, lr_end = 1e-6;

  // The rate of update `step`, counted from 1; beyond total_steps the last rate.
  double rate(int64_t step) const;
};

}  // namespace yolov3
