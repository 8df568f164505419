#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/usage.h"

namespace yolov3 {
namespace {

double warm_up_share(WarmUp kind, double share) {
  return kind == WarmUp::linear ? share : share * share * share * share;
}

}  // namespace

Decay parse_decay(const std::string& word) {
  if (word == "cosine") return Decay::cosine;
  if (word == "linear") return Decay::linear;
  if (word == "steps") return Decay::steps;
  check_usage(word == "constant", "--schedule {}: expected cosine, linear, steps or constant", word);
  return Decay::constant;
}

WarmUp parse_warm_up(const std::string& word) {
  if (word == "linear") return WarmUp::linear;
  check_usage(word == "darknet", "--warmup {}: expected linear or darknet", word);
  return WarmUp::darknet;
}

double Schedule::rate(int64_t step) const {
  if (step < warmup_steps) {
    return warm_up_share(warm_up, static_cast<double>(step) / static_cast<double>(warmup_steps)) * lr0;
  }
  if (decay == Decay::constant) return lr0;
  if (decay == Decay::steps) {
    double rate = lr0;
    for (const double drop : drops) {
      if (step >= std::llround(drop * static_cast<double>(total_steps))) rate *= step_scale;
    }
    return rate;
  }
  if (total_steps <= warmup_steps) return lr0;  // nothing is left to go down (D38)
  const double progress =
      std::min(1.0, static_cast<double>(step - warmup_steps) / static_cast<double>(total_steps - warmup_steps));
  if (decay == Decay::linear) return lr_end + (lr0 - lr_end) * (1.0 - progress);
  return lr_end + 0.5 * (lr0 - lr_end) * (1.0 + std::cos(progress * std::numbers::pi));
}

}  // namespace yolov3
