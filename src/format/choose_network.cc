#include "format/choose_network.h"

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "net/cfg.h"
#include "net/models.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr int kMaxClasses = 65536;
constexpr int kGuessedClasses = 1000;  // a model that nobody named is not taken for one of more classes
constexpr int kDefaultClasses = 80;    // COCO's
constexpr const char* kFamily[] = {"yolov3", "yolov3-spp", "yolov3-tiny"};

struct Fit {
  std::string model;
  int classes;
};

// Models of the family that have exactly so many numbers with some class count.
std::vector<Fit> family_fits(int64_t numbers, int most_classes) {
  std::vector<Fit> fits;
  for (const char* name : kFamily) {
    const auto classes = fitting_classes(make_model(name, {}), numbers);
    if (classes && *classes <= most_classes) fits.push_back({name, *classes});
  }
  return fits;
}

std::string where_it_ends(const std::vector<ParamSlot>& slots, int64_t numbers) {
  for (const ParamSlot& slot : slots) {
    const int64_t count = element_count(slot.shape);
    if (numbers < count) return fmt::format("{} of {} in {}", numbers, count, slot.name);
    numbers -= count;
  }
  return "the end";
}

// The .cfg that Darknet's people publish beside the weights, for the message.
std::string advice_of(const fs::path& path) {
  std::error_code ignored;
  const fs::path cfg = fs::path(path).replace_extension(".cfg");
  if (fs::exists(cfg, ignored)) return fmt::format("--model {}, which lies beside it", cfg.string());
  return "--model FILE.cfg";
}

// Darknet's tiny model was published with weights whose second head has other anchors than its later .cfg.
void warn_of_tiny(const fs::path& path, const std::string& model, int classes) {
  if (model != "yolov3-tiny" || classes != kDefaultClasses) return;
  log_warning(
      "{}: yolov3-tiny has the anchors 0,1,2 in its second head, as in Darknet's .cfg; weights that were trained with "
      "1,2,3 need their own .cfg: --model FILE.cfg",
      path.string());
}

NetworkSpec guess_network(int64_t numbers, const fs::path& path) {
  const std::vector<Fit> fits = family_fits(numbers, kGuessedClasses);
  check(!fits.empty(),
        "{}: {} numbers, which fits none of yolov3, yolov3-spp and yolov3-tiny with any number of classes; say which "
        "network it is with {}",
        path.string(), numbers, advice_of(path));
  check(fits.size() == 1, "{}: {} numbers fit both {} with {} classes and {} with {}; say which with --model",
        path.string(), numbers, fits[0].model, fits[0].classes, fits.back().model, fits.back().classes);
  log_info("{}: taken as {} with {} classes, which has exactly its {} numbers", path.string(), fits[0].model,
           fits[0].classes, numbers);
  warn_of_tiny(path, fits[0].model, fits[0].classes);
  return make_model(fits[0].model, {.classes = fits[0].classes, .anchors = {}});
}

NetworkSpec named_network(const NetworkChoice& choice, int64_t numbers, const fs::path& path) {
  if (ends_with_ignoring_case(choice.model, ".cfg")) return parse_cfg(read_file(choice.model), choice.model).spec;
  const int asked = choice.classes > 0 ? choice.classes : kDefaultClasses;
  NetworkSpec spec = make_model(choice.model, {.classes = asked, .anchors = {}});
  if (choice.classes == 0 && !choice.transfer) {
    if (const auto classes = fitting_classes(spec, numbers)) {
      spec = with_classes(std::move(spec), *classes);
      warn_of_tiny(path, choice.model, *classes);
    }
  }
  return spec;
}

// For training: whatever of the file can be used.
NetworkSpec transfer_network(NetworkSpec spec, int64_t numbers, const fs::path& path) {
  const std::vector<ParamSlot> slots = param_slots(spec);
  const size_t part = whole_slots(slots, numbers);
  const auto classes = fitting_classes(spec, numbers);
  check(part == 0 || !classes,
        "{}: {} numbers are either a backbone of {} convolutions or the whole network with {} classes; say which by a "
        ".cfg of exactly that network",
        path.string(), numbers, part > 0 ? slots[part - 1].conv + 1 : 0, classes.value_or(0));
  if (classes) {
    log_info("{}: the same network with {} classes", path.string(), *classes);
    return with_classes(std::move(spec), *classes);
  }
  if (part > 0) {
    const ParamSlot& last = slots[part - 1];
    log_info("{}: a backbone, {} of {} convolutions", path.string(), last.conv + 1, slots.back().conv + 1);
    return first_layers(std::move(spec), last.layer + 1);
  }
  if (family_fits(numbers, kGuessedClasses).empty()) fail_numbers(path, numbers, spec);
  return guess_network(numbers, path);
}

}  // namespace

int64_t count_numbers(const std::vector<ParamSlot>& slots) {
  int64_t count = 0;
  for (const ParamSlot& slot : slots) count += element_count(slot.shape);
  return count;
}

size_t whole_slots(const std::vector<ParamSlot>& slots, int64_t numbers) {
  for (size_t i = 0; i < slots.size() && numbers > 0; ++i) {
    numbers -= element_count(slots[i].shape);
    if (numbers == 0 && slots[i].kind == ParamKind::kernel) return i + 1;
  }
  return 0;
}

std::optional<int> fitting_classes(const NetworkSpec& spec, int64_t numbers) {
  int64_t a_class = 0, classes = 0;
  for (const Layer& layer : spec.layers) {
    const auto* yolo = std::get_if<Yolo>(&layer.op);
    if (yolo == nullptr) continue;
    if (layer.inputs[0] == kNetworkInput) return std::nullopt;
    const auto index = static_cast<size_t>(layer.inputs[0]);
    const auto* conv = std::get_if<Conv>(&spec.layers[index].op);
    if (conv == nullptr) return std::nullopt;
    const int64_t kernel = input_shape(spec, index).channels / conv->groups * conv->size * conv->size;
    a_class += static_cast<int64_t>(yolo->mask.size()) * (kernel + (conv->batch_normalize ? 4 : 1));
    classes = yolo->classes;
  }
  const int64_t more = numbers - count_numbers(param_slots(spec));
  if (a_class == 0 || more % a_class != 0) return std::nullopt;
  const int64_t fits = classes + more / a_class;
  return fits >= 1 && fits <= kMaxClasses ? std::optional(static_cast<int>(fits)) : std::nullopt;
}

void fail_numbers(const fs::path& path, int64_t numbers, const NetworkSpec& spec) {
  const std::vector<ParamSlot> slots = param_slots(spec);
  const int64_t expected = count_numbers(slots);
  std::string message = fmt::format("{}: {} numbers, but the network has {}", path.string(), numbers, expected);
  if (is_detector(spec)) message += fmt::format(" with its {} classes", class_count(spec));
  const size_t part = whole_slots(slots, numbers);
  const std::vector<Fit> fits = family_fits(numbers, kMaxClasses);
  if (const auto classes = fitting_classes(spec, numbers)) {
    message +=
        fmt::format("; {} classes would fit: give the .cfg (or the number of classes) it was trained with", *classes);
  } else if (!fits.empty()) {
    message +=
        fmt::format("; it would fit {} with {} classes: is this the right model?", fits[0].model, fits[0].classes);
  } else if (part > 0) {
    message += fmt::format("; it ends with convolution {} of {} (layer {}): a backbone, which training can begin with",
                           slots[part - 1].conv + 1, slots.back().conv + 1, slots[part - 1].layer);
  } else if (numbers < expected) {
    message += fmt::format("; it ends after {}: was the download cut, or is it of another model?",
                           where_it_ends(slots, numbers));
  } else {
    message += fmt::format("; {} are too many: is it of another model?", numbers - expected);
  }
  throw Error(message);
}

NetworkSpec choose_network(const NetworkChoice& choice, int64_t numbers, const fs::path& path) {
  if (choice.model.empty()) return guess_network(numbers, path);
  NetworkSpec spec = named_network(choice, numbers, path);
  if (count_numbers(param_slots(spec)) == numbers) return spec;
  if (!choice.transfer) fail_numbers(path, numbers, spec);
  return transfer_network(std::move(spec), numbers, path);
}

}  // namespace yolov3
