// For tests: files as Keras writes them, made without Keras, whose every number is known.
#pragma once

#include <gtest/gtest.h>
#include <hdf5.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "format/hdf5_file.h"
#include "net/builder.h"
#include "net/weights.h"

namespace yolov3::testing {

// Two convolutions with batch norm and a head: conv2d (4 filters, 3x3 over 3), conv2d_1 (6, 1x1 over 4),
// conv2d_2 (7, 1x1 over 6, bias).
inline NetworkSpec three_convolutions() {
  NetworkBuilder net({3, 32, 32});
  net.conv(4, 3, 32).conv(6, 1);
  return net.conv(7, 1, 1, Activation::linear, false).yolo({{8, 8}}, {0}, 2).build();
}

// One array of a layer as this test makes it: numbers from a formula, so that each place is known.
struct KerasFileArray {
  std::string name;
  std::vector<hsize_t> extents;
  std::vector<float> values;
};
struct KerasFileLayer {
  std::string name;
  std::vector<KerasFileArray> arrays;
};

inline std::vector<float> numbers(size_t count, double first, double step) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(first + step * static_cast<double>(i % 97));
  return values;
}

inline KerasFileLayer conv_layer(const std::string& name, const std::string& path, hsize_t size, hsize_t in,
                                 hsize_t out, bool bias) {
  KerasFileLayer layer{name, {{path + "/kernel:0", {size, size, in, out}, numbers(size * size * in * out, -1, 0.02)}}};
  if (bias) layer.arrays.push_back({path + "/bias:0", {out}, numbers(out, 0.5, 0.25)});
  return layer;
}

inline KerasFileLayer norm_layer(const std::string& name, const std::string& path, hsize_t out) {
  return {name,
          {{path + "/gamma:0", {out}, numbers(out, 0.7, 0.3)},
           {path + "/beta:0", {out}, numbers(out, -0.2, 0.1)},
           {path + "/moving_mean:0", {out}, numbers(out, 0.1, -0.3)},
           {path + "/moving_variance:0", {out}, numbers(out, 1e-4, 0.2)}}};
}

// How a program writes lists of names.
struct KerasStyle {
  std::string root;         // "", or "model_weights" as model.save has it
  bool long_texts = false;  // each of its own length, as h5py 3 writes a list of bytes; else of one length, as h5py 2
  bool weightless = false;  // layers without weights are listed too; numpy calls their empty lists float64
  size_t names_a_part = 0;  // lists are cut into NAME0, NAME1, ... of so many names; 0 = not
};

inline void write_text_list(hid_t object, const std::string& name, const std::vector<std::string>& texts,
                            const KerasStyle& style) {
  const hsize_t count = texts.size();
  const hdf5::Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
  const hdf5::Handle type(texts.empty() ? H5Tcopy(H5T_IEEE_F64LE) : H5Tcopy(H5T_C_S1), H5Tclose);
  size_t width = 1;
  std::vector<const char*> pointers;
  for (const std::string& text : texts) {
    width = std::max(width, text.size());
    pointers.push_back(text.c_str());
  }
  if (!texts.empty()) H5Tset_size(type.id(), style.long_texts ? H5T_VARIABLE : width);
  if (!texts.empty() && !style.long_texts) H5Tset_strpad(type.id(), H5T_STR_NULLPAD);
  const hdf5::Handle attribute(H5Acreate2(object, name.c_str(), type.id(), space.id(), H5P_DEFAULT, H5P_DEFAULT),
                               H5Aclose);
  std::string bytes(width * texts.size(), '\0');
  for (size_t i = 0; i < texts.size(); ++i) bytes.replace(i * width, texts[i].size(), texts[i]);
  if (texts.empty()) return;
  const void* data = style.long_texts ? static_cast<const void*>(pointers.data()) : bytes.data();
  ASSERT_GE(H5Awrite(attribute.id(), type.id(), data), 0);
}

inline void write_names(hid_t object, const std::string& name, const std::vector<std::string>& names,
                        const KerasStyle& style) {
  if (style.names_a_part == 0) return write_text_list(object, name, names, style);
  for (size_t first = 0, part = 0; first < names.size(); first += style.names_a_part, ++part) {
    const auto begin = names.begin() + static_cast<std::ptrdiff_t>(first);
    const size_t count = std::min(style.names_a_part, names.size() - first);
    write_text_list(object, name + std::to_string(part), {begin, begin + static_cast<std::ptrdiff_t>(count)}, style);
  }
}

// As h5py writes it by default: HDF5's oldest format.
inline void write_keras_file(const std::filesystem::path& path, std::vector<KerasFileLayer> layers,
                             const KerasStyle& style = {}) {
  if (style.weightless) {
    layers.insert(layers.begin(), {"input_1", {}});
    layers.insert(layers.begin() + 2, {"leaky_re_lu", {}});
  }
  const hdf5::Session session;
  const hdf5::Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
  const hdf5::Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(links.id(), 1);
  const hdf5::Handle base(style.root.empty()
                              ? H5Gopen2(file.id(), "/", H5P_DEFAULT)
                              : H5Gcreate2(file.id(), style.root.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                          H5Gclose);
  std::vector<std::string> layer_names;
  for (const KerasFileLayer& layer : layers) {
    layer_names.push_back(layer.name);
    const hdf5::Handle group(H5Gcreate2(base.id(), layer.name.c_str(), links.id(), H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
    std::vector<std::string> names;
    for (const KerasFileArray& array : layer.arrays) {
      names.push_back(array.name);
      const hdf5::Handle space(H5Screate_simple(static_cast<int>(array.extents.size()), array.extents.data(), nullptr),
                               H5Sclose);
      const hdf5::Handle data(
          H5Dcreate2(group.id(), array.name.c_str(), H5T_IEEE_F32LE, space.id(), links.id(), H5P_DEFAULT, H5P_DEFAULT),
          H5Dclose);
      ASSERT_GE(H5Dwrite(data.id(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, array.values.data()), 0);
    }
    write_names(group.id(), "weight_names", names, names.empty() ? KerasStyle{} : style);
  }
  write_names(base.id(), "layer_names", layer_names, style);
}

// The network's layers under names that `name` makes of a kind and an ordinal: {layer, path of its weights}.
using Naming = std::function<std::pair<std::string, std::string>(const std::string& kind, int ordinal)>;
inline std::vector<KerasFileLayer> layers_named(const Naming& name) {
  const auto [c0, p0] = name("conv2d", 0);
  const auto [c1, p1] = name("conv2d", 1);
  const auto [c2, p2] = name("conv2d", 2);
  const auto [n0, q0] = name("batch_normalization", 0);
  const auto [n1, q1] = name("batch_normalization", 1);
  return {conv_layer(c0, p0, 3, 3, 4, false), norm_layer(n0, q0, 4), conv_layer(c1, p1, 1, 4, 6, false),
          norm_layer(n1, q1, 6), conv_layer(c2, p2, 1, 6, 7, true)};
}

inline std::string numbered(const std::string& kind, int ordinal) {
  return ordinal == 0 ? kind : kind + "_" + std::to_string(ordinal);
}

// By the file's definition, in double: what batch norm makes of x, and where each kernel number stands.
inline void expect_same_outputs(const Weights& got, const NetworkSpec& spec) {
  const std::vector<ParamSlot> slots = param_slots(spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    const Shape& shape = slots[i].shape;
    const Tensor& tensor = got.tensors[i];
    if (slots[i].kind == ParamKind::kernel) {
      const int64_t out = shape[0], in = shape[1], side = shape[2];
      const std::vector<float> stored = numbers(static_cast<size_t>(tensor.size()), -1, 0.02);
      for (int64_t o = 0; o < out; ++o) {
        for (int64_t c = 0; c < in; ++c) {
          for (int64_t y = 0; y < side; ++y) {
            for (int64_t x = 0; x < side; ++x) {
              ASSERT_EQ(tensor.at(o, c, y, x), stored[static_cast<size_t>(((y * side + x) * in + c) * out + o)]);
            }
          }
        }
      }
    }
    if (slots[i].kind != ParamKind::gamma) continue;
    const Tensor &beta = got.tensors[i - 1], &gamma = tensor, &mean = got.tensors[i + 1], &var = got.tensors[i + 2];
    for (int64_t f = 0; f < gamma.size(); ++f) {
      for (const double input : {-3.0, 0.0, 0.4, 11.0}) {
        const double stored_gamma = static_cast<float>(0.7 + 0.3 * static_cast<double>(f)),
                     stored_beta = static_cast<float>(-0.2 + 0.1 * static_cast<double>(f)),
                     stored_mean = static_cast<float>(0.1 - 0.3 * static_cast<double>(f)),
                     stored_var = static_cast<float>(1e-4 + 0.2 * static_cast<double>(f));
        const double scaled = stored_gamma * (input - stored_mean) / std::sqrt(stored_var + 0.001f);
        const double here = gamma[f] * (input - mean[f]) / std::sqrt(double(var[f]) + spec.bn_epsilon) + beta[f];
        EXPECT_NEAR(here, scaled + stored_beta, std::abs(scaled) * std::ldexp(1, -23)) << slots[i].name << " " << f;
      }
    }
  }
}

}  // namespace yolov3::testing
