#include "train/checkpoint.h"

#include <algorithm>
#include <cstdint>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

std::string mean_name(const ParamSlot& slot) { return "adam/mean/" + slot.name; }
std::string square_name(const ParamSlot& slot) { return "adam/square/" + slot.name; }

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
  check(found != state.values.end(), "it is a model, not a checkpoint to resume from: it has no value '{}'", key);
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
          .seed = static_cast<uint64_t>(parse_integer(text_of(state, "seed")).value_or(0))};
}

}  // namespace

void save_checkpoint(const fs::path& weights_folder, const Model& model, TorchNetwork& network, Adam& adam,
                     const RunPosition& position, const std::string& args_toml) {
  TrainingState state;
  size_t next = 0;
  for (size_t i = 0; i < network.slots().size(); ++i) {
    if (!network.slots()[i].trainable) continue;
    const AdamParam& param = adam.params()[next++];
    state.tensors[mean_name(network.slots()[i])] = tensor_from_torch(param.mean);
    state.tensors[square_name(network.slots()[i])] = tensor_from_torch(param.square);
  }
  // {} of fmt prints the shortest text that reads back as the same double.
  state.values = {{"epoch", fmt::format("{}", position.epoch)},
                  {"next_batch", fmt::format("{}", position.next_batch)},
                  {"step", fmt::format("{}", position.step)},
                  {"adam_steps", fmt::format("{}", adam.steps())},
                  {"best", fmt::format("{}", position.best)},
                  {"seconds", fmt::format("{}", position.seconds)},
                  {"giou_sum", fmt::format("{}", position.giou_sum)},
                  {"conf_sum", fmt::format("{}", position.conf_sum)},
                  {"prob_sum", fmt::format("{}", position.prob_sum)},
                  {"images", fmt::format("{}", position.images)},
                  {"batch", fmt::format("{}", position.batch)},
                  {"pictures", fmt::format("{}", position.pictures)},
                  {"seed", fmt::format("{}", static_cast<int64_t>(position.seed))},
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

void restore_adam(const Checkpoint& checkpoint, TorchNetwork& network, Adam& adam) {
  const TrainingState& state = checkpoint.state;
  const torch::NoGradGuard no_grad;
  size_t next = 0;
  for (const ParamSlot& slot : network.slots()) {
    if (!slot.trainable) continue;
    AdamParam& param = adam.params()[next++];
    const auto restore = [&](const std::string& name, torch::Tensor& moment) {
      const auto found = state.tensors.find(name);
      check(found != state.tensors.end() && found->second.shape() == slot.shape,
            "{}: it has no tensor '{}' of shape {}", checkpoint.path.string(), name, to_string(slot.shape));
      moment.copy_(torch_from_tensor(found->second));
    };
    restore(mean_name(slot), param.mean);
    restore(square_name(slot), param.square);
  }
  adam.set_steps(count(state, "adam_steps"));
}

}  // namespace yolov3
