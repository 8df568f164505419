#include "train/checkpoint.h"

#include <unistd.h>

#include <charconv>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

std::string mean_name(const ParamSlot& slot) { return "adam/mean/" + slot.name; }
std::string square_name(const ParamSlot& slot) { return "adam/square/" + slot.name; }

// Keeps the present checkpoint under its second name without a moment in which neither name is good.
void keep_previous(const fs::path& last, const fs::path& previous) {
  if (!fs::exists(last)) return;
  const fs::path temporary = previous.string() + ".tmp";
  std::error_code reason;
  fs::remove(temporary, reason);
  fs::create_hard_link(last, temporary, reason);
  if (reason) fs::copy_file(last, temporary, fs::copy_options::overwrite_existing, reason);  // no hard links there
  if (!reason) fs::rename(temporary, previous, reason);
  std::error_code ignored;
  fs::remove(temporary, ignored);  // still there when both were one file already: then a rename does nothing
  if (reason) log_warning("{}: the checkpoint before the last could not be kept: {}", previous.string(), reason.message());
}

double number(const TrainingState& state, const std::string& key) {
  const auto found = state.values.find(key);
  check(found != state.values.end(), "the checkpoint has no value '{}'", key);
  const auto value = parse_number(found->second);
  check(value.has_value(), "the checkpoint's '{}' is '{}', expected a number", key, found->second);
  return *value;
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
                  {"args", args_toml}};
  keep_previous(weights_folder / "last.h5", weights_folder / "last.prev.h5");
  save_model(weights_folder / "last.h5", model, &state);
}

std::optional<Checkpoint> load_checkpoint(const fs::path& weights_folder) {
  for (const char* name : {"last.h5", "last.prev.h5"}) {
    const fs::path path = weights_folder / name;
    if (!fs::exists(path)) continue;
    try {
      Checkpoint checkpoint;
      checkpoint.model = load_model(path, &checkpoint.state);
      checkpoint.path = path;
      const TrainingState& state = checkpoint.state;
      checkpoint.position = {.epoch = static_cast<int>(number(state, "epoch")),
                             .next_batch = static_cast<int64_t>(number(state, "next_batch")),
                             .step = static_cast<int64_t>(number(state, "step")),
                             .best = number(state, "best"),
                             .seconds = number(state, "seconds"),
                             .giou_sum = number(state, "giou_sum"),
                             .conf_sum = number(state, "conf_sum"),
                             .prob_sum = number(state, "prob_sum"),
                             .images = static_cast<int64_t>(number(state, "images"))};
      return checkpoint;
    } catch (const Error& error) {
      const bool other = std::string_view(name) == "last.h5" && fs::exists(weights_folder / "last.prev.h5");
      if (!other) throw;
      log_warning("{}; trying the checkpoint before it", error.what());
    }
  }
  return std::nullopt;
}

void restore_adam(const TrainingState& state, TorchNetwork& network, Adam& adam) {
  const torch::NoGradGuard no_grad;
  size_t next = 0;
  for (const ParamSlot& slot : network.slots()) {
    if (!slot.trainable) continue;
    AdamParam& param = adam.params()[next++];
    const auto restore = [&](const std::string& name, torch::Tensor& moment) {
      const auto found = state.tensors.find(name);
      check(found != state.tensors.end() && found->second.shape() == slot.shape,
            "the checkpoint has no tensor '{}' of shape {}", name, to_string(slot.shape));
      moment.copy_(torch_from_tensor(found->second));
    };
    restore(mean_name(slot), param.mean);
    restore(square_name(slot), param.square);
  }
  adam.set_steps(static_cast<int64_t>(number(state, "adam_steps")));
}

}  // namespace yolov3
