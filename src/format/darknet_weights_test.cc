#include "format/darknet_weights.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>

#include "base/files.h"
#include "base/shared_folder.h"
#include "format/test_files.h"
#include "net/cfg.h"
#include "net/models.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

using testing::counted_weights;
using testing::error_of;
using testing::expect_has;
using testing::small_network;
using testing::TemporaryFolder;

template <class T>
std::string bytes_of(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}

// Two filters over one channel with batch norm, then one with a bias: 2*4 + 2*1 + 1 + 2 = 13 numbers.
NetworkSpec two_convolutions() {
  NetworkBuilder net({1, 2, 2});
  return net.conv(2, 1).conv(1, 1, 1, Activation::linear, false).build();
}

// Darknet's parser.c by hand: biases, scales, rolling mean, rolling variance, weights; then biases, weights.
const std::string kNumbers = bytes_of<float>({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13});

std::string error_for(const fs::path& path, const std::string& bytes, const NetworkSpec& spec,
                      DarknetPart part = DarknetPart::whole) {
  write_file(path, bytes);
  return error_of([&] { load_darknet_weights(path, spec, part); });
}

TEST(DarknetWeights, ReadsBothVersionsOfTheHeader) {
  const TemporaryFolder folder;
  const NetworkSpec spec = two_convolutions();
  write_file(folder / "old", bytes_of<int32_t>({0, 1, 0, 640}) + kNumbers);
  write_file(folder / "new", bytes_of<int32_t>({0, 2, 5}) + bytes_of<int64_t>({int64_t{32013312} << 8}) + kNumbers);
  for (const char* name : {"old", "new"}) {
    const DarknetWeights read = load_darknet_weights(folder / name, spec);
    EXPECT_TRUE(read.whole());
    EXPECT_EQ(read.convolutions, 2);
    EXPECT_EQ(read.seen, std::string(name) == "old" ? 640 : int64_t{32013312} << 8);
    ASSERT_EQ(read.weights.tensors.size(), 7u);
    int next = 1;
    for (const Tensor& tensor : read.weights.tensors) {
      for (const float value : tensor.values()) EXPECT_EQ(value, next++);
    }
    EXPECT_NO_THROW(check_weights(spec, read.weights));
  }
}

TEST(DarknetWeights, WritesVersion025) {
  const TemporaryFolder folder;
  const NetworkSpec spec = two_convolutions();
  write_file(folder / "a", bytes_of<int32_t>({0, 2, 5}) + bytes_of<int64_t>({7}) + kNumbers);
  save_darknet_weights(folder / "b", spec, load_darknet_weights(folder / "a", spec).weights, {.seen = 7});
  EXPECT_EQ(read_file(folder / "b"), read_file(folder / "a"));
}

TEST(DarknetWeights, RoundTripKeepsEveryBit) {
  const TemporaryFolder folder;
  const NetworkSpec spec = small_network();
  Weights weights = counted_weights(spec);
  const float values[] = {-0.0f, 1e-45f, std::numeric_limits<float>::infinity(), std::nanf("7")};
  std::copy(std::begin(values), std::end(values), weights.tensors[0].data());
  save_darknet_weights(folder / "a", spec, weights);
  const DarknetWeights back = load_darknet_weights(folder / "a", spec);
  ASSERT_EQ(back.weights.tensors.size(), weights.tensors.size());
  for (size_t i = 0; i < weights.tensors.size(); ++i) {
    const Tensor &a = weights.tensors[i], &b = back.weights.tensors[i];
    ASSERT_EQ(a.shape(), b.shape());
    EXPECT_EQ(std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(float)), 0) << i;
  }
}

TEST(DarknetWeights, ABackboneIsTheBeginningOfTheFile) {
  const TemporaryFolder folder;
  const NetworkSpec spec = small_network();
  const Weights weights = counted_weights(spec);
  save_darknet_weights(folder / "small.conv.5", spec, weights, {.layers = 5});  // convolutions 0 to 3
  const DarknetWeights part = load_darknet_weights(folder / "small.conv.5", spec, DarknetPart::backbone);
  EXPECT_EQ(part.convolutions, 4);
  EXPECT_EQ(part.all_convolutions, 9);
  EXPECT_FALSE(part.whole());
  ASSERT_EQ(part.weights.tensors.size(), 20u);
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(part.weights.tensors[i], weights.tensors[i]);
  expect_has(error_of([&] { load_darknet_weights(folder / "small.conv.5", spec); }),
             {"convolution 4 of 9", "layer 3", "backbone"});
  save_darknet_weights(folder / "whole", spec, weights);
  EXPECT_TRUE(load_darknet_weights(folder / "whole", spec, DarknetPart::backbone).whole());
  EXPECT_NE(error_of([&] { save_darknet_weights(folder / "none", spec, weights, {.layers = 0}); }), "");
  EXPECT_FALSE(fs::exists(folder / "none"));
}

// darknet53.conv.74 of the paper's authors holds 40,620,640 numbers: a download of 162,482,580 bytes.
TEST(DarknetWeights, Darknet53sBackboneHasTheKnownLength) {
  int64_t floats = 0;
  for (const ParamSlot& slot : param_slots(yolov3())) floats += slot.layer < 74 ? element_count(slot.shape) : 0;
  EXPECT_EQ(20 + 4 * floats, 162482580);
  floats = 0;
  for (const ParamSlot& slot : param_slots(yolov3())) floats += element_count(slot.shape);
  EXPECT_EQ(20 + 4 * floats, 248007048);  // yolov3.weights
}

TEST(DarknetWeights, AnotherClassCountIsNamed) {
  const TemporaryFolder folder;
  const NetworkSpec trained = yolov3_tiny({.classes = 20}), given = yolov3_tiny({.classes = 3});
  save_darknet_weights(folder / "tiny.weights", trained, zero_weights(trained));
  // The authors' yolov3-tiny.weights, 80 classes, has 35,434,956 bytes, so 8,858,734 numbers; a class is worth
  // 3 * (512 + 1) + 3 * (256 + 1) = 2310 of them.
  expect_has(error_of([&] { load_darknet_weights(folder / "tiny.weights", given); }),
             {"tiny.weights", "8720134 numbers", "8680864 with its 3 classes", "20 classes would fit"});
}

TEST(DarknetWeights, AnotherModelIsNamed) {
  const TemporaryFolder folder;
  const NetworkSpec trained = yolov3_tiny({.classes = 4});
  save_darknet_weights(folder / "a", trained, zero_weights(trained));
  expect_has(error_of([&] { load_darknet_weights(folder / "a", small_network()); }), {"yolov3-tiny with 4 classes"});
}

TEST(DarknetWeights, EveryTruncationIsRefused) {
  const TemporaryFolder folder;
  const std::string whole = bytes_of<int32_t>({0, 2, 5}) + bytes_of<int64_t>({7}) + kNumbers;
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::string message = error_for(folder / "cut", whole.substr(0, size), two_convolutions());
    EXPECT_TRUE(message.starts_with((folder / "cut").string() + ": ")) << size << ": " << message;
  }
  expect_has(error_for(folder / "cut", whole.substr(0, 20 + 4 * 9), two_convolutions()),
             {"9 numbers", "has 13", "1 of 2 in layer0.kernel"});
  expect_has(error_for(folder / "long", whole + kNumbers, two_convolutions()),
             {"26 numbers", "has 13", "13 are too many"});
}

TEST(DarknetWeights, ForeignFilesAreNamed) {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& bytes) { return error_for(folder / "x", bytes, two_convolutions()); };
  expect_has(message("<!DOCTYPE html><html>...</html>"), {"HTML", "download failed"});
  expect_has(message("404: Not Found\n"), {"404: Not Found", "download"});
  expect_has(message("version https://git-lfs.github.com/spec/v1\noid"), {"git lfs pull"});
  expect_has(message(""), {"empty"});
  expect_has(message("\x89HDF\r\n\x1a\n and so on"), {".h5"});
  expect_has(message(std::string(100, '\0')), {"zeros"});
  expect_has(message(bytes_of<int32_t>({-1, 2, 5, 0, 0}) + kNumbers), {"-1.2.5"});
  expect_has(message(bytes_of<int32_t>({0, 2, 5, 0})), {"header"});
  EXPECT_NE(error_of([&] { load_darknet_weights(folder.path(), two_convolutions()); }), "");
  EXPECT_NE(error_of([&] { load_darknet_weights(folder / "missing", two_convolutions()); }), "");
}

// A few bytes must not make the program ask for the 4.8 GB that this network would need.
TEST(DarknetWeights, ASmallFileCostsNoMemory) {
  const TemporaryFolder folder;
  NetworkBuilder net({3, 32, 32});
  const NetworkSpec spec = net.conv(8192, 1).conv(8192, 3).conv(8192, 3).build();
  const auto peak_kb = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const long before = peak_kb();
  expect_has(error_for(folder / "x", bytes_of<int32_t>({0, 2, 5, 0, 0}) + kNumbers, spec), {"13 numbers", "beta"});
  EXPECT_LT(peak_kb() - before, 64 << 10);
}

TEST(DarknetWeights, AFullDiskLeavesTheFileThatWasThere) {
  const TemporaryFolder folder;
  const NetworkSpec spec = small_network();
  save_darknet_weights(folder / "a", spec, counted_weights(spec));
  const std::string before = read_file(folder / "a");
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit full = limit;
  full.rlim_cur = before.size() / 2;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  const std::string message = error_of([&] { save_darknet_weights(folder / "a", spec, zero_weights(spec)); });
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(message.find("cannot write"), std::string::npos) << message;
  EXPECT_EQ(read_file(folder / "a"), before);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1);
}

// Models that other people trained: every number is accounted for, and written back to the same bytes.
TEST(DarknetWeights, RealModels) {
  const std::filesystem::path folder = test::shared_folder() / "weights";
  if (!fs::exists(folder)) GTEST_SKIP() << "no real models at " << folder;
  const TemporaryFolder copies;
  int models = 0, backbones = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".cfg") continue;
    const NetworkSpec spec = parse_cfg(read_file(entry.path()), entry.path().filename()).spec;
    for (const fs::path& file : list_files(entry.path().parent_path())) {
      const bool backbone = file.extension() == ".57";
      if (!backbone && file.extension() != ".weights") continue;
      const DarknetWeights read =
          load_darknet_weights(file, spec, backbone ? DarknetPart::backbone : DarknetPart::whole);
      EXPECT_EQ(read.whole(), !backbone) << file;
      if (backbone) {
        ++backbones;
        continue;
      }
      ++models;
      save_darknet_weights(copies / "copy", spec, read.weights, {.seen = read.seen});
      EXPECT_EQ(read_file(copies / "copy"), read_file(file)) << file;
      // Numbers read into wrong places would be negative. (Dead channels of one of these files have -7e-44.)
      const std::vector<ParamSlot> slots = param_slots(spec);
      for (size_t i = 0; i < slots.size(); ++i) {
        if (slots[i].kind != ParamKind::running_var) continue;
        for (const float variance : read.weights.tensors[i].values()) ASSERT_GE(variance, -1e-40f) << file;
      }
    }
  }
  EXPECT_GE(models, 1);
  std::printf("%d models, %d backbones\n", models, backbones);
}

}  // namespace
}  // namespace yolov3
