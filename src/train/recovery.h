// What a run does about a step whose loss or gradient is not finite (train/step.h throws NonFinite): --on-nan.
//
//   stop      ends, with everything before the step saved
//   skip      leaves the batch out of training and goes on with the next
//   rollback  goes back to the last checkpoint and on from there at half the rate
//
// Both of the latter give up when they do not help: then they stop.
#pragma once

#include <string>

#include "data/dataset.h"
#include "engine/torch_network.h"
#include "train/optimizer.h"
#include "train/position.h"
#include "train/replay_case.h"

namespace yolov3 {

enum class OnNan { stop, skip, rollback };
OnNan parse_on_nan(const std::string& word);  // Errors: another word

constexpr int64_t kMostSkippedInRow = 10;
constexpr int kMostRollbacks = 3;
constexpr double kRollbackScale = 0.5;  // of the rate
constexpr int kMostReplays = 3;         // replay files that a process writes

// The step that `batch` would have been, from the state before it; what only the run knows is left to be filled in.
ReplayCase make_replay(const TorchNetwork& network, const Optimizer& optimizer, const Batch& batch,
                       const Dataset& dataset, const RunPosition& position);

// Why the run stops at such a step, the position being the one before it; empty: it goes on.
std::string why_given_up(OnNan answer, const RunPosition& position);

}  // namespace yolov3
