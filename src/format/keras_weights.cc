#include "format/keras_weights.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "format/hdf5_file.h"
#include "format/keras_layout.h"
#include "format/sealed_file.h"
#include "net/fold.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr size_t kListed = 6;  // mismatches in a message

// A layer of the file: a convolution or a batch normalisation, whatever it is called.
struct Unit {
  std::string name;                                   // its weights' common path: "model/conv2d_5"
  std::map<std::string, const KerasTensor*> weights;  // "kernel", "gamma", ...
  int ordinal = -1, layer_ordinal = -1;               // in its weights' name, in its layer's; -1: it says none
  bool is_conv() const { return weights.contains("kernel"); }
};

// "conv2d_5" -> 5, "conv2d" -> 0, "batch_normalization_v1_3" -> 3, "conv2d_5_1" -> 5; nothing for "conv_5". Of the
// layer's own name, which comes first in the path, or of its weights', which comes last.
std::optional<int> ordinal_of(std::string_view name, std::string_view kind, bool of_layer) {
  const size_t at = of_layer ? name.find(kind) : name.rfind(kind);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = name.substr(at + kind.size());
  if (rest.starts_with("_v1")) rest.remove_prefix(3);
  rest = rest.substr(0, rest.find('/'));
  if (rest.empty()) return 0;
  if (rest[0] != '_') return std::nullopt;
  const std::string_view digits = rest.substr(1, rest.find('_', 1) - 1);
  const auto number = parse_integer(digits);
  return number && *number >= 0 && *number < 1000000 ? std::optional(static_cast<int>(*number)) : std::nullopt;
}

// "a/conv2d_5/kernel:0" -> "kernel"
std::string_view kind_of(std::string_view name) {
  const std::string_view last = name.substr(name.rfind('/') + 1);
  return last.substr(0, last.find(':'));
}

std::vector<Unit> units_of(const std::vector<KerasTensor>& tensors) {
  std::vector<Unit> units;
  std::map<std::string, size_t> index;
  for (const KerasTensor& tensor : tensors) {
    const size_t slash = tensor.name.rfind('/');
    const std::string path =
        slash == std::string::npos ? tensor.layer : tensor.layer + "/" + tensor.name.substr(0, slash);
    const auto [found, fresh] = index.try_emplace(path, units.size());
    if (fresh) units.push_back({path, {}});
    units[found->second].weights.emplace(kind_of(tensor.name), &tensor);
  }
  for (Unit& unit : units) {
    const std::string_view kind = unit.is_conv() ? "conv2d" : "batch_normalization";
    unit.ordinal = ordinal_of(unit.name, kind, false).value_or(-1);
    unit.layer_ordinal = ordinal_of(unit.name, kind, true).value_or(-1);
  }
  return units;
}

// The units of one kind in the order in which they are to be taken; empty when the names say no order.
std::vector<const Unit*> by_ordinal(const std::vector<const Unit*>& units) {
  for (const auto ordinal : {&Unit::ordinal, &Unit::layer_ordinal}) {
    std::vector<const Unit*> sorted = units;
    std::ranges::sort(sorted, {}, ordinal);
    const bool numbered = sorted.empty() || sorted[0]->*ordinal >= 0;
    if (numbered && std::ranges::adjacent_find(sorted, {}, ordinal) == sorted.end()) return sorted;
  }
  return {};
}

// A layer of the network as it is stored, and its slots.
struct Wanted {
  std::string name;
  std::vector<std::pair<std::string, size_t>> weights;  // "kernel" -> slot
  bool is_conv = false;
};

std::vector<Wanted> wanted_layers(const NetworkSpec& spec, const std::vector<ParamSlot>& slots, bool keras_order) {
  std::vector<Wanted> wanted;
  for (const KerasLayer& layer : keras_layers(spec, slots)) {
    Wanted& one = wanted.emplace_back();
    one.name = layer.name;
    for (const KerasWeight& weight : layer.weights) {
      one.weights.emplace_back(kind_of(weight.name), weight.slot);
      one.is_conv = one.is_conv || weight.kernel;
    }
  }
  if (!keras_order) {
    std::ranges::stable_sort(wanted, {}, [](const Wanted& one) { return one.weights[0].second; });
  }
  return wanted;
}

// One way of pairing, and what does not fit in it.
struct Attempt {
  std::string how;
  std::vector<std::pair<const Wanted*, const Unit*>> pairs;
  std::vector<std::string> misfits;
};

void check_pair(const Wanted& wanted, const Unit& unit, const std::vector<ParamSlot>& slots, Attempt& attempt) {
  for (const auto& [kind, slot] : wanted.weights) {
    const Shape shape = kind == "kernel" ? hwio_shape(slots[slot].shape) : slots[slot].shape;
    const auto found = unit.weights.find(kind);
    if (found == unit.weights.end()) {
      attempt.misfits.push_back(fmt::format("{} has no {}, which {} needs", unit.name, kind, wanted.name));
    } else if (found->second->shape != shape) {
      attempt.misfits.push_back(fmt::format("{}: {} is {}, but {} needs {}", unit.name, kind,
                                            to_string(found->second->shape), wanted.name, to_string(shape)));
    }
  }
  if (unit.weights.size() > wanted.weights.size()) {
    attempt.misfits.push_back(fmt::format("{} has {} arrays, {} takes {}", unit.name, unit.weights.size(), wanted.name,
                                          wanted.weights.size()));
  }
}

void pair_up(const std::vector<const Wanted*>& wanted, const std::vector<const Unit*>& units,
             const std::vector<ParamSlot>& slots, Attempt& attempt) {
  for (size_t i = 0; i < std::max(wanted.size(), units.size()); ++i) {
    if (i >= units.size()) {
      attempt.misfits.push_back(fmt::format("{} is not in the file", wanted[i]->name));
    } else if (i >= wanted.size()) {
      attempt.misfits.push_back(fmt::format("{} has no place in the network", units[i]->name));
    } else {
      check_pair(*wanted[i], *units[i], slots, attempt);
      attempt.pairs.emplace_back(wanted[i], units[i]);
    }
  }
}

template <class T>
std::vector<const T*> of_kind(const std::vector<T>& all, bool conv) {
  std::vector<const T*> some;
  for (const T& one : all) {
    if constexpr (std::is_same_v<T, Unit>) {
      if (one.is_conv() == conv) some.push_back(&one);
    } else {
      if (one.is_conv == conv) some.push_back(&one);
    }
  }
  return some;
}

Attempt attempt_by_name(const std::vector<Wanted>& darknet_order, const std::vector<Unit>& units,
                        const std::vector<ParamSlot>& slots) {
  Attempt attempt{"by name", {}, {}};
  for (const bool conv : {true, false}) {
    const auto sorted = by_ordinal(of_kind(units, conv));
    if (sorted.empty() && !of_kind(units, conv).empty()) {
      attempt.misfits.push_back("the names do not number the layers");
      return attempt;
    }
    pair_up(of_kind(darknet_order, conv), sorted, slots, attempt);
  }
  return attempt;
}

Attempt attempt_by_order(const std::string& how, const std::vector<Wanted>& wanted, const std::vector<Unit>& units,
                         const std::vector<ParamSlot>& slots) {
  Attempt attempt{how, {}, {}};
  for (const bool conv : {true, false}) pair_up(of_kind(wanted, conv), of_kind(units, conv), slots, attempt);
  return attempt;
}

[[noreturn]] void fail_misfit(const std::vector<Attempt>& attempts, const std::vector<Unit>& units,
                              const std::vector<Wanted>& wanted, const fs::path& path) {
  const Attempt& best = *std::ranges::min_element(attempts, {}, [](const Attempt& a) { return a.misfits.size(); });
  std::string message = fmt::format(
      "{}: Keras' weights of {} convolutions and {} batch normalisations, the network has {} and {}; paired {}, {} do "
      "not match:",
      path.string(), of_kind(units, true).size(), of_kind(units, false).size(), of_kind(wanted, true).size(),
      of_kind(wanted, false).size(), best.how, best.misfits.size());
  for (size_t i = 0; i < std::min(best.misfits.size(), kListed); ++i) message += "\n  " + best.misfits[i];
  if (best.misfits.size() > kListed) message += fmt::format("\n  and {} more", best.misfits.size() - kListed);
  throw Error(message);
}

Weights take_weights(const Attempt& attempt, const std::vector<ParamSlot>& slots) {
  Weights weights;
  weights.tensors.resize(slots.size());
  for (const auto& [wanted, unit] : attempt.pairs) {
    for (const auto& [kind, slot] : wanted->weights) {
      Tensor tensor(slots[slot].shape);
      const std::vector<float>& values = unit->weights.at(kind)->values;
      if (kind == "kernel") {
        oihw_from_hwio(tensor.shape(), values.data(), tensor.data());
      } else {
        std::ranges::copy(values, tensor.data());
      }
      weights.tensors[slot] = std::move(tensor);
    }
  }
  return weights;
}

}  // namespace

std::string describe_keras_layers(const std::vector<KerasTensor>& tensors) {
  const std::vector<Unit> units = units_of(tensors);
  const std::vector<const Unit*> convs = of_kind(units, true);
  const auto one = [](const Unit& unit) {
    return fmt::format("{} {}", unit.name, to_string(unit.weights.at("kernel")->shape));
  };
  if (convs.empty()) return fmt::format("no convolution among {}", units.size());
  return fmt::format("{} convolutions, {} to {}, and {} others", convs.size(), one(*convs.front()), one(*convs.back()),
                     units.size() - convs.size());
}

KerasMatch match_keras_tensors(const std::vector<KerasTensor>& tensors, const NetworkSpec& spec, const fs::path& path) {
  const std::vector<ParamSlot> slots = param_slots(spec);
  const std::vector<Wanted> keras_order = wanted_layers(spec, slots, true), order = wanted_layers(spec, slots, false);
  const std::vector<Unit> units = units_of(tensors);
  const std::vector<Attempt> attempts = {attempt_by_name(order, units, slots),
                                         attempt_by_order("by Keras' order of layers", keras_order, units, slots),
                                         attempt_by_order("in Darknet's order", order, units, slots)};
  const auto fit = std::ranges::find_if(attempts, [](const Attempt& attempt) { return attempt.misfits.empty(); });
  if (fit == attempts.end()) fail_misfit(attempts, units, order, path);
  NetworkSpec as_stored = spec;
  as_stored.bn_epsilon = kKerasEpsilon;
  try {
    return {with_bn_epsilon(std::move(as_stored), take_weights(*fit, slots), spec.bn_epsilon).weights, fit->how};
  } catch (const Error& error) {
    fail("{}: {}", path.string(), error.what());
  }
}

void write_keras_layers(hdf5::File& file, const NetworkSpec& spec, const Weights& weights) {
  const std::vector<ParamSlot> slots = param_slots(spec);
  const std::vector<KerasLayer> layers = keras_layers(spec, slots);
  std::vector<std::string> layer_names;
  for (const KerasLayer& layer : layers) layer_names.push_back(layer.name);
  file.write_attribute("", "layer_names", layer_names, hdf5::Charset::ascii);
  file.write_attribute("", "backend", "tensorflow");
  file.write_attribute("", "keras_version", "2.4.0");

  std::vector<float> staged;
  for (const KerasLayer& layer : layers) {
    file.make_group(layer.name);
    std::vector<std::string> weight_names;
    for (const KerasWeight& weight : layer.weights) {
      weight_names.push_back(weight.name);
      const Tensor& tensor = weights.tensors[weight.slot];
      const std::string path = layer.name + "/" + weight.name;
      if (weight.kernel) {
        staged.resize(static_cast<size_t>(tensor.size()));
        hwio_from_oihw(tensor.shape(), tensor.data(), staged.data());
        file.write_tensor(path, hwio_shape(tensor.shape()), staged.data());
      } else {
        file.write_tensor(path, tensor.shape(), tensor.data());
      }
    }
    file.write_attribute(layer.name, "weight_names", weight_names, hdf5::Charset::ascii);
  }
}

void save_keras_weights(const fs::path& path, const NetworkSpec& spec, const Weights& weights) {
  const Rescaled rescaled = with_bn_epsilon(spec, weights, kKerasEpsilon);
  AtomicFile output(path);
  const OpenFile opened = OpenFile::for_writing(output.temporary());
  hdf5::File file = hdf5::File::create(opened.descriptor(), path);
  write_keras_layers(file, rescaled.spec, rescaled.weights);
  file.close();
  output.commit();
}

}  // namespace yolov3
