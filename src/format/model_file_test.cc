#include "format/model_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "base/files.h"
#include "format/test_files.h"
#include "net/models.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

using testing::error_of;
using testing::small_model;
using testing::small_state;
using testing::TemporaryFolder;

void expect_same(const Model& a, const Model& b) {
  EXPECT_EQ(a.spec, b.spec);
  EXPECT_EQ(a.weights, b.weights);
  EXPECT_EQ(a.names, b.names);
  EXPECT_EQ(a.facts, b.facts);
  EXPECT_EQ(a.quantization, b.quantization);
}

TEST(ModelFile, RoundTrip) {
  const TemporaryFolder folder;
  const Model model = small_model();
  save_model(folder / "a.h5", model);
  TrainingState state = small_state();
  expect_same(load_model(folder / "a.h5", &state), model);
  EXPECT_TRUE(state.tensors.empty() && state.values.empty());  // none in the file
}

TEST(ModelFile, RoundTripOfACheckpoint) {
  const TemporaryFolder folder;
  const Model model = small_model();
  const TrainingState state = small_state();
  save_model(folder / "a.h5", model, &state);
  TrainingState back;
  expect_same(load_model(folder / "a.h5", &back), model);
  EXPECT_EQ(back.values, state.values);
  EXPECT_EQ(back.tensors, state.tensors);
  EXPECT_EQ(back.tensors.at("none").shape(), (Shape{0, 4}));
  expect_same(load_model(folder / "a.h5"), model);  // not asked for
}

TEST(ModelFile, RoundTripOfInt8Scales) {
  const TemporaryFolder folder;
  for (const std::vector<int>& layers : std::vector<std::vector<int>>{{}, {0}, {0, 6, 13}}) {
    Model model = small_model();
    model.quantization = testing::small_quantization();
    model.quantization->float_layers = layers;
    const TrainingState state = small_state();
    save_model(folder / "a.h5", model, &state);
    TrainingState back;
    expect_same(load_model(folder / "a.h5", &back), model);
    EXPECT_EQ(back.tensors, state.tensors);
    EXPECT_EQ(back.values, state.values);
  }
}

TEST(ModelFile, RoundTripOfTinyAndOfABackbone) {
  const TemporaryFolder folder;
  Model tiny{yolov3_tiny({.classes = 3, .width = 320, .height = 224}), {}, {"a", "b", "c"}, {}};
  tiny.weights = random_weights(tiny.spec, {.seed = 5});
  tiny.spec.bn_epsilon = 1e-3f;
  save_model(folder / "tiny.h5", tiny);
  expect_same(load_model(folder / "tiny.h5"), tiny);

  NetworkBuilder net({1, 8, 8});
  net.conv(4, 3).avgpool();
  Model backbone{net.build(), {}, {}, {}};
  backbone.weights = random_weights(backbone.spec, {.seed = 6});
  save_model(folder / "backbone.h5", backbone);
  expect_same(load_model(folder / "backbone.h5"), backbone);
}

TEST(ModelFile, KeepsEveryBitOfTheNumbers) {
  const TemporaryFolder folder;
  Model model = small_model();
  const float values[] = {-0.0f, 1e-45f, std::numeric_limits<float>::infinity(), 3.4e38f};
  std::copy(std::begin(values), std::end(values), model.weights.tensors[0].data());
  save_model(folder / "a.h5", model);
  const Model back = load_model(folder / "a.h5");
  EXPECT_EQ(std::memcmp(back.weights.tensors[0].data(), values, sizeof(values)), 0);
}

TEST(ModelFile, TheSameModelGivesTheSameBytes) {
  const TemporaryFolder folder;
  const TrainingState state = small_state();
  save_model(folder / "a.h5", small_model(), &state);
  save_model(folder / "b.h5", small_model(), &state);
  EXPECT_EQ(read_file(folder / "a.h5"), read_file(folder / "b.h5"));
}

TEST(ModelFile, AFileThatWasReadIsWrittenToTheSameBytes) {
  const TemporaryFolder folder;
  Model model = small_model();
  model.quantization = testing::small_quantization();
  const TrainingState state = small_state();
  save_model(folder / "a.h5", model, &state);
  TrainingState back;
  const Model read = load_model(folder / "a.h5", &back);
  save_model(folder / "b.h5", read, &back);
  EXPECT_EQ(read_file(folder / "b.h5"), read_file(folder / "a.h5"));
}

TEST(ModelFile, ManyLongClassNamesAndFacts) {  // over the 64 KB that HDF5's old format allows an attribute
  const TemporaryFolder folder;
  NetworkBuilder net({3, 32, 32});
  net.conv(5 + 4000, 1, 32, Activation::linear, false).yolo({{4, 5}}, {0}, 4000);
  Model model{net.build(), {}, {}, {{"note", std::string(200000, 'n')}, {"", "unnamed"}, {"a/b", ""}}};
  model.weights = zero_weights(model.spec);
  for (int i = 0; i < 4000; ++i) model.names.push_back("a class name with spaces number " + std::to_string(i));
  save_model(folder / "a.h5", model);
  expect_same(load_model(folder / "a.h5"), model);
}

TEST(ModelFile, RefusesToSaveWhatDoesNotFit) {
  const TemporaryFolder folder;
  const auto message_of = [&](const Model& model, const TrainingState* state = nullptr) {
    return error_of([&] { save_model(folder / "a.h5", model, state); });
  };
  Model model = small_model();
  model.names.pop_back();
  EXPECT_NE(message_of(model).find("expected 2 names"), std::string::npos);
  model = small_model();
  model.weights.tensors[3] = Tensor({1});
  EXPECT_NE(message_of(model), "");
  model = small_model();
  model.quantization = testing::small_quantization();
  model.quantization->scales.pop_back();
  EXPECT_NE(message_of(model).find("a.h5: int8 scales: 14 for a network of 15 layers"), std::string::npos);
  model = small_model();
  model.facts["zero"] = std::string("a\0b", 3);
  EXPECT_NE(message_of(model).find("zero byte"), std::string::npos);
  for (const std::string name : {"", "/a", "a/", "a//b", "./a", "a/."}) {
    TrainingState state;
    state.tensors[name] = Tensor({1});
    EXPECT_NE(message_of(small_model(), &state), "") << name;
  }
  TrainingState state;
  state.values["a"] = "1";
  state.values["a/b"] = "2";
  EXPECT_NE(message_of(small_model(), &state), "");
  EXPECT_TRUE(fs::is_empty(folder.path()));  // no temporary file is left
}

TEST(ModelFile, FullDiskLeavesThePreviousFile) {
  const TemporaryFolder folder;
  const Model model = small_model();
  save_model(folder / "a.h5", model);
  const auto whole = fs::file_size(folder / "a.h5");
  Model changed = model;
  changed.facts["epoch"] = "8";
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  for (int part = 0; part < 16; ++part) {
    rlimit full = before;
    full.rlim_cur = part == 15 ? whole - 1 : whole * part / 16;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
    const std::string message = error_of([&] { save_model(folder / "a.h5", changed); });
    setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_NE(message.find("a.h5: cannot write: File too large"), std::string::npos) << part << ": " << message;
  }
  std::signal(SIGXFSZ, handler);
  expect_same(load_model(folder / "a.h5"), model);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1);
}

// A model is first read in a child process. glibc's malloc keeps its locks right over fork(); that of gcc 12's
// AddressSanitizer does not, and a child may wait for ever for a lock that another thread held.
TEST(ModelFile, ThreadsMayLoadAndSaveAtOnce) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer's allocator does not survive a fork beside other threads";
#endif
  const TemporaryFolder folder;
  const Model model = small_model();
  save_model(folder / "a.h5", model);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(load_model(folder / "a.h5").weights, model.weights);
        save_model(folder / ("b" + std::to_string(t) + ".h5"), model);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ModelFile, H5dumpReadsIt) {
  if (!testing::have("h5dump")) GTEST_SKIP() << "h5dump (hdf5-tools) is not installed";
  const TemporaryFolder folder;
  const TrainingState state = small_state();
  save_model(folder / "a.h5", small_model(), &state);
  const auto list = testing::run("h5dump -n " + (folder / "a.h5").string());
  EXPECT_EQ(list.status, 0) << list.output;
  for (const char* name : {"/conv2d/conv2d/kernel:0", "/conv2d_5/conv2d_5/bias:0",
                           "/batch_normalization_3/batch_normalization_3/moving_variance:0",
                           "/training/tensors/adam/exp_avg/layer0.kernel", "/training/values/step"}) {
    EXPECT_NE(list.output.find(name), std::string::npos) << name;
  }
  const auto names = testing::run("h5dump -a class_names " + (folder / "a.h5").string());
  EXPECT_NE(names.output.find("traffic light"), std::string::npos) << names.output;
}

// What keras.Model.load_weights looks at, through h5py.
TEST(ModelFile, H5pyReadsItAsKerasDoes) {
  const std::string python = "/usr/bin/python3";
  if (testing::run(python + " -c 'import h5py, numpy'").status != 0) GTEST_SKIP() << "python3-h5py is not installed";
  const TemporaryFolder folder;
  Model model = small_model();
  model.quantization = testing::small_quantization();
  save_model(folder / "a.h5", model);
  std::ofstream(folder / "read.py") << R"(
import h5py, numpy as np, sys
f = h5py.File(sys.argv[1], 'r')
assert f.attrs['backend'] in ('tensorflow', b'tensorflow')
names = [n.decode('utf8') for n in f.attrs['layer_names']]
assert names[:2] == ['conv2d', 'batch_normalization'] and names[-2:] == ['conv2d_8', 'conv2d_5'], names
for name in names:
    for weight in f[name].attrs['weight_names']:
        assert np.asarray(f[name][weight]).dtype == np.float32
assert [w.decode() for w in f['conv2d_5'].attrs['weight_names']] == ['conv2d_5/kernel:0', 'conv2d_5/bias:0']
assert [w.decode().split('/')[1] for w in f['batch_normalization'].attrs['weight_names']] == [
    'gamma:0', 'beta:0', 'moving_mean:0', 'moving_variance:0']
# Layer 0: beta 0..3, gamma 4..7, mean 8..11, variance 12..15, then the kernel (4,3,3,3), all divided by 8.
bn = f['batch_normalization']['batch_normalization']
assert (np.asarray(bn['beta:0']) * 8 == [0, 1, 2, 3]).all() and (np.asarray(bn['gamma:0']) * 8 == [4, 5, 6, 7]).all()
assert (np.asarray(bn['moving_mean:0']) * 8 == [8, 9, 10, 11]).all()
assert (np.asarray(bn['moving_variance:0']) * 8 == [12, 13, 14, 15]).all()
kernel = np.asarray(f['conv2d']['conv2d/kernel:0'])
want = (16 + np.arange(4 * 3 * 3 * 3).reshape(4, 3, 3, 3)).transpose(2, 3, 1, 0) / 8
assert kernel.shape == (3, 3, 3, 4) and (kernel == want).all()
assert [n.decode('utf8') for n in f.attrs['class_names']] == ['traffic light', 'caf\u00e9']
assert list(f.attrs['input_shape']) == [3, 32, 64] and f.attrs['format_version'] == 1
assert f.attrs['anchors'].tolist() == [[4, 5], [8, 9], [16, 17], [30, 31]]
assert f.attrs['bn_epsilon'] == np.float32(1e-5)
assert '[net]' in str(f.attrs['yolov3_cfg']) and str(f.attrs['fact_epoch'], 'utf8') == '7'
scales = f.attrs['int8_scales']
assert scales.dtype == np.float32 and scales.tolist() == [0.25] * 4 + [0.5] * 11, scales
assert list(f.attrs['int8_float_layers']) == [0, 6, 13]
print('read')
)";
  const auto outcome = testing::run(python + " " + (folder / "read.py").string() + " " + (folder / "a.h5").string());
  EXPECT_EQ(outcome.output, "read\n");
}

}  // namespace
}  // namespace yolov3
