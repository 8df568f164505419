#include "engine/dnnl_program.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "base/rng.h"
#include "engine/plan_cache.h"
#include "engine/test_networks.h"
#include "net/models.h"

namespace yolov3 {
namespace {

TEST(Arena, BuffersThatLiveTogetherDoNotOverlap) {
  Rng rng(4);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<ArenaBuffer> buffers(static_cast<size_t>(rng.uniform(1, 40)));
    for (ArenaBuffer& b : buffers) {
      b.bytes = static_cast<int64_t>(rng.uniform(0, 5000));
      b.first = static_cast<int>(rng.uniform(0, 50));
      b.last = b.first + static_cast<int>(rng.uniform(0, 10));
    }
    const int64_t size = place_buffers(buffers);
    int64_t largest_sum = 0;
    for (int step = 0; step < 60; ++step) {
      int64_t sum = 0;
      for (const ArenaBuffer& b : buffers) sum += b.first <= step && step <= b.last ? b.bytes : 0;
      largest_sum = std::max(largest_sum, sum);
    }
    EXPECT_GE(size, largest_sum);
    for (size_t i = 0; i < buffers.size(); ++i) {
      const ArenaBuffer& a = buffers[i];
      EXPECT_EQ(a.offset % 64, 0);
      EXPECT_LE(a.offset + a.bytes, size);
      for (size_t j = 0; j < i; ++j) {
        const ArenaBuffer& b = buffers[j];
        const bool together = a.first <= b.last && b.first <= a.last;
        const bool overlap = a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
        EXPECT_FALSE(together && overlap);
      }
    }
  }
}

std::vector<std::string> precisions() {
  std::vector<std::string> all{"f32"};
  if (cpu_computes_bf16()) all.push_back("bf16");
  return all;
}

std::vector<StepTime> steps_of(const NetworkSpec& spec, int64_t batch, const std::string& precision) {
  const auto model = std::make_shared<DnnlModel>(spec, nullptr, nullptr);
  return DnnlProgram(model, spec, batch, rule_plan(spec, precision, nullptr)).steps();
}

TEST(DnnlProgram, HoldsNoReferencePrimitive) {
  for (const std::string& precision : precisions()) {
    for (const NetworkSpec& spec : {yolov3(), yolov3_spp(), yolov3_tiny(), yolov3({.width = 608, .height = 352})}) {
      size_t convolutions = 0;
      for (const StepTime& step : steps_of(spec, 2, precision)) {
        if (step.kind != "convolution") continue;
        ++convolutions;
        EXPECT_FALSE(step.detail.empty());
        EXPECT_EQ(step.detail.find("ref"), std::string::npos) << step.layer << " " << step.detail;
        EXPECT_EQ(step.type, precision);
      }
      EXPECT_EQ(convolutions, conv_layers(spec).size());
    }
  }
}

size_t count(const std::vector<StepTime>& steps, const std::string& kind) {
  return static_cast<size_t>(std::ranges::count(steps, kind, &StepTime::kind));
}

// 75 convolutions; 23 shortcuts are inside them or in the pass that Winograd leaves; the two concatenations write
// themselves at batch 1 where maps are blocked.
TEST(DnnlProgram, FusesTheFullNetwork) {
  const std::vector<StepTime> f32 = steps_of(yolov3(), 1, "f32");
  EXPECT_EQ(count(f32, "convolution"), 75u);
  EXPECT_EQ(count(f32, "upsample"), 2u);
  const bool blocked = block_of(rule_plan(yolov3(), "f32", nullptr).f32_layout) > 1;
  EXPECT_EQ(count(f32, "concatenation"), blocked ? 0u : 2u);
  EXPECT_EQ(count(f32, "conversion"), 0u) << "neighbours agree";
  EXPECT_LE(count(steps_of(yolov3(), 4, "f32"), "concatenation"), 2u);
}

TEST(DnnlProgram, ArenaIsFarBelowTheSumOfTheMaps) {
  const NetworkSpec spec = yolov3();
  int64_t sum = 0;
  for (const Layer& layer : spec.layers) sum += 4 * layer.out.size();
  const auto model = std::make_shared<DnnlModel>(spec, nullptr, nullptr);
  const DnnlProgram program(model, spec, 1, rule_plan(spec, "f32", nullptr));
  EXPECT_LT(program.arena_bytes(), sum / 2);
}

TEST(DnnlModel, PacksOnceForAll) {
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 64, .height = 64});
  DnnlModel model(spec, lively_weights(spec), nullptr);
  const dnnl::memory::desc plain({16, 3, 3, 3}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::oihw);
  const auto first = model.packed(0, plain, 1);
  EXPECT_EQ(first, model.packed(0, plain, 1));
  EXPECT_NE(first, model.packed(0, plain, 0.5f));
}

TEST(DnnlModel, ProgramsOfOtherSizesShareTheirKernels) {
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 64, .height = 64});
  const auto model = std::make_shared<DnnlModel>(spec, lively_weights(spec), nullptr);
  const Plan plan = rule_plan(spec, "f32", nullptr);
  const DnnlProgram one(model, spec, 1, plan);
  const int64_t alone = model->packed_bytes();
  EXPECT_GT(alone, 0);
  const DnnlProgram same(model, spec, 1, plan);
  EXPECT_EQ(model->packed_bytes(), alone);
  const DnnlProgram two(model, with_input_size(spec, 96, 64), 2, plan);
  EXPECT_LT(model->packed_bytes(), alone + two.packed_bytes()) << "nothing is shared";
}

// Weights +-127 and 64 in units of a scale are exact in int8.
TEST(DnnlModel, QuantisesAFilterByItsLargestWeight) {
  const NetworkSpec spec = spec_of(
      "[convolutional]\nfilters=7\nsize=1\nstride=1\nactivation=linear\n[yolo]\nmask=0\nanchors=4,4\nclasses=2\nnum="
      "1\n",
      32, 32);
  auto weights = std::make_shared<Weights>(zero_weights(spec));
  const float kernel[] = {127 * 0.5f, -64 * 0.5f, 0.5f};
  std::copy_n(kernel, 3, weights->tensors[1].data());
  weights->tensors[0][0] = 3;
  DnnlModel model(spec, weights, nullptr);
  EXPECT_FLOAT_EQ(model.filter_scales(0)[0], 0.5f);
  EXPECT_EQ(model.filter_scales(0)[1], 1.0f) << "an empty filter";
  const dnnl::memory::desc form({7, 3, 1, 1}, dnnl::memory::data_type::s8, dnnl::memory::format_tag::oihw);
  const auto packed = model.packed(0, form, 0.25f);
  const auto* q = static_cast<const int8_t*>(packed->kernel.get_data_handle());
  EXPECT_EQ(q[0], 127);
  EXPECT_EQ(q[1], -64);
  EXPECT_EQ(q[2], 1);
  EXPECT_FLOAT_EQ(static_cast<const float*>(packed->bias.get_data_handle())[0], 3 / (0.25f * 0.5f));
}

TEST(Plan, IsWrittenAndReadBack) {
  const NetworkSpec spec = yolov3_tiny();
  const Plan plan = rule_plan(spec, "f32", nullptr);
  const std::string text = write_plan(plan);
  EXPECT_EQ(parse_plan(text, spec), plan);
  EXPECT_EQ(parse_plan("  " + text + "\n", spec), plan);
  EXPECT_THROW(parse_plan(text, yolov3()), Error) << "another network";
  EXPECT_THROW(parse_plan("", spec), Error);
  EXPECT_THROW(parse_plan("plan 2" + text.substr(6), spec), Error);
  EXPECT_THROW(parse_plan(text + " f32-direct", spec), Error);
  for (size_t cut = 0; cut < text.size(); cut += std::max<size_t>(1, text.size() / 16)) {
    EXPECT_THROW(parse_plan(text.substr(0, cut), spec), Error) << cut;
  }
  for (const char* layout : {"f32=planes", "f32=nowhere"}) {
    std::string other = text;
    EXPECT_THROW(parse_plan(other.replace(other.find("f32="), other.find(' ', 7) - other.find("f32="), layout), spec),
                 Error);
  }
  std::string int8 = text.substr(0, text.rfind(' ')) + " int8-direct";
  EXPECT_THROW(parse_plan(int8, spec), Error) << "no scales";
  std::string wrong = text;
  wrong.replace(wrong.rfind("f32-"), 4, "f64-");
  EXPECT_THROW(parse_plan(wrong, spec), Error);
}

TEST(PlanCache, KeepsTheNewestAndSurvivesDamage) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "yolov3-plan-cache";
  std::filesystem::remove_all(folder);
  const std::filesystem::path file = folder / "deep" / "plans";
  EXPECT_FALSE(read_cached_plan(file, "a"));
  write_cached_plan(file, "a", "plan 1 x");
  write_cached_plan(file, "b", "plan 1 y");
  write_cached_plan(file, "a", "plan 1 z");
  EXPECT_EQ(read_cached_plan(file, "a"), "plan 1 z");
  EXPECT_EQ(read_cached_plan(file, "b"), "plan 1 y");
  write_cached_plan(file, "c", "training-plan 1 x");
  write_cached_plan(file, "a", "plan 1 w");
  EXPECT_EQ(read_cached_plan(file, "c"), "training-plan 1 x") << "both kinds survive each other";
  for (size_t i = 0; i < kMostPlans; ++i) write_cached_plan(file, "k" + std::to_string(i), "plan 1 k");
  EXPECT_FALSE(read_cached_plan(file, "b")) << "the oldest went";
  EXPECT_EQ(read_cached_plan(file, "k0"), "plan 1 k");
  std::filesystem::resize_file(file, 7);
  EXPECT_FALSE(read_cached_plan(file, "k0"));
  write_cached_plan(file, "c", "plan 1 c");
  EXPECT_EQ(read_cached_plan(file, "c"), "plan 1 c");
  EXPECT_NO_THROW(write_cached_plan("/proc/no-such-place/plans", "a", "plan 1"));
  EXPECT_NO_THROW(write_cached_plan({}, "a", "plan 1"));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace yolov3
