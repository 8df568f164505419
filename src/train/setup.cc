#include "train/setup.h"

#include <malloc.h>

#include <algorithm>
#include <cmath>

#include "base/cpu.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "base/usage.h"
#include "data/multi_scale.h"
#include "engine/lowering.h"
#include "format/load_model.h"
#include "net/cfg.h"
#include "net/models.h"
#include "train/loss.h"
#include "train/optimizer.h"
#include "train/overfit_defaults.h"
#include "train/recovery.h"
#include "train/transfer.h"

namespace yolov3 {
namespace {

// What the optimizer is told.
void check_update_options(const TrainOptions& options) {
  parse_optimizer(options.optimizer);
  check_usage(options.momentum >= 0 && options.momentum < 1, "--momentum {}: expected 0 or more and under 1",
              options.momentum);
  check_usage(options.ema >= 0 && options.ema < 1, "--ema {}: expected 0 or more and under 1, e.g. 0.9998",
              options.ema);
  check_usage(options.nominal_batch == 0 || options.nominal_batch >= options.batch,
              "--nominal-batch {}: expected 0 or at least --batch {}", options.nominal_batch, options.batch);
  check_usage(options.weight_decay >= 0 && options.clip_norm >= 0,
              "--weight-decay {} --clip-norm {}: expected 0 or more", options.weight_decay, options.clip_norm);
  check_usage(options.optimizer != "adamw" || options.weight_decay > 0,
              "--optimizer adamw: without --weight-decay it is adam; add --weight-decay 0.01, or say --optimizer adam");
  check_usage(!options.nesterov || (parse_optimizer(options.optimizer) == OptimizerKind::sgd && options.momentum > 0),
              "--nesterov: it is a kind of momentum, which --optimizer {} --momentum {} has not", options.optimizer,
              options.momentum);
}

// What the learning rate is told.
void check_schedule_options(const TrainOptions& options) {
  const Decay decay = parse_decay(options.schedule);
  parse_warm_up(options.warmup);
  check_usage(options.lr0 > 0 && options.lr_end >= 0, "--lr0 {} --lr-end {}: expected lr0 > 0 and lr-end >= 0",
              options.lr0, options.lr_end);
  check_usage(options.lr_end <= options.lr0 || decay == Decay::steps || decay == Decay::constant,
              "--lr0 {} --lr-end {}: expected lr-end <= lr0", options.lr0, options.lr_end);
  check_usage(options.warmup_epochs >= 0, "--warmup-epochs {}: expected 0 or more", options.warmup_epochs);
  check_usage(options.step_scale > 0 && options.step_scale < 1, "--step-scale {}: expected over 0 and under 1",
              options.step_scale);
  check_usage(decay != Decay::steps || !options.steps.empty(), "--schedule steps needs --steps, e.g. --steps 0.8,0.9");
  double before = 0;
  for (const double step : options.steps) {
    check_usage(step > before && step < 1, "--steps {}: expected shares of the run between 0 and 1, the earlier first",
                fmt::join(options.steps, ","));
    before = step;
  }
}

// When the run ends and what it does when something goes wrong.
void check_life_options(const TrainOptions& options) {
  parse_on_nan(options.on_nan);
  check_usage(options.patience >= 0, "--patience {}: expected 0 or more epochs", options.patience);
  check_usage(options.patience == 0 || options.validate, "--patience {}: without --val there is no mAP to wait for",
              options.patience);
  check_usage(options.save_every_s >= 0 && options.time_s >= 0,
              "--save-every and --time: expected durations of 0 or more");
}

// What the loader is told.
void check_sampling_options(const TrainOptions& options) {
  check_augment_options(options.augment);
  check_usage(options.image_weights >= 0 && options.image_weights <= 4, "--image-weights {}: expected 0 to 4",
              options.image_weights);
  check_usage(options.close_mosaic >= 0, "--close-mosaic {}: expected 0 or more", options.close_mosaic);
  check_usage(
      options.close_mosaic == 0 || has_strong(options.augment),
      "--close-mosaic {} has no effect: nothing that it would end is on (mosaic, mixup, cutout, blur, noise, grey, "
      "degrees, scale, shear, shift)",
      options.close_mosaic);
  if (!options.resume) check_close_mosaic(options);
  check_usage(options.close_mosaic == 0 || options.close_mosaic < options.epochs,
              "--close-mosaic {}: of --epochs {} none would be left with strong augmentation", options.close_mosaic,
              options.epochs);
  check_usage(options.overfit >= 0, "--overfit {}: expected 0 or how many pictures", options.overfit);
  check_usage(options.overfit == 0 || options.batch != kAutoBatch,
              "--overfit {}: --batch auto, but an epoch of it is {} batches of a known size; give a number, or leave "
              "--batch out",
              options.overfit, kOverfitBatches);
  check_usage(options.overfit == 0 || (options.validate && options.augment == no_augmentation() &&
                                       options.multi_scale.empty() && options.image_weights == 0),
              "--overfit {} trains on the pictures as they are, one size, no weights, and validates on them",
              options.overfit);
}

// Which anchors answer, and what that costs.
void check_target_options(const TrainOptions& options) {
  check_usage(options.assign.positive_ratio > 1,
              "--positive-ratio {}: expected more than 1, an anchor of the very size", options.assign.positive_ratio);
  check_loss_options(options.loss);
}

}  // namespace

void check_close_mosaic(const TrainOptions& options) {
  check_usage(
      options.close_mosaic == 0 || options.time_s == 0,
      "--close-mosaic {}: with --time nobody knows which epochs will be the last; give --epochs instead of --time",
      options.close_mosaic);
}

std::string local_device(const std::string& device, const RankPlace& place) {
  return device == "cuda" && place.local_ranks > 1 ? fmt::format("cuda:{}", place.local_rank) : device;
}

void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, -1);
}

namespace {

NetworkSpec named_spec(const TrainOptions& options, const std::vector<std::string>& names) {
  const int classes = static_cast<int>(names.size());
  if (!ends_with_ignoring_case(options.model, ".cfg")) {
    return make_model(options.model, {.classes = classes, .width = options.width, .height = options.height});
  }
  const ParsedCfg cfg = parse_cfg(read_file(options.model), options.model);
  check(
      class_count(cfg.spec) == classes,
      "{}: its [yolo] layers have {} classes, the data set has {}; set classes={} there and filters={} x the number of "
      "masks in the convolution before each",
      options.model, class_count(cfg.spec), classes, classes, 5 + classes);
  if (!cfg.training_keys.empty()) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : cfg.training_keys) keys.push_back(key);
    log_info("{}: training keys are not used, options of this program stand for them: {}", options.model,
             fmt::join(keys, " "));
  }
  return with_input_size(cfg.spec, options.width, options.height);
}

// Weights of any kind, for a network like options.model's.
Model load_source(const TrainOptions& options, const std::vector<std::string>& names) {
  LoadedModel loaded = load_model(ModelSource{options.weights, options.model, {}, true});
  if (loaded.named) return std::move(loaded.model);
  const bool same_count = loaded.model.names.size() == names.size();
  if (same_count) {
    log_info("{}: it names no classes; its {} are taken as the data set's, in their order", options.weights.string(),
             names.size());
  } else {
    log_info("{}: it names none of its {} classes, so their rows of the heads start fresh", options.weights.string(),
             loaded.model.names.size());
  }
  loaded.model.names = same_count ? names : std::vector<std::string>{};
  return std::move(loaded.model);
}

// How to say which network that is.
std::string model_like(const NetworkSpec& spec) {
  for (const std::string name : {"yolov3", "yolov3-spp", "yolov3-tiny"}) {
    const NetworkSpec known = make_model(name, {});
    if (known.layers.size() == spec.layers.size() && param_slots(known)[0].shape == param_slots(spec)[0].shape) {
      return "it is like " + name + ": add --model " + name;
    }
  }
  return fmt::format(
      "it is a network of {} layers; give that one's cfg with --model FILE.cfg (yolov3 export --to darknet --out "
      "a.weights writes it beside as a.cfg)",
      spec.layers.size());
}

}  // namespace

NetworkSpec make_training_spec(const TrainOptions& options, const std::vector<std::string>& names) {
  NetworkSpec spec = named_spec(options, names);
  check_head_balance(options.loss, heads(spec).size());
  return spec;
}

Weights make_initial_weights(const TrainOptions& options, const NetworkSpec& spec,
                             const std::vector<std::string>& names) {
  Weights weights = random_weights(spec, {.seed = options.seed});
  if (!options.weights.empty()) {
    const Model source = load_source(options, names);
    const TransferReport report = transfer_weights(source, spec, names, weights);
    if (report.loaded == 0) {
      fail("{}: none of its tensors fits the network of --model {}; {}", options.weights.string(), options.model,
           model_like(source.spec));
    }
    log_info("{}: {}", options.weights.string(), trim(report.table));
  }
  return weights;
}

bool use_bf16(const TrainOptions& options) {
  if (options.precision == "f32") return false;
  if (options.precision == "bf16") return true;
  check_usage(options.precision == "auto", "--precision {}: expected auto, f32 or bf16", options.precision);
  return options.device == "cpu" && cpu_features().avx512_bf16;
}

int frozen_layers(const TrainOptions& options, const NetworkSpec& spec) {
  if (options.freeze == "backbone") {
    try {
      return backbone_layers(spec);
    } catch (const Error& error) {
      fail_usage("--freeze backbone: {}, --freeze N", error.what());
    }
  }
  const std::optional<int64_t> layers = parse_integer(options.freeze);
  check_usage(layers && *layers >= 0, "--freeze {}: expected backbone or how many of the first layers, e.g. 75",
              options.freeze);
  const std::vector<bool> needed = lower(spec).needed;
  int last = -1;  // with parameters that some head needs
  for (const ParamSlot& slot : param_slots(spec)) last = needed[static_cast<size_t>(slot.layer)] ? slot.layer : last;
  check_usage(last >= 0, "--model {}: no head needs a layer with parameters, so there is nothing to train",
              options.model);
  check_usage(*layers <= last,
              "--freeze {}: nothing is left to train, the last layer with parameters is {}; at most {}", options.freeze,
              last, last);
  return static_cast<int>(*layers);
}

Schedule make_schedule(const TrainOptions& options, int64_t steps_per_epoch) {
  return {.decay = parse_decay(options.schedule),
          .warm_up = parse_warm_up(options.warmup),
          .warmup_steps = std::llround(options.warmup_epochs * static_cast<double>(steps_per_epoch)),
          .total_steps = steps_per_epoch * options.epochs,
          .lr0 = options.lr0,
          .lr_end = options.lr_end,
          .drops = options.steps,
          .step_scale = options.step_scale};
}

LoaderOptions training_loader(const TrainOptions& options) {
  LoaderOptions loader;
  loader.batch = options.batch;
  loader.rank = options.place.rank;
  loader.ranks = options.place.ranks;
  loader.width = options.width;
  loader.height = options.height;
  loader.multi_scale = options.multi_scale;
  loader.multi_scale_every = options.multi_scale_every;
  loader.shuffle = loader.augmented = options.overfit == 0;
  loader.augment = options.augment;
  if (options.close_mosaic > 0) loader.strong_epochs = options.epochs - options.close_mosaic;
  loader.image_weights = options.image_weights;
  loader.exact_decode = options.exact_decode;
  loader.workers = options.workers;
  loader.seed = options.seed;
  return loader;
}

int64_t batches_per_update(const TrainOptions& options) {
  return options.nominal_batch > 0 ? (options.nominal_batch + options.batch - 1) / options.batch : 1;
}

int share_of_batch(int batch, int ranks) { return (batch + ranks - 1) / ranks; }

void check_options(const TrainOptions& options) {
  check_usage(options.batch == kAutoBatch || options.batch >= options.place.ranks,
              "--batch {}: it is of all ranks together, and {} of them cannot share it", options.batch,
              options.place.ranks);
  check_usage(options.rank_timeout_s >= 1, "--rank-timeout: expected at least 1s, not {}s", options.rank_timeout_s);
  check_usage(!options.name.empty() && options.name != "." && options.name != ".." &&
                  options.name.find('/') == std::string::npos,
              "--name '{}': expected the name of one folder, without a slash; --project is the folder it lies in",
              options.name);
  check_usage(options.epochs > 0, "--epochs {}: expected at least 1", options.epochs);
  check_usage(options.batch > 0 || options.batch == kAutoBatch, "--batch {}: expected at least 1, or auto",
              options.batch);
  check_usage(options.workers >= 0, "--workers {}: expected 0 or more", options.workers);
  check_schedule_options(options);
  check_life_options(options);
  check_usage(options.engine == "auto" || options.engine == "dnnl" || options.engine == "torch",
              "--engine {}: training runs on auto, dnnl or torch", options.engine);
  check_usage(options.engine != "dnnl" || options.device == "cpu",
              "--engine dnnl trains on the CPU, not on --device {}", options.device);
  check_usage(options.bn_momentum > 0 && options.bn_momentum <= 1, "--bn-momentum {}: expected over 0 and at most 1",
              options.bn_momentum);
  check_update_options(options);
  check_sampling_options(options);
  check_target_options(options);
  check_usage(options.width >= 32 && options.height >= 32 && options.width % 32 == 0 && options.height % 32 == 0,
              "--imgsz {}x{}: both sides are multiples of 32, e.g. 416", options.width, options.height);
  use_bf16(options);  // refuses an unknown precision
  check_multi_scale(options.multi_scale);
}

}  // namespace yolov3
