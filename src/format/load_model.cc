#include "format/load_model.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "base/usage.h"
#include "format/choose_network.h"
#include "format/darknet_weights.h"
#include "format/keras_weights.h"
#include "format/sealed_file.h"
#include "net/coco_names.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

NetworkSpec network_of(const ModelSource& source, int64_t numbers) {
  const NetworkChoice choice{source.model, static_cast<int>(source.names.size()), source.transfer};
  return choose_network(choice, numbers, source.weights);
}

// A variance is never negative; numbers that were read into wrong places are, somewhere. (Dead channels of published
// models have -7e-44.)
void check_places(const NetworkSpec& spec, const Weights& weights, const fs::path& path) {
  constexpr float kRounding = -1e-6f;
  const std::vector<ParamSlot> slots = param_slots(spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].kind != ParamKind::running_var) continue;
    const auto values = weights.tensors[i].values();
    const auto wrong = std::ranges::find_if(values, [](float v) { return !(v >= kRounding) || std::isinf(v); });
    check(wrong == values.end(),
          "{}: {} has {}, which no variance can be: the file is of another network or class count (as many numbers, in "
          "other places), or damaged; give the .cfg that it was trained with",
          path.string(), slots[i].name, wrong == values.end() ? 0 : *wrong);
  }
}

// The bits of an exponent that says infinite or not a number: a loop without branches, for 62 million numbers.
bool all_finite(std::span<const float> values) {
  uint32_t found = 0;
  for (const float value : values) found |= (std::bit_cast<uint32_t>(value) & 0x7f800000u) == 0x7f800000u;
  return found == 0;
}

// One such number makes every score of the network one, and no box would be found, without a word.
void check_finite(const NetworkSpec& spec, const Weights& weights, const fs::path& path) {
  const std::vector<ParamSlot> slots = param_slots(spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    check(all_finite(weights.tensors[i].values()),
          "{}: {} holds infinite numbers or none (nan): the training that wrote it diverged, or the file is damaged",
          path.string(), slots[i].name);
  }
}

void give_names(const ModelSource& source, LoadedModel& loaded) {
  Model& model = loaded.model;
  if (!is_detector(model.spec)) return;
  const int classes = class_count(model.spec);
  if (!source.names.empty()) {
    check(source.names.size() == static_cast<size_t>(classes), "{}: {} class names were given for its {} classes",
          source.weights.string(), source.names.size(), classes);
    model.names = source.names;
  } else if (static_cast<size_t>(classes) == coco_names().size()) {
    model.names = coco_names();
    log_info("{}: it names no classes; its 80 are taken as COCO's", source.weights.string());
  } else {
    loaded.named = false;
    for (int k = 0; k < classes; ++k) model.names.push_back(std::to_string(k));
  }
}

LoadedModel load_own(const ModelSource& source) {
  if (!source.model.empty() && !source.transfer) {
    fail_usage("--model {}: {} holds its own network; give one of them", source.model, source.weights.string());
  }
  return {load_model(source.weights), ModelKind::own, true};
}

LoadedModel load_darknet(const ModelSource& source) {
  LoadedModel loaded{{}, ModelKind::darknet, true};
  loaded.model.spec = network_of(source, count_darknet_numbers(source.weights));
  DarknetWeights read = load_darknet_weights(source.weights, loaded.model.spec);
  loaded.model.weights = std::move(read.weights);
  loaded.model.facts["origin"] = fmt::format("Darknet's {}", source.weights.filename().string());
  loaded.model.facts["pictures_seen"] = std::to_string(read.seen);
  return loaded;
}

LoadedModel load_keras(const ModelSource& source) {
  LoadedModel loaded{{}, ModelKind::keras, true};
  const std::vector<KerasTensor> tensors = load_keras_tensors(source.weights);
  try {
    loaded.model.spec = network_of(source, count_keras_numbers(tensors));
  } catch (const Error& error) {
    fail("{}\nKeras' layers in it: {}", error.what(), describe_keras_layers(tensors));
  }
  KerasMatch match = match_keras_tensors(tensors, loaded.model.spec, source.weights);
  loaded.model.weights = std::move(match.weights);
  loaded.model.facts["origin"] = fmt::format("Keras' {}", source.weights.filename().string());
  log_info("{}: Keras' weights, {} arrays paired {}", source.weights.string(), tensors.size(), match.how);
  return loaded;
}

}  // namespace

ModelKind kind_of_model(const fs::path& path) {
  const FileKind kind = kind_of_file(OpenFile::for_reading(path).descriptor(), path);
  if (kind == FileKind::other_hdf5) return ModelKind::keras;
  // An .h5 that is no HDF5 is a failed download or something else that the own format's messages tell.
  const bool own = kind == FileKind::sealed || ends_with_ignoring_case(path.string(), ".h5") ||
                   ends_with_ignoring_case(path.string(), ".hdf5");
  return own ? ModelKind::own : ModelKind::darknet;
}

LoadedModel load_model(const ModelSource& source) {
  const ModelKind kind = kind_of_model(source.weights);
  LoadedModel loaded = kind == ModelKind::own       ? load_own(source)
                       : kind == ModelKind::darknet ? load_darknet(source)
                                                    : load_keras(source);
  if (kind != ModelKind::own) check_places(loaded.model.spec, loaded.model.weights, source.weights);
  check_finite(loaded.model.spec, loaded.model.weights, source.weights);
  if (kind != ModelKind::own) give_names(source, loaded);
  return loaded;
}

}  // namespace yolov3
