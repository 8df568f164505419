#include "train/stopping.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "train/overfit_defaults.h"

namespace yolov3 {
namespace {

// What may be trained for: the time without its end.
double training_seconds(const RunPosition& position, const TrainOptions& options) {
  return options.time_s - position.closing_seconds;
}

}  // namespace

std::string why_over(const RunPosition& position, const TrainOptions& options) {
  // In the middle of an epoch what was trained of it waits to be judged, however late it is.
  if (options.time_s > 0 && position.next_batch == 0 && time_is_up(position, options)) {
    return fmt::format("the time is up: {} of --time {}", human_seconds(position.seconds),
                       human_seconds(options.time_s));
  }
  if (options.time_s == 0 && position.epoch >= options.epochs) {
    if (position.epoch > options.epochs) {
      return fmt::format("{} epochs are done, --epochs asks for {}", position.epoch, options.epochs);
    }
    return fmt::format("all {} epochs are done", options.epochs);
  }
  if (options.patience > 0 && position.unimproved >= options.patience) {
    return fmt::format("no better mAP50 for {} epochs (--patience {})", position.unimproved, options.patience);
  }
  if (options.overfit > 0 && position.best > kOverfitMap50) return "the pictures are known by heart";
  return "";
}

bool time_is_up(const RunPosition& position, const TrainOptions& options) {
  const bool begun = position.epoch > 0 || position.next_batch > 0;
  return options.time_s > 0 && begun && position.seconds >= training_seconds(position, options);
}

int64_t expected_steps(const RunPosition& position, const TrainOptions& options) {
  const double seconds = std::max(position.seconds, 1e-3), left = training_seconds(position, options) - seconds;
  const double speed = static_cast<double>(position.step) / seconds;
  return position.step + std::max<int64_t>(1, std::llround(speed * left));
}

}  // namespace yolov3
