#include "format/model_file.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/files.h"
#include "format/fenced_read.h"
#include "format/hdf5_file.h"
#include "format/keras_layout.h"
#include "format/keras_weights.h"
#include "format/sealed_file.h"
#include "net/cfg.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr int64_t kFormatVersion = 1;
constexpr const char* kFactPrefix = "fact_";
constexpr const char* kScales = "int8_scales";
constexpr const char* kFloatLayers = "int8_float_layers";
constexpr const char* kTensors = "training/tensors";
constexpr const char* kValues = "training/values";

void check_names(const NetworkSpec& spec, const std::vector<std::string>& names, const fs::path& path) {
  if (!is_detector(spec)) return;
  const auto classes = static_cast<size_t>(class_count(spec));
  check(names.size() == classes, "{}: class_names: expected {} names as the network has classes, found {}",
        path.string(), classes, names.size());
}

// Of all heads, small objects first: width and height in pixels, one after the other.
std::vector<float> anchor_list(const NetworkSpec& spec) {
  std::vector<float> list;
  if (!is_detector(spec)) return list;
  for (const Head& head : heads(spec)) {
    for (const Anchor& anchor : head.anchors) list.insert(list.end(), {anchor.width, anchor.height});
  }
  return list;
}

std::vector<int64_t> input_shape_list(const NetworkSpec& spec) {
  return {spec.input.channels, spec.input.height, spec.input.width};
}

// check_quantization() does not know the file.
void check_quantization_of(const fs::path& path, const NetworkSpec& spec, const Quantization& quantization) {
  try {
    check_quantization(spec, quantization);
  } catch (const Error& error) {
    fail("{}: {}", path.string(), error.what());
  }
}

// ---- writing

void write_quantization(hdf5::File& file, const Quantization& quantization) {
  const std::vector<int64_t> layers(quantization.float_layers.begin(), quantization.float_layers.end());
  file.write_attribute("", kScales, Shape{static_cast<int64_t>(quantization.scales.size())}, quantization.scales);
  file.write_attribute("", kFloatLayers, layers);
}

void write_description(hdf5::File& file, const Model& model) {
  file.write_attribute("", "format_version", kFormatVersion);
  file.write_attribute("", "yolov3_cfg", write_cfg(model.spec));
  file.write_attribute("", "class_names", model.names, hdf5::Charset::utf8);
  file.write_attribute("", "input_shape", input_shape_list(model.spec));
  file.write_attribute("", "bn_epsilon", Shape{}, std::vector<float>{model.spec.bn_epsilon});
  const std::vector<float> anchors = anchor_list(model.spec);
  file.write_attribute("", "anchors", Shape{static_cast<int64_t>(anchors.size()) / 2, 2}, anchors);
  for (const auto& [name, text] : model.facts) file.write_attribute("", kFactPrefix + name, text);
}

void write_training(hdf5::File& file, const TrainingState& state, const fs::path& path) {
  file.make_group(kTensors);
  file.make_group(kValues);
  for (const auto& [name, tensor] : state.tensors) {
    check(tensor.size() == element_count(tensor.shape()), "{}: the tensor '{}' of the training state holds nothing",
          path.string(), name);
    file.write_tensor(std::string(kTensors) + "/" + name, tensor.shape(), tensor.data());
  }
  for (const auto& [name, text] : state.values) file.write_text(std::string(kValues) + "/" + name, text);
}

// ---- reading

// Everything that is said twice must agree, so that no reader is misled by the half that it looks at.
void check_description(hdf5::File& file, const NetworkSpec& spec, const fs::path& path) {
  const std::vector<int64_t> input = file.read_integers_attribute("", "input_shape");
  check(input == input_shape_list(spec), "{}: input_shape: expected ({}) as in yolov3_cfg, found ({})", path.string(),
        fmt::join(input_shape_list(spec), ","), fmt::join(input, ","));
  const std::vector<float> epsilon = file.read_floats_attribute("", "bn_epsilon");
  check(epsilon.size() == 1 && epsilon[0] == spec.bn_epsilon, "{}: bn_epsilon: expected {} as in yolov3_cfg, found {}",
        path.string(), spec.bn_epsilon, fmt::join(epsilon, ","));
  check(file.read_floats_attribute("", "anchors") == anchor_list(spec), "{}: anchors: not those of yolov3_cfg",
        path.string());
}

void check_layer_names(hdf5::File& file, const std::vector<KerasLayer>& layers, const fs::path& path) {
  const std::vector<std::string> found = file.read_texts_attribute("", "layer_names");
  for (size_t i = 0; i < std::max(found.size(), layers.size()); ++i) {
    const std::string expected = i < layers.size() ? layers[i].name : "no more layers";
    const std::string got = i < found.size() ? found[i] : "no more layers";
    check(expected == got, "{}: layer_names[{}]: expected {} by the network in yolov3_cfg, found {}", path.string(), i,
          expected, got);
  }
}

std::optional<Quantization> read_quantization(hdf5::File& file, const NetworkSpec& spec, const fs::path& path) {
  if (!file.has_attribute("", kScales) && !file.has_attribute("", kFloatLayers)) return std::nullopt;
  Quantization quantization;
  quantization.scales = file.read_floats_attribute("", kScales);
  for (const int64_t layer : file.read_integers_attribute("", kFloatLayers)) {
    check(layer >= 0 && layer <= std::numeric_limits<int>::max(), "{}: {}: {} is no layer", path.string(), kFloatLayers,
          layer);
    quantization.float_layers.push_back(static_cast<int>(layer));
  }
  check_quantization_of(path, spec, quantization);
  return quantization;
}

// What is wanted of a file: `description` looks at every object in it, but leaves the numbers of its tensors where they
// are.
enum class Depth { description, everything };

// Every data set is looked at before the first tensor is made, so that a lying cfg costs no memory.
void check_shapes(hdf5::File& file, const std::vector<KerasLayer>& layers, const std::vector<ParamSlot>& slots,
                  const fs::path& path) {
  uint64_t bytes = 0;
  for (const KerasLayer& layer : layers) {
    for (const KerasWeight& weight : layer.weights) {
      const Shape& own = slots[weight.slot].shape;
      const Shape expected = weight.kernel ? hwio_shape(own) : own;
      const std::string name = layer.name + "/" + weight.name;
      const Shape found = file.tensor_shape(name);
      check(found == expected, "{}: {} ({}): expected the shape {} by the network in yolov3_cfg, found {}",
            path.string(), name, slots[weight.slot].name, to_string(expected), to_string(found));
      bytes += static_cast<uint64_t>(element_count(expected)) * sizeof(float);
      check(bytes <= file.size(), "{}: the weights claim more than the {} bytes of the file", path.string(),
            file.size());
    }
  }
}

Weights read_weights(hdf5::File& file, const NetworkSpec& spec, const fs::path& path, Depth depth) {
  const std::vector<ParamSlot> slots = param_slots(spec);
  const std::vector<KerasLayer> layers = keras_layers(spec, slots);
  check_layer_names(file, layers, path);
  check_shapes(file, layers, slots, path);
  Weights weights;
  if (depth == Depth::description) return weights;
  weights.tensors.resize(slots.size());
  std::vector<float> staged;
  for (const KerasLayer& layer : layers) {
    for (const KerasWeight& weight : layer.weights) {
      Tensor tensor(slots[weight.slot].shape);
      const std::string name = layer.name + "/" + weight.name;
      if (weight.kernel) {
        staged.resize(static_cast<size_t>(tensor.size()));
        file.read_tensor(name, hwio_shape(tensor.shape()), staged.data());
        oihw_from_hwio(tensor.shape(), staged.data(), tensor.data());
      } else {
        file.read_tensor(name, tensor.shape(), tensor.data());
      }
      weights.tensors[weight.slot] = std::move(tensor);
    }
  }
  return weights;
}

TrainingState read_training(hdf5::File& file, const fs::path& path, Depth depth) {
  TrainingState state;
  if (!file.exists("training")) return state;
  uint64_t bytes = 0;
  const auto account = [&](uint64_t more) {
    bytes += more;
    check(bytes <= file.size(), "{}: the training state claims more than the {} bytes of the file", path.string(),
          file.size());
  };
  for (const std::string& name : file.datasets_below(kTensors)) {
    const std::string full = std::string(kTensors) + "/" + name;
    const Shape shape = file.tensor_shape(full);
    account(static_cast<uint64_t>(element_count(shape)) * sizeof(float));
    if (depth == Depth::description) continue;
    Tensor tensor(shape);
    file.read_tensor(full, shape, tensor.data());
    state.tensors.emplace(name, std::move(tensor));
  }
  for (const std::string& name : file.datasets_below(kValues)) {
    const std::string text = file.read_text(std::string(kValues) + "/" + name);
    account(text.size());
    state.values.emplace(name, text);
  }
  return state;
}

Model read_model(hdf5::File& file, const fs::path& path, TrainingState* state, Depth depth) {
  const std::vector<int64_t> version = file.read_integers_attribute("", "format_version");
  check(version.size() == 1 && version[0] >= 1, "{}: format_version: expected one number from 1 on", path.string());
  check(version[0] <= kFormatVersion, "{}: written in format {}, this program knows {}; use a newer program",
        path.string(), version[0], kFormatVersion);

  Model model;
  model.spec = parse_cfg(file.read_text_attribute("", "yolov3_cfg"), path.string() + " (yolov3_cfg)").spec;
  check_description(file, model.spec, path);
  model.names = file.read_texts_attribute("", "class_names");
  check_names(model.spec, model.names, path);
  for (const std::string& name : file.attribute_names("")) {
    if (!name.starts_with(kFactPrefix)) continue;
    model.facts[name.substr(std::string_view(kFactPrefix).size())] = file.read_text_attribute("", name);
  }
  model.quantization = read_quantization(file, model.spec, path);
  model.weights = read_weights(file, model.spec, path, depth);
  if (state != nullptr) *state = read_training(file, path, depth);
  return model;
}

// The seal keeps accidents away from HDF5, not forgers. What it does with this file is tried in a child process first,
// down to where each tensor lies: a crash there is an Error here.
void try_fenced(int descriptor, uint64_t size, const fs::path& path, bool with_training) {
  read_fenced(path, [&](const PutBytes&) {
    hdf5::File file = hdf5::File::open(descriptor, size, path);
    TrainingState state;
    read_model(file, path, with_training ? &state : nullptr, Depth::description);
  });
}

}  // namespace

void save_model(const fs::path& path, const Model& model, const TrainingState* state) {
  check_weights(model.spec, model.weights);
  check_names(model.spec, model.names, path);
  if (model.quantization) check_quantization_of(path, model.spec, *model.quantization);
  AtomicFile output(path);
  const OpenFile opened = OpenFile::for_writing(output.temporary());
  uint64_t size = 0;
  {
    hdf5::File file = hdf5::File::create(opened.descriptor(), path);
    write_description(file, model);
    if (model.quantization) write_quantization(file, *model.quantization);
    write_keras_layers(file, model.spec, model.weights);
    if (state != nullptr) write_training(file, *state, path);
    size = file.close();
  }
  seal(opened.descriptor(), size, path);
  output.commit();
}

Model load_model(const fs::path& path, TrainingState* state) {
  const OpenFile opened = OpenFile::for_reading(path);
  const uint64_t size = verify_seal(opened.descriptor(), path);
  try_fenced(opened.descriptor(), size, path, state != nullptr);
  return read_model(opened.descriptor(), size, path, state);
}

Model read_model(int descriptor, uint64_t size, const fs::path& path, TrainingState* state) {
  hdf5::File file = hdf5::File::open(descriptor, size, path);
  return read_model(file, path, state, Depth::everything);
}

}  // namespace yolov3
