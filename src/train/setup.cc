#include "train/setup.h"

#include <malloc.h>

#include <algorithm>

#include "base/cpu.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "format/load_model.h"
#include "net/cfg.h"
#include "net/models.h"
#include "train/loss.h"
#include "train/optimizer.h"
#include "train/transfer.h"

namespace yolov3 {
namespace {

// What the optimizer is told.
void check_update_options(const TrainOptions& options) {
  parse_optimizer(options.optimizer);
  check(options.momentum >= 0 && options.momentum < 1, "--momentum {}: expected 0 or more and under 1",
        options.momentum);
  check(options.ema >= 0 && options.ema < 1, "--ema {}: expected 0 or more and under 1, e.g. 0.9998", options.ema);
  check(options.nominal_batch == 0 || options.nominal_batch >= options.batch,
        "--nominal-batch {}: expected 0 or at least --batch {}", options.nominal_batch, options.batch);
  check(options.weight_decay >= 0 && options.clip_norm >= 0, "--weight-decay {} --clip-norm {}: expected 0 or more",
        options.weight_decay, options.clip_norm);
}

// Which anchors answer, and what that costs.
void check_target_options(const TrainOptions& options) {
  check(options.assign.positive_ratio > 1, "--positive-ratio {}: expected more than 1, an anchor of the very size",
        options.assign.positive_ratio);
  check_loss_options(options.loss);
}

}  // namespace

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
    const TransferReport report = transfer_weights(load_source(options, names), spec, names, weights);
    check(report.loaded > 0, "{}: none of its tensors fits this network\n{}", options.weights.string(), report.table);
    log_info("{}: {}", options.weights.string(), trim(report.table));
  }
  return weights;
}

bool use_bf16(const TrainOptions& options) {
  if (options.precision == "f32") return false;
  if (options.precision == "bf16") return true;
  check(options.precision == "auto", "--precision {}: expected auto, f32 or bf16", options.precision);
  return options.device == "cpu" && cpu_features().avx512_bf16;
}

int frozen_layers(const TrainOptions& options, const NetworkSpec& spec) {
  if (options.freeze == "backbone") {
    try {
      return backbone_layers(spec);
    } catch (const Error& error) {
      fail("--freeze backbone: {}, --freeze N", error.what());
    }
  }
  const std::optional<int64_t> layers = parse_integer(options.freeze);
  check(layers && *layers >= 0, "--freeze {}: expected backbone or how many of the first layers, e.g. 75",
        options.freeze);
  const int last = param_slots(spec).back().layer;  // in the order of layers
  check(*layers <= last, "--freeze {}: nothing is left to train, the last layer with parameters is {}; at most {}",
        options.freeze, last, last);
  return static_cast<int>(*layers);
}

int64_t batches_per_update(const TrainOptions& options) {
  return options.nominal_batch > 0 ? (options.nominal_batch + options.batch - 1) / options.batch : 1;
}

void check_options(const TrainOptions& options) {
  check(!options.name.empty() && options.name != "." && options.name != ".." &&
            options.name.find('/') == std::string::npos,
        "--name '{}': expected the name of one folder", options.name);
  check(options.epochs > 0, "--epochs {}: expected at least 1", options.epochs);
  check(options.batch > 0, "--batch {}: expected at least 1", options.batch);
  check(options.workers >= 0, "--workers {}: expected 0 or more", options.workers);
  check(options.lr0 > 0 && options.lr_end >= 0 && options.lr_end <= options.lr0,
        "--lr0 {} --lr-end {}: expected 0 <= lr-end <= lr0 and lr0 > 0", options.lr0, options.lr_end);
  check(options.warmup_epochs >= 0, "--warmup-epochs {}: expected 0 or more", options.warmup_epochs);
  check(options.engine == "auto" || options.engine == "dnnl" || options.engine == "torch",
        "--engine {}: training runs on auto, dnnl or torch", options.engine);
  check(options.engine != "dnnl" || options.device == "cpu", "--engine dnnl trains on the CPU, not on --device {}",
        options.device);
  check(options.bn_momentum > 0 && options.bn_momentum <= 1, "--bn-momentum {}: expected over 0 and at most 1",
        options.bn_momentum);
  check_update_options(options);
  check_target_options(options);
  check(options.width >= 32 && options.height >= 32 && options.width % 32 == 0 && options.height % 32 == 0,
        "--imgsz {}x{}: both sides are multiples of 32", options.width, options.height);
  use_bf16(options);  // refuses an unknown precision
  for (const int size : options.multi_scale) {
    check(size >= 32 && size % 32 == 0, "--multi-scale {}: sizes are multiples of 32", size);
  }
}

}  // namespace yolov3
