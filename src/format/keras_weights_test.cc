#include "format/keras_weights.h"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <algorithm>
#include <cmath>
#include <csignal>

#include "base/files.h"
#include "format/fenced_read.h"
#include "format/hdf5_file.h"
#include "format/load_model.h"
#include "format/test_files.h"
#include "net/cfg.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

// Two convolutions with batch norm and a head: conv2d (4 filters, 3x3 over 3), conv2d_1 (6, 1x1 over 4),
// conv2d_2 (7, 1x1 over 6, bias).
NetworkSpec three_convolutions() {
  NetworkBuilder net({3, 32, 32});
  net.conv(4, 3, 32).conv(6, 1);
  return net.conv(7, 1, 1, Activation::linear, false).yolo({{8, 8}}, {0}, 2).build();
}

// One array of a layer as this test makes it: numbers from a formula, so that each place is known.
struct Array {
  std::string name;
  std::vector<hsize_t> extents;
  std::vector<float> values;
};
struct Layer {
  std::string name;
  std::vector<Array> arrays;
};

std::vector<float> numbers(size_t count, double first, double step) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(first + step * static_cast<double>(i % 97));
  return values;
}

Layer conv_layer(const std::string& name, const std::string& path, hsize_t size, hsize_t in, hsize_t out, bool bias) {
  Layer layer{name, {{path + "/kernel:0", {size, size, in, out}, numbers(size * size * in * out, -1, 0.02)}}};
  if (bias) layer.arrays.push_back({path + "/bias:0", {out}, numbers(out, 0.5, 0.25)});
  return layer;
}

Layer norm_layer(const std::string& name, const std::string& path, hsize_t out) {
  return {name,
          {{path + "/gamma:0", {out}, numbers(out, 0.7, 0.3)},
           {path + "/beta:0", {out}, numbers(out, -0.2, 0.1)},
           {path + "/moving_mean:0", {out}, numbers(out, 0.1, -0.3)},
           {path + "/moving_variance:0", {out}, numbers(out, 1e-4, 0.2)}}};
}

void write_texts(hid_t object, const char* name, const std::vector<std::string>& texts) {
  size_t width = 1;
  for (const std::string& text : texts) width = std::max(width, text.size());
  std::string bytes(width * texts.size(), '\0');
  for (size_t i = 0; i < texts.size(); ++i) bytes.replace(i * width, texts[i].size(), texts[i]);
  const hsize_t count = texts.size();
  const hdf5::Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose), type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.id(), width);
  H5Tset_strpad(type.id(), H5T_STR_NULLPAD);
  const hdf5::Handle attribute(H5Acreate2(object, name, type.id(), space.id(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  ASSERT_GE(H5Awrite(attribute.id(), type.id(), bytes.data()), 0);
}

// As h5py writes it by default: HDF5's oldest format. `root` is "" or "model_weights".
void write_keras_file(const fs::path& path, const std::vector<Layer>& layers, const std::string& root = "") {
  const hdf5::Session session;
  const hdf5::Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
  const hdf5::Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(links.id(), 1);
  const hdf5::Handle base(root.empty() ? H5Gopen2(file.id(), "/", H5P_DEFAULT)
                                       : H5Gcreate2(file.id(), root.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                          H5Gclose);
  std::vector<std::string> layer_names;
  for (const Layer& layer : layers) {
    layer_names.push_back(layer.name);
    const hdf5::Handle group(H5Gcreate2(base.id(), layer.name.c_str(), links.id(), H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
    std::vector<std::string> names;
    for (const Array& array : layer.arrays) {
      names.push_back(array.name);
      const hdf5::Handle space(H5Screate_simple(static_cast<int>(array.extents.size()), array.extents.data(), nullptr),
                               H5Sclose);
      const hdf5::Handle data(
          H5Dcreate2(group.id(), array.name.c_str(), H5T_IEEE_F32LE, space.id(), links.id(), H5P_DEFAULT, H5P_DEFAULT),
          H5Dclose);
      ASSERT_GE(H5Dwrite(data.id(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, array.values.data()), 0);
    }
    write_texts(group.id(), "weight_names", names);
  }
  write_texts(base.id(), "layer_names", layer_names);
}

// The network's layers under names that `name` makes of a kind and an ordinal: {layer, path of its weights}.
using Naming = std::function<std::pair<std::string, std::string>(const std::string& kind, int ordinal)>;
std::vector<Layer> layers_named(const Naming& name) {
  const auto [c0, p0] = name("conv2d", 0);
  const auto [c1, p1] = name("conv2d", 1);
  const auto [c2, p2] = name("conv2d", 2);
  const auto [n0, q0] = name("batch_normalization", 0);
  const auto [n1, q1] = name("batch_normalization", 1);
  return {conv_layer(c0, p0, 3, 3, 4, false), norm_layer(n0, q0, 4), conv_layer(c1, p1, 1, 4, 6, false),
          norm_layer(n1, q1, 6), conv_layer(c2, p2, 1, 6, 7, true)};
}

std::string numbered(const std::string& kind, int ordinal) {
  return ordinal == 0 ? kind : kind + "_" + std::to_string(ordinal);
}

// By the file's definition, in double: what batch norm makes of x, and where each kernel number stands.
void expect_same_outputs(const Weights& got, const NetworkSpec& spec) {
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

struct Case {
  const char* what;
  Naming name;
  std::string root, how;
};

TEST(KerasWeights, NamesOfManyKinds) {
  const TemporaryFolder folder;
  const NetworkSpec spec = three_convolutions();
  const std::vector<Case> cases = {
      {"as Keras counts", [](auto kind, int i) { return std::pair(numbered(kind, i), numbered(kind, i)); }, "", "name"},
      {"a second model in one process",
       [](auto kind, int i) { return std::pair(numbered(kind, i + 75), numbered(kind, i + 75)); }, "", "name"},
      {"a prefix", [](auto kind, int i) { return std::pair(numbered(kind, i), "yolov3/" + numbered(kind, i)); }, "",
       "name"},
      {"a suffix", [](auto kind, int i) { return std::pair(numbered(kind, i), numbered(kind, i) + "_1"); }, "", "name"},
      {"a whole model", [](auto kind, int i) { return std::pair(numbered(kind, i), numbered(kind, i)); },
       "model_weights", "name"},
      {"one layer for all",
       [](auto kind, int i) { return std::pair("m" + kind + std::to_string(i), "net/" + numbered(kind, i)); }, "",
       "name"},
      {"names of their own",
       [](auto kind, int i) { return std::pair("a" + kind.substr(0, 1) + std::to_string(9 - i), "x"); }, "", "order"},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.what);
    write_keras_file(folder / "k.h5", layers_named(one.name), one.root);
    EXPECT_EQ(kind_of_model(folder / "k.h5"), ModelKind::keras);
    const std::vector<KerasTensor> tensors = load_keras_tensors(folder / "k.h5");
    EXPECT_EQ(count_keras_numbers(tensors), 108 + 16 + 24 + 24 + 42 + 7);
    const KerasMatch match = match_keras_tensors(tensors, spec, folder / "k.h5");
    EXPECT_NE(match.how.find(one.how), std::string::npos) << match.how;
    expect_same_outputs(match.weights, spec);
  }
}

// A file whose layers stand in another order than their names say: the names count.
TEST(KerasWeights, NamesCountBeforeOrder) {
  const TemporaryFolder folder;
  auto layers = layers_named([](auto kind, int i) { return std::pair(numbered(kind, i), numbered(kind, i)); });
  std::reverse(layers.begin(), layers.end());
  write_keras_file(folder / "k.h5", layers);
  const KerasMatch match = match_keras_tensors(load_keras_tensors(folder / "k.h5"), three_convolutions(), "k.h5");
  EXPECT_EQ(match.how, "by name");
  expect_same_outputs(match.weights, three_convolutions());
}

TEST(KerasWeights, WhatDoesNotMatchIsListed) {
  const TemporaryFolder folder;
  auto layers = layers_named([](auto kind, int i) { return std::pair(numbered(kind, i), numbered(kind, i)); });
  layers[2] = conv_layer("conv2d_1", "conv2d_1", 1, 4, 5, false);
  layers[4].arrays.pop_back();
  layers.push_back(conv_layer("conv2d_3", "conv2d_3", 1, 1, 1, false));
  write_keras_file(folder / "k.h5", layers);
  const std::string message =
      error_of([&] { match_keras_tensors(load_keras_tensors(folder / "k.h5"), three_convolutions(), "k.h5"); });
  for (const char* part : {"k.h5: ", "4 convolutions and 2 batch norm", "has 3 and 2", "3 do not match", "conv2d_1",
                           "(1,1,4,5)", "(1,1,4,6)", "no bias", "conv2d_3 has no place"}) {
    EXPECT_NE(message.find(part), std::string::npos) << part << " in " << message;
  }
  EXPECT_NE(error_of([&] {
              load_model(ModelSource{folder / "k.h5", "yolov3", {}, false});
            }).find("Keras' layers in it: 4 convolutions"),
            std::string::npos);
}

TEST(KerasWeights, WhatIsSavedIsForKerasEpsilonAndComesBack) {
  const TemporaryFolder folder;
  const NetworkSpec spec = testing::small_network();
  const Weights weights = testing::counted_weights(spec);
  save_keras_weights(folder / "k.h5", spec, weights);
  const std::vector<KerasTensor> tensors = load_keras_tensors(folder / "k.h5");
  const std::vector<ParamSlot> slots = param_slots(spec);
  // The first gamma of the first convolution: bias 0..3, gamma 4/8.., mean 8/8.., variance 12/8..
  const auto gamma = std::ranges::find(tensors, "batch_normalization/gamma:0", &KerasTensor::name);
  ASSERT_NE(gamma, tensors.end());
  EXPECT_NEAR(gamma->values[0], 0.5 * std::sqrt((1.5 + 1e-3) / (1.5 + 1e-5)), 0.5 * std::ldexp(1, -24));
  const KerasMatch back = match_keras_tensors(tensors, spec, folder / "k.h5");
  for (size_t i = 0; i < slots.size(); ++i) {
    for (int64_t k = 0; k < weights.tensors[i].size(); ++k) {
      const float was = weights.tensors[i][k], is = back.weights.tensors[i][k];
      // Two roundings of gamma; all else to the bit.
      const double tolerance = slots[i].kind == ParamKind::gamma ? std::abs(was) * std::ldexp(1, -22) : 0;
      ASSERT_NEAR(is, was, tolerance) << slots[i].name;
    }
  }
}

TEST(KerasWeights, EveryTruncationIsRefused) {
  const TemporaryFolder folder;
  write_keras_file(folder / "old", layers_named([](auto kind, int i) { return std::pair(numbered(kind, i), "x"); }));
  save_keras_weights(folder / "new", testing::small_network(), testing::counted_weights(testing::small_network()));
  for (const char* name : {"old", "new"}) {
    const std::string whole = read_file(folder / name);
    for (size_t size = 0; size < whole.size(); size += size < 64 || size + 64 > whole.size() ? 1 : 509) {
      write_file(folder / "cut.h5", whole.substr(0, size));
      const std::string message = error_of([&] { load_model(ModelSource{folder / "cut.h5", "", {}, false}); });
      EXPECT_TRUE(message.starts_with((folder / "cut.h5").string() + ": ")) << name << " " << size << ": " << message;
    }
  }
}

TEST(KerasWeights, AModelOfOursIsNotTakenForOne) {
  const TemporaryFolder folder;
  save_model(folder / "own.h5", testing::small_model());
  EXPECT_EQ(kind_of_model(folder / "own.h5"), ModelKind::own);
  const std::string whole = read_file(folder / "own.h5");
  write_file(folder / "own.h5", whole.substr(0, whole.size() - 16));  // without its seal
  EXPECT_EQ(kind_of_model(folder / "own.h5"), ModelKind::own);
  EXPECT_NE(error_of([&] {
              load_model(ModelSource{folder / "own.h5", "", {}, false});
            }).find("checksum"),
            std::string::npos);
}

TEST(FencedRead, BytesErrorsAndCrashesComeBack) {
  EXPECT_EQ(read_fenced("f", [](const PutBytes& put) { put("ab", 2), put("c", 1); }), "abc");
  EXPECT_EQ(error_of([] {
              read_fenced("f", [](const PutBytes& put) {
                put("half", 4);
                throw Error("f: its own words");
              });
            }),
            "f: its own words");
  const std::string crash = error_of([] {
    read_fenced("f", [](const PutBytes&) {
      ::signal(SIGSEGV, SIG_DFL);  // a sanitizer would catch it
      ::raise(SIGSEGV);
    });
  });
  EXPECT_NE(crash.find("crashed while it read this file"), std::string::npos) << crash;
  EXPECT_TRUE(crash.starts_with("f: "));
}

}  // namespace
}  // namespace yolov3
