#include "train/checkpoint.h"

#include <algorithm>
#include <cstdint>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "train/setup.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

// The tensors of a parameter that a checkpoint holds beside the model's own, with their folders. They are handles: what
// is copied into one is in the optimizer.
std::vector<std::pair<std::string, torch::Tensor>> state_of(const OptimizerParam& param, const Optimizer& optimizer) {
  std::vector<std::pair<std::string, torch::Tensor>> state;
  const bool adam = optimizer.options().kind == OptimizerKind::adam;
  if (param.mean.defined()) state.emplace_back(adam ? "adam/mean/" : "sgd/velocity/", param.mean);
  if (param.square.defined()) state.emplace_back("adam/square/", param.square);
  if (param.average.defined()) state.emplace_back("trained/", param.value);  // the model has the average
  if (optimizer.accumulated() > 0 && param.sum.defined()) state.emplace_back("sum/", param.sum);
  return state;
}

// Puts the new checkpoint in the place of the last one, which becomes the one before, without a moment in which last.h5
// is missing.
void rotate(const fs::path& next, const fs::path& last, const fs::path& previous) {
  std::error_code reason;
  if (fs::exists(last, reason)) {
    const fs::path temporary = previous.string() + ".tmp";
    fs::remove(temporary, reason);
    fs::create_hard_link(last, temporary, reason);
    if (reason) fs::copy_file(last, temporary, fs::copy_options::overwrite_existing, reason);  // no hard links there
    if (!reason) fs::rename(temporary, previous, reason);
    if (reason)
      log_warning("{}: the checkpoint before the last could not be kept: {}", previous.string(), reason.message());
    fs::remove(temporary, reason);
  }
  fs::rename(next, last, reason);
  check(!reason, "{}: cannot be renamed into place: {}", next.string(), reason.message());
}

const std::string& text_of(const TrainingState& state, const std::string& key) {
  const auto found = state.values.find(key);
  check(found != state.values.end(),
        "it is a model or an older version's checkpoint, which cannot be resumed: it has no value '{}'", key);
  return found->second;
}

double number(const TrainingState& state, const std::string& key) {
  const std::optional<double> value = parse_number(text_of(state, key));
  check(value.has_value(), "its '{}' is '{}', expected a number", key, text_of(state, key));
  return *value;
}

int64_t count(const TrainingState& state, const std::string& key) {
  const std::optional<int64_t> value = parse_integer(text_of(state, key));
  check(value && *value >= 0 && *value < (int64_t{1} << 53), "its '{}' is '{}', expected a count", key,
        text_of(state, key));
  return *value;
}

RunPosition position_of(const TrainingState& state) {
  return {.epoch = static_cast<int>(std::min<int64_t>(count(state, "epoch"), INT32_MAX)),
          .next_batch = count(state, "next_batch"),
          .step = count(state, "step"),
          .best = number(state, "best"),
          .seconds = number(state, "seconds"),
          .giou_sum = number(state, "giou_sum"),
          .conf_sum = number(state, "conf_sum"),
          .prob_sum = number(state, "prob_sum"),
          .images = count(state, "images"),
          .batch = count(state, "batch"),
          .pictures = count(state, "pictures"),
          .batches_per_update = count(state, "batches_per_update"),
          .seed = static_cast<uint64_t>(parse_integer(text_of(state, "seed")).value_or(0))};
}

}  // namespace

const std::string& Checkpoint::plan() const {
  const auto found = state.values.find("plan");
  check(found != state.values.end(),
        "{}: an older version's checkpoint, which cannot be resumed; use it with --weights", path.string());
  return found->second;
}

void save_checkpoint(const fs::path& weights_folder, const Model& model, const TorchNetwork& network,
                     Optimizer& optimizer, const RunPosition& position, const std::string& args_toml,
                     const std::string& plan) {
  TrainingState state;
  for (const OptimizerParam& param : optimizer.params()) {
    for (const auto& [folder, tensor] : state_of(param, optimizer)) {
      state.tensors[folder + network.slots()[param.slot].name] = tensor_from_torch(tensor);
    }
  }
  // {} of fmt prints the shortest text that reads back as the same double.
  state.values = {{"epoch", fmt::format("{}", position.epoch)},
                  {"next_batch", fmt::format("{}", position.next_batch)},
                  {"step", fmt::format("{}", position.step)},
                  {"optimizer", to_string(optimizer.options().kind)},
                  {"ema", fmt::format("{}", optimizer.options().ema_decay)},
                  {"frozen_layers", fmt::format("{}", network.frozen_layers())},
                  {"accumulated", fmt::format("{}", optimizer.accumulated())},
                  {"best", fmt::format("{}", position.best)},
                  {"seconds", fmt::format("{}", position.seconds)},
                  {"giou_sum", fmt::format("{}", position.giou_sum)},
                  {"conf_sum", fmt::format("{}", position.conf_sum)},
                  {"prob_sum", fmt::format("{}", position.prob_sum)},
                  {"images", fmt::format("{}", position.images)},
                  {"batch", fmt::format("{}", position.batch)},
                  {"pictures", fmt::format("{}", position.pictures)},
                  {"batches_per_update", fmt::format("{}", position.batches_per_update)},
                  {"seed", fmt::format("{}", static_cast<int64_t>(position.seed))},
                  {"plan", plan},
                  {"args", args_toml}};
  save_model(weights_folder / "next.h5", model, &state);
  rotate(weights_folder / "next.h5", weights_folder / "last.h5", weights_folder / "last.prev.h5");
}

std::optional<Checkpoint> load_checkpoint(const fs::path& weights_folder) {
  for (const char* name : {"last.h5", "last.prev.h5"}) {
    const fs::path path = weights_folder / name;
    if (!fs::exists(path)) continue;
    try {
      Checkpoint checkpoint;
      checkpoint.model = load_model(path, &checkpoint.state);
      checkpoint.path = path;
      checkpoint.position = position_of(checkpoint.state);
      return checkpoint;
    } catch (const Error& error) {
      const bool other = std::string_view(name) == "last.h5" && fs::exists(weights_folder / "last.prev.h5");
      const std::string reason = error.what();
      const std::string where = reason.find(path.string()) == std::string::npos ? path.string() + ": " : "";
      if (!other) throw Error(where + reason, error.kind());
      log_warning("{}{}; trying the checkpoint before it", where, reason);
    }
  }
  return std::nullopt;
}

void check_resumable(const Checkpoint& checkpoint, const TrainOptions& options, const NetworkSpec& spec,
                     const std::vector<std::string>& names, int64_t pictures) {
  const std::string path = checkpoint.path.string();
  constexpr const char* kAdvice = "resume with the options in args.toml beside it, or start a new run with --weights";
  check(checkpoint.model.names == names && checkpoint.model.spec == spec,
        "{}: it is of another network or other classes than --model {} --imgsz {}x{} --data {}; {} {}", path,
        options.model, options.width, options.height, options.data.data, kAdvice, path);
  const TrainingState& state = checkpoint.state;
  const std::string& kind = text_of(state, "optimizer");
  const double ema = number(state, "ema");
  const int64_t frozen = count(state, "frozen_layers");
  check(kind == options.optimizer && (ema > 0) == (options.ema > 0) && frozen == frozen_layers(options, spec),
        "{}: it was trained with --optimizer {} --ema {} --freeze {}, which --optimizer {} --ema {} --freeze {} cannot "
        "go on with; {} {}",
        path, kind, ema, frozen, options.optimizer, options.ema, options.freeze, kAdvice, path);
  const RunPosition& at = checkpoint.position;
  check(at.next_batch == 0 || (at.batch == options.batch && at.pictures == pictures && at.seed == options.seed &&
                               at.batches_per_update == batches_per_update(options)),
        "{}: it stands in the middle of an epoch of {} pictures in batches of {}, {} an update, with seed {}, which "
        "--batch {} --nominal-batch {} --seed {} and {} pictures cannot go on with; {} {}",
        path, at.pictures, at.batch, at.batches_per_update, at.seed, options.batch, options.nominal_batch, options.seed,
        pictures, kAdvice, path);
}

void restore_optimizer(const Checkpoint& checkpoint, const TorchNetwork& network, Optimizer& optimizer) {
  const TrainingState& state = checkpoint.state;
  const torch::NoGradGuard no_grad;
  optimizer.resume_at(checkpoint.position.step, count(state, "accumulated"));
  for (OptimizerParam& param : optimizer.params()) {
    const ParamSlot& slot = network.slots()[param.slot];
    for (auto& [folder, tensor] : state_of(param, optimizer)) {
      const auto found = state.tensors.find(folder + slot.name);
      check(found != state.tensors.end() && found->second.shape() == slot.shape,
            "{}: it has no tensor '{}{}' of shape {}", checkpoint.path.string(), folder, slot.name,
            to_string(slot.shape));
      tensor.copy_(torch_from_tensor(found->second));
    }
    if (param.average.defined()) param.average.copy_(torch_from_tensor(checkpoint.model.weights.tensors[param.slot]));
  }
}

}  // namespace yolov3
