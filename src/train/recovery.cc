#include "train/recovery.h"

#include "base/usage.h"

namespace yolov3 {

OnNan parse_on_nan(const std::string& word) {
  if (word == "skip") return OnNan::skip;
  if (word == "rollback") return OnNan::rollback;
  check_usage(word == "stop", "--on-nan {}: expected stop, skip or rollback", word);
  return OnNan::stop;
}

ReplayCase make_replay(const TorchNetwork& network, const Optimizer& optimizer, const Batch& batch,
                       const Dataset& dataset, const RunPosition& position) {
  ReplayCase step;
  step.model = {network.spec(), network.weights(), dataset.names, {}, {}};
  step.batch = batch;
  for (const int64_t index : batch.examples) {
    const Example& example = dataset.examples[static_cast<size_t>(index)];
    step.pictures.push_back(example.image.string());
    step.origins.push_back(example.origin);
  }
  step.accumulated = optimizer.accumulated();
  for (const OptimizerParam& param : optimizer.params()) {
    if (step.accumulated == 0 || !param.sum.defined()) continue;
    step.sums[network.slots()[param.slot].name] = tensor_from_torch(param.sum);
  }
  step.epoch = position.epoch;
  step.batch_in_epoch = position.next_batch;
  step.step = position.step;
  return step;
}

std::string why_given_up(OnNan answer, const RunPosition& position) {
  if (answer == OnNan::skip && position.skipped_in_row >= kMostSkippedInRow) {
    return fmt::format("{} batches in a row were skipped already (--on-nan skip)", position.skipped_in_row);
  }
  if (answer == OnNan::rollback && position.rollbacks >= kMostRollbacks) {
    return fmt::format("the run was rolled back {} times already (--on-nan rollback)", position.rollbacks);
  }
  return answer == OnNan::stop
             ? "--on-nan stop; --resume comes to this step again: add --on-nan skip or rollback, or a lower --lr0"
             : "";
}

}  // namespace yolov3
