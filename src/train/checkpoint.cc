#include "train/checkpoint.h"

#include <algorithm>
#include <cstdint>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "format/sealed_file.h"
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

// Whether the file is other than it was written. Where it is not, it is memory, rights or the like that forbid to read it:
// an older checkpoint would be no better, and would cost what was trained since. Errors: it cannot be opened.
bool is_damaged(const fs::path& path) {
  const OpenFile file = OpenFile::for_reading(path);
  try {
    verify_seal(file.descriptor(), path);
    return false;
  } catch (const Error&) {
    return true;
  }
}

}  // namespace

const std::string& Checkpoint::plan() const {
  const auto found = state.values.find("plan");
  check(found != state.values.end(),
        "{}: an older version's checkpoint, which cannot be resumed; use it with --weights", path.string());
  return found->second;
}

std::optional<std::string> Checkpoint::results() const {
  const auto found = state.values.find("results");
  return found == state.values.end() ? std::nullopt : std::optional<std::string>(found->second);
}

std::map<std::string, std::string> Checkpoint::facts() const {
  std::map<std::string, std::string> facts = model.facts;
  facts.erase("ended");
  return facts;
}

void save_checkpoint(const fs::path& weights_folder, const Model& model, const TorchNetwork& network,
                     Optimizer& optimizer, const RunState& run) {
  TrainingState state;
  for (const OptimizerParam& param : optimizer.params()) {
    for (const auto& [folder, tensor] : state_of(param, optimizer)) {
      state.tensors[folder + network.slots()[param.slot].name] = tensor_from_torch(tensor);
    }
  }
  write_position(run.position, state.values);
  state.values.insert({{"optimizer", to_string(optimizer.options().kind)},
                       {"ema", fmt::format("{}", optimizer.options().ema_decay)},
                       {"frozen_layers", fmt::format("{}", network.frozen_layers())},
                       {"accumulated", fmt::format("{}", optimizer.accumulated())},
                       {"plan", run.plan},
                       {"results", run.results},
                       {"args", run.args_toml}});
  make_directories(weights_folder);
  save_model(weights_folder / "next.h5", model, &state);
  rotate(weights_folder / "next.h5", weights_folder / "last.h5", weights_folder / "last.prev.h5");
}

std::optional<Checkpoint> load_checkpoint(const fs::path& weights_folder) {
  std::vector<fs::path> there;  // next.h5: of a process that was killed before it could put it in its place
  for (const char* name : {"last.h5", "next.h5", "last.prev.h5"}) {
    if (fs::exists(weights_folder / name)) there.push_back(weights_folder / name);
  }
  for (const fs::path& path : there) {
    try {
      Checkpoint checkpoint;
      checkpoint.model = load_model(path, &checkpoint.state);
      checkpoint.path = path;
      checkpoint.position = read_position(checkpoint.state.values);
      return checkpoint;
    } catch (const Error& error) {
      const std::string reason = error.what();
      const std::string where = reason.find(path.string()) == std::string::npos ? path.string() + ": " : "";
      if (path == there.back() || !is_damaged(path)) throw Error(where + reason, error.kind());
      log_warning("{}{}; trying the next best checkpoint", where, reason);
    }
  }
  return std::nullopt;
}

void check_resumable(const Checkpoint& checkpoint, const TrainOptions& options, const NetworkSpec& spec,
                     const std::vector<std::string>& names, int64_t pictures) {
  const std::string path = checkpoint.path.string();
  constexpr const char* kAdvice = "resume with the options in args.toml beside it, or start a new run with --weights";
  const auto differ = std::ranges::mismatch(checkpoint.model.names, names);
  check(checkpoint.model.names.size() != names.size() || differ.in1 == checkpoint.model.names.end(),
        "{}: its class {} is \"{}\", which is \"{}\" with --data {}{}; {} {}", path,
        differ.in1 - checkpoint.model.names.begin(), differ.in1 == checkpoint.model.names.end() ? "" : *differ.in1,
        differ.in2 == names.end() ? "" : *differ.in2, options.data.data,
        options.data.names.empty() ? "" : " --names " + options.data.names.string(), kAdvice, path);
  check(
      checkpoint.model.names.size() == names.size() && checkpoint.model.spec == spec,
      "{}: it is a network of {} layers for {}x{} and {} classes, not that of --model {} --imgsz {}x{} --data {} with "
      "{} classes; {} {}",
      path, checkpoint.model.spec.layers.size(), checkpoint.model.spec.input.width, checkpoint.model.spec.input.height,
      checkpoint.model.names.size(), options.model, options.width, options.height, options.data.data, names.size(),
      kAdvice, path);
  const TrainingState& state = checkpoint.state;
  const std::string& kind = state_text(state.values, "optimizer");
  const double ema = state_number(state.values, "ema");
  const int64_t frozen = state_count(state.values, "frozen_layers");
  check(kind == to_string(parse_optimizer(options.optimizer)) && (ema > 0) == (options.ema > 0) &&
            frozen == frozen_layers(options, spec),
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
  optimizer.resume_at(checkpoint.position.step, state_count(state.values, "accumulated"));
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
