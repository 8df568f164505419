#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace yolov3 {

double Schedule::rate(int64_t step) const {
  if (step < warmup_steps) return static_cast<double>(step) / static_cast<double>(warmup_steps) * lr0;
  if (total_steps <= warmup_steps) return lr0;  // nothing is left for the cosine (D38)
  const double progress =
      std::min(1.0, static_cast<double>(step - warmup_steps) / static_cast<double>(total_steps - warmup_steps));
  return lr_end + 0.5 * (lr0 - lr_end) * (1.0 + std::cos(progress * std::numbers::pi));
}

}  // namespace yolov3
