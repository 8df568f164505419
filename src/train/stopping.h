// When a run ends: after --epochs, after --patience epochs without a better mAP50, when --time is up, or when --overfit has
// reached its mAP50. All of it follows from the position and the options, so that a resumed run knows it too, and one
// resumed with more of them goes on.
#pragma once

#include <cstdint>
#include <string>

#include "train/options.h"
#include "train/position.h"

namespace yolov3 {

// Why nothing is left to do, in words for the log and the model's facts; empty: the run goes on, if only to judge an epoch
// that the time has cut short.
std::string why_over(const RunPosition& position, const TrainOptions& options);

// With --time: nothing more fits into it but judging and saving, which take position.closing_seconds. Never before the
// first batch.
bool time_is_up(const RunPosition& position, const TrainOptions& options);

// With --time: the updates that the run will have had when its time is up, at its speed so far. The rates of the schedule
// are those of a run of so many, so that they are at their end when the time is. Means something after the first update.
int64_t expected_steps(const RunPosition& position, const TrainOptions& options);

}  // namespace yolov3
