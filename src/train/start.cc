#include "train/start.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "data/loader.h"
#include "engine/torch_network.h"
#include "train/class_weights.h"
#include "train/engine_network.h"
#include "train/overfit.h"
#include "train/setup.h"

namespace yolov3 {
namespace {

// Once, before the run: at the smallest size, where most are left out.
void tell_of_tiny_objects(const Dataset& train, const TrainOptions& options) {
  LoaderOptions loader;
  loader.width = options.width;
  loader.height = options.height;
  if (!options.multi_scale.empty()) loader.width = loader.height = *std::ranges::min_element(options.multi_scale);
  const TinyObjects found = find_tiny_objects(train, loader);
  if (found.tiny == 0) return;
  log_info(
      "train: {} of {} boxes are under {} px wide or high at {}x{} and left out of training, the first in {}; a larger "
      "--imgsz keeps them",
      found.tiny, found.objects, loader.min_box_px, loader.width, loader.height, found.first);
}

RunData load_run_data(const TrainOptions& options) {
  RunData data;
  const auto load = [&](const std::string& split, Dataset& into) {
    DefectReport report;
    into = load_dataset(options.data, split, report);
    if (report.defects.empty()) return;
    log_info("{}: {}", split, trim(describe(report, 5)));
    data.listing += split + ":\n" + describe(report, report.defects.size()) + "\n";
    if (split == "train") data.train_defects = report.counts();
  };
  load("train", data.train);
  check(!data.train.examples.empty(), "--data {}: the train split has no pictures", options.data.data);
  if (options.overfit > 0) {
    reduce_to_overfit(data, options);
  } else if (options.validate) {
    load("val", data.val);
    check(data.val.names == data.train.names, "--data {}: train and val have different class names", options.data.data);
  }
  tell_of_tiny_objects(options.overfit > 0 ? data.val : data.train, options);
  return data;
}

// What --image-weights and --class-weights come to here.
std::vector<double> weigh(const Dataset& train, const TrainOptions& options) {
  const std::string pictures = describe_weights(PictureSampler(train, options.image_weights));
  if (!pictures.empty()) log_info("{}", pictures);
  const std::vector<double> weights = make_class_weights(options.class_weights, train);
  std::string list;
  for (size_t k = 0; k < weights.size(); ++k) list += fmt::format(", {} {:.3g}", train.names[k], weights[k]);
  if (!list.empty()) log_info("class weights: {}", list.substr(2));
  return weights;
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
  start.class_weights = weigh(start.data.train, options);
  start.device = parse_device(options.device);
  start.weights =
      checkpoint ? checkpoint->model.weights : make_initial_weights(options, start.spec, start.data.train.names);
  start.plan = choose_plan(options, start.spec, checkpoint ? checkpoint->plan() : "");
  if (start.plan) check_training_plan(*start.plan, start.spec, options);
  start.bf16 = start.plan ? start.plan->type == NumberType::bf16 : use_bf16(options);
  return start;
}

}  // namespace yolov3
