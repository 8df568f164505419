// Where in a run: all that its checkpoints say of it beside tensors and options.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace yolov3 {

// `next_batch` of `epoch` (both from 0) is the next to be trained.
struct RunPosition {
  int epoch = 0;
  int64_t next_batch = 0;
  int64_t step = 0;                                 // updates done; fewer than batches with --nominal-batch
  double best = -1;                                 // best fitness so far
  int unimproved = 0;                               // epochs judged since then
  double seconds = 0;                               // of the run so far, over all resumes
  double closing_seconds = 0;                       // of them, for judging and saving the last epoch; 0: not known yet
  double giou_sum = 0, conf_sum = 0, prob_sum = 0;  // of the running epoch, for its means
  int64_t images = 0;                               // of the running epoch
  int64_t batch = 0, pictures = 0;                  // what next_batch counts in: --batch and the size of the data set
  int64_t batches_per_update = 1;                   // and how its batches make updates
  uint64_t seed = 0;                                // what the order of the epoch comes from

  // What came of steps that were not finite (train/recovery.h).
  int64_t skipped = 0, skipped_in_row = 0;  // batches left out
  int rollbacks = 0;
  double rate_scale = 1;  // of the learning rate
};

// The beginning of the epoch after.
RunPosition next_epoch(RunPosition position);

using StateValues = std::map<std::string, std::string>;  // of a TrainingState (format/model_file.h)

// Doubles are written as the shortest text that reads back as the same.
void write_position(const RunPosition& position, StateValues& values);

// Errors: a value that is missing or no such number. What older checkpoints do not have is as in a new position.
RunPosition read_position(const StateValues& values);

// One value. Errors: it is not there, not a number, not a count from 0 to 2^53.
const std::string& state_text(const StateValues& values, const std::string& key);
double state_number(const StateValues& values, const std::string& key);
int64_t state_count(const StateValues& values, const std::string& key);

}  // namespace yolov3
