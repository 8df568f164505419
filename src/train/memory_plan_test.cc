#include "train/memory_plan.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/memory.h"
#include "base/text.h"
#include "train/engine_network.h"
#include "train/setup.h"
#include "train/test_run.h"
#include "train/trainer.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

TEST(LargestBatch, IsTheLastThatFits) {
  const auto total = [](int batch) { return int64_t{100} + 10 * batch; };
  EXPECT_EQ(largest_batch(64, 250, total), 15);
  EXPECT_EQ(largest_batch(64, 249, total), 14);
  EXPECT_EQ(largest_batch(64, 110, total), 1);
  EXPECT_EQ(largest_batch(64, 109, total), 0);
  EXPECT_EQ(largest_batch(64, 100000, total), 64);
  EXPECT_EQ(largest_batch(1, 100000, total), 1);
}

class MemoryPlan : public TrainingRunTest {
 protected:
  MemoryEstimate estimate(const TrainOptions& o) const {
    return estimate_memory(spec_, o, choose_plan(o, spec_), 1000, 2);
  }
};

// Every copy of the parameters is counted: values and gradients, and then what the options add.
TEST_F(MemoryPlan, CountsWhatTheOptionsAdd) {
  TrainOptions o = options("x");
  const int64_t weights = count_params(spec_).all * 4;
  EXPECT_EQ(estimate(o).parameters, 4 * weights) << "adam";
  EXPECT_EQ(estimate(o).program, 1000);
  o.ema = 0.9;
  o.nominal_batch = 8;
  EXPECT_EQ(estimate(o).parameters, 6 * weights);
  o.optimizer = "sgd";
  EXPECT_EQ(estimate(o).parameters, 5 * weights);
}

TEST_F(MemoryPlan, TheLargestSizeDecides) {
  TrainOptions o = options("x");
  const int64_t small = estimate(o).maps;
  o.multi_scale = {32};
  EXPECT_EQ(estimate(o).maps, small) << "--imgsz itself is validated at";
  o.multi_scale = {32, 128, 64};
  const MemoryEstimate scales = estimate(o);
  o.multi_scale = {};
  o.width = o.height = 128;
  EXPECT_EQ(scales.maps, estimate(o).maps);
  EXPECT_EQ(scales.pictures, estimate(o).pictures);
  EXPECT_GT(scales.maps, small);
  EXPECT_EQ(scales.pictures, 5 * 4 * 3 * 128 * 128 * 4) << "four batches of four ahead, and the one in training";
  o.batch = 8;
  EXPECT_GT(estimate(o).maps, scales.maps);
}

TEST_F(MemoryPlan, AutoTakesWhatThereIs) {
  TrainOptions o = options("auto", 1);
  o.batch = kAutoBatch;
  const TrainResult result = train(o, "command = \"train\"\nbatch = \"auto\"\nseed = 0\n");
  // This little network fits whole: a batch of the 10 pictures.
  EXPECT_EQ(read_file(result.run_directory / "args.toml"), "command = \"train\"\nbatch = 10\nseed = 0\n");
  EXPECT_EQ(result.epochs_done, 1);
  o.epochs = 2;
  o.resume = true;
  int batches = 0;
  train(o, "", [&](int64_t) { ++batches; });
  EXPECT_EQ(batches, 1) << "the batch of the run";
}

// --- Against what a process really takes ------------------------------------------------------------------------------

constexpr const char* kChildVariable = "YOLOV3_MEMORY_RUN";  // folder, engine, precision, size; blanks between

TrainOptions tiny_run(const fs::path& folder, const std::string& engine, const std::string& precision, int size) {
  TrainOptions o;
  o.data.data = "synthetic:80";
  o.model = "yolov3-tiny";
  o.width = o.height = size;
  o.batch = 16;
  o.epochs = 1;
  o.engine = engine;
  o.precision = precision;
  o.project = folder;
  return o;
}

// Not a test: what the other process runs.
TEST(MemoryChild, DISABLED_Trains) {
  const char* told = std::getenv(kChildVariable);
  if (told == nullptr) GTEST_SKIP() << "only the other tests run this";
  const std::string text = told;
  const std::vector<std::string_view> words = split(text, ' ');
  const fs::path folder = words.at(0);
  const TrainOptions o = tiny_run(folder, std::string(words.at(1)), std::string(words.at(2)),
                                  static_cast<int>(*parse_integer(words.at(3))));
  const int64_t program = process_memory();
  const NetworkSpec spec = make_training_spec(o, std::vector<std::string>(10));
  const MemoryEstimate estimate = estimate_memory(spec, o, choose_plan(o, spec), program, 16);
  train(o, "");
  write_file(folder / "answer", fmt::format("{} {} {}", estimate.total(), peak_memory(), describe(estimate)));
}

TEST_F(MemoryPlan, SlowEstimateIsWithinAQuarterOfThePeak) {
  struct Case {
    const char *engine, *precision;
    int size;
  };
  for (const auto& [engine, precision, size] :
       {Case{"dnnl", "f32", 416}, {"dnnl", "bf16", 416}, {"torch", "f32", 416}, {"dnnl", "f32", 96}}) {
    if (std::string(precision) == "bf16" && !cpu_computes_bf16()) continue;
    const fs::path folder = folder_ / fmt::format("{}{}{}", engine, precision, size);
    fs::create_directory(folder);
    const std::string told =
        std::string(kChildVariable) + "=" + folder.string() + fmt::format(" {} {} {}", engine, precision, size);
    const std::string command = fmt::format(
        "env {} TMPDIR={} /proc/{}/exe --gtest_filter=MemoryChild.* --gtest_also_run_disabled_tests > {} 2>&1",
        "'" + told + "'", folder.string(), ::getpid(), (folder / "log").string());
    ASSERT_EQ(std::system(command.c_str()), 0) << read_file(folder / "log");
    const std::string answer = read_file(folder / "answer");
    const std::vector<std::string_view> words = split(answer, ' ');
    const double estimated = *parse_number(words.at(0)), peak = *parse_number(words.at(1));
    std::printf("%s %s %d: peak %s, estimate %s\n", engine, precision, size, human_bytes(peak).c_str(), answer.c_str());
    EXPECT_NEAR(estimated, peak, 0.25 * peak) << engine << " " << precision << " " << size << ": " << answer;
  }
}

}  // namespace
}  // namespace yolov3
