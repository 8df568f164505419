#include "format/keras_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/files.h"
#include "format/load_model.h"
#include "format/test_files.h"
#include "format/test_keras_files.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

using namespace testing;

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
    write_keras_file(folder / "k.h5", layers_named(one.name), {.root = one.root});
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

std::pair<std::string, std::string> keras_names(const std::string& kind, int i) {
  return {numbered(kind, i), numbered(kind, i)};
}

// Every file that Keras writes lists its input, activations and additions, and says of each that it has no weights: an
// empty list, which numpy calls numbers. h5py 3 writes names each of its own length, Keras 3 without ":0".
TEST(KerasWeights, LayersWithoutWeightsAndNamesOfAnyLength) {
  const TemporaryFolder folder;
  const NetworkSpec spec = three_convolutions();
  for (const bool long_texts : {false, true}) {
    for (const std::string root : {"", "model_weights"}) {
      for (const size_t part : {0, 2}) {
        SCOPED_TRACE(fmt::format("{} '{}' {}", long_texts, root, part));
        std::vector<KerasFileLayer> layers = layers_named(keras_names);
        for (KerasFileLayer& layer : layers) {
          for (KerasFileArray& array : layer.arrays) array.name.resize(array.name.size() - (long_texts ? 2 : 0));
        }
        write_keras_file(folder / "k.h5", layers,
                         {.root = root, .long_texts = long_texts, .weightless = true, .names_a_part = part});
        const std::vector<KerasTensor> tensors = load_keras_tensors(folder / "k.h5");
        ASSERT_EQ(tensors.size(), 12u);  // three kernels, a bias, two times four
        const KerasMatch match = match_keras_tensors(tensors, spec, folder / "k.h5");
        EXPECT_EQ(match.how, "by name");
        expect_same_outputs(match.weights, spec);
      }
    }
  }
}

// The same from h5py itself, by the lines of Keras' hdf5_format.py: group.attrs[name] = [b"...", ...].
TEST(KerasWeights, FilesOfH5py) {
  const std::string python = "/usr/bin/python3";
  if (run(python + " -c 'import h5py, numpy'").status != 0) GTEST_SKIP() << "python3-h5py is not installed";
  const TemporaryFolder folder;
  write_file(folder / "write.py", R"(
import h5py, numpy as np, sys
def n(count, first, step): return (first + step * (np.arange(count) % 97)).astype(np.float32)
def conv(name, *shape): return (name, [(name + '/kernel:0', n(np.prod(shape), -1, 0.02).reshape(shape))])
def norm(name, c):
    return (name, [(name + '/gamma:0', n(c, 0.7, 0.3)), (name + '/beta:0', n(c, -0.2, 0.1)),
                   (name + '/moving_mean:0', n(c, 0.1, -0.3)), (name + '/moving_variance:0', n(c, 1e-4, 0.2))])
head = conv('conv2d_2', 1, 1, 6, 7)
head[1].append(('conv2d_2/bias:0', n(7, 0.5, 0.25)))
layers = [('input_1', []), conv('conv2d', 3, 3, 3, 4), norm('batch_normalization', 4), ('leaky_re_lu', []),
          conv('conv2d_1', 1, 1, 4, 6), norm('batch_normalization_1', 6), ('add', []), head]
with h5py.File(sys.argv[1], 'w') as f:
    f.attrs['layer_names'] = [name.encode() for name, _ in layers]
    f.attrs['backend'] = b'tensorflow'
    for name, weights in layers:
        g = f.create_group(name)
        g.attrs['weight_names'] = [w.encode() for w, _ in weights]
        for w, values in weights:
            g.create_dataset(w, values.shape, dtype=values.dtype)[:] = values
)");
  const Outcome made = run(python + " " + (folder / "write.py").string() + " " + (folder / "k.h5").string());
  ASSERT_EQ(made.status, 0) << made.output;
  const KerasMatch match =
      match_keras_tensors(load_keras_tensors(folder / "k.h5"), three_convolutions(), folder / "k.h5");
  EXPECT_EQ(match.how, "by name");
  expect_same_outputs(match.weights, three_convolutions());
}

TEST(KerasWeights, KerasThreesOwnLayoutIsNamed) {
  const TemporaryFolder folder;
  {
    const hdf5::Session session;
    const hdf5::Handle file(H5Fcreate((folder / "k.weights.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT),
                            H5Fclose);
    const hdf5::Handle group(H5Gcreate2(file.id(), "layers", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
  }
  expect_has(error_of([&] {
               load_model(ModelSource{folder / "k.weights.h5", "yolov3", {}, false});
             }),
             {"k.weights.h5: ", "Keras 3", "model.save(\"x.h5\")"});
}

// A network of Keras' own epsilon is stored as it is, so a file that was read is written back to the same bytes.
TEST(KerasWeights, RoundTripIsBitForBit) {
  const TemporaryFolder folder;
  NetworkSpec spec = small_network();
  spec.bn_epsilon = kKerasEpsilon;
  save_keras_weights(folder / "a.h5", spec, counted_weights(spec));
  const KerasMatch match = match_keras_tensors(load_keras_tensors(folder / "a.h5"), spec, folder / "a.h5");
  EXPECT_EQ(match.weights, counted_weights(spec));
  save_keras_weights(folder / "b.h5", spec, match.weights);
  EXPECT_EQ(read_file(folder / "b.h5"), read_file(folder / "a.h5"));
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

// Found by a fuzzer: the message ended at the zero byte and did not say what was wrong.
TEST(KerasWeights, ANameWithAZeroByteIsRefusedInWholeWords) {
  const TemporaryFolder folder;
  write_keras_file(folder / "k.h5", layers_named([](auto kind, int i) { return std::pair(numbered(kind, i), "x"); }));
  std::string bytes = read_file(folder / "k.h5");
  const std::string name = "/kernel:0";  // as the attribute has it, not the group
  size_t changed = 0;
  for (size_t at = bytes.find(name); at != std::string::npos; at = bytes.find(name, at), ++changed)
    bytes[at + 4] = '\0';
  ASSERT_GT(changed, 0U);
  write_file(folder / "k.h5", bytes);
  const std::string message = error_of([&] { load_keras_tensors(folder / "k.h5"); });
  EXPECT_NE(message.find("ker?el:0: "), std::string::npos) << message;
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

}  // namespace
}  // namespace yolov3
