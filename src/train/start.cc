#include "train/start.h"

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/torch_network.h"
#include "train/engine_network.h"
#include "train/setup.h"

namespace yolov3 {
namespace {

RunData load_run_data(const TrainOptions& options) {
  RunData data;
  const auto load = [&](const std::string& split, Dataset& into) {
    DefectReport report;
    into = load_dataset(options.data, split, report);
    if (report.defects.empty()) return;
    log_info("{}: {}", split, trim(describe(report, 5)));
    data.listing += split + ":\n" + describe(report, report.defects.size()) + "\n";
  };
  load("train", data.train);
  check(!data.train.examples.empty(), "--data {}: the train split has no pictures", options.data.data);
  if (options.validate) {
    load("val", data.val);
    check(data.val.names == data.train.names, "--data {}: train and val have different class names", options.data.data);
  }
  return data;
}

NetworkSpec spec_of(const TrainOptions& options, const RunData& data, const std::optional<Checkpoint>& checkpoint) {
  const NetworkSpec spec = make_training_spec(options, data.train.names);
  for (const int size : options.multi_scale) with_input_size(spec, size, size);  // refuses what the network cannot take
  const int frozen = frozen_layers(options, spec);
  if (frozen > 0 && options.weights.empty() && !checkpoint) {
    log_warning("--freeze {} without --weights: {} layers keep the random numbers they begin with", options.freeze,
                frozen);
  }
  if (checkpoint) {
    const auto pictures = static_cast<int64_t>(data.train.examples.size());
    check_resumable(*checkpoint, options, spec, data.train.names, pictures);
  }
  return spec;
}

}  // namespace

std::optional<Checkpoint> find_checkpoint(const TrainOptions& options, const std::filesystem::path& directory) {
  if (!options.resume) return std::nullopt;
  std::optional<Checkpoint> checkpoint = load_checkpoint(directory / "weights");
  if (!checkpoint) {
    log_info("{}: no checkpoint yet, starting from the beginning", directory.string());
  } else if (checkpoint->position.epoch < options.epochs) {
    log_info("{}: going on at epoch {}, batch {}", checkpoint->path.string(), checkpoint->position.epoch + 1,
             checkpoint->position.next_batch + 1);
  }
  return checkpoint;
}

Start accept(const TrainOptions& options, const std::optional<Checkpoint>& checkpoint) {
  Start start{.data = load_run_data(options)};
  start.spec = spec_of(options, start.data, checkpoint);
  start.device = parse_device(options.device);
  start.weights =
      checkpoint ? checkpoint->model.weights : make_initial_weights(options, start.spec, start.data.train.names);
  start.plan = choose_plan(options, start.spec, checkpoint ? checkpoint->plan() : "");
  if (start.plan) check_training_plan(*start.plan, start.spec, options);
  start.bf16 = start.plan ? start.plan->type == NumberType::bf16 : use_bf16(options);
  return start;
}

}  // namespace yolov3
