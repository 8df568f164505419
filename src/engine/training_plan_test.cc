#include "engine/training_plan.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "base/cpu.h"
#include "base/error.h"
#include "engine/training_tune.h"
#include "net/builder.h"
#include "net/models.h"

namespace yolov3 {
namespace {

TEST(TrainingPlan, TheRuleTakesWinogradWhereItExists) {
  const TrainingPlan plan = rule_training_plan(yolov3(), "f32");
  ASSERT_EQ(plan.convolutions.size(), 75u);
  const auto with_winograd = std::ranges::count_if(
      plan.convolutions, [](const ConvPasses& passes) { return passes.forward == ConvAlgorithm::winograd; });
  // 3x3, stride 1, 16 channels or more: 23 in the residual blocks, 9 in front of the heads.
  EXPECT_EQ(with_winograd, cpu_features().avx512 ? 32 : 0);
  EXPECT_THROW(rule_training_plan(yolov3(), "int8"), Error);
  EXPECT_THROW(rule_training_plan(yolov3(), "auto"), Error);
}

TEST(TrainingPlan, IsWrittenAndReadBack) {
  const NetworkSpec spec = yolov3_tiny();
  std::vector<std::string> precisions{"f32"};
  if (cpu_computes_bf16()) precisions.push_back("bf16");
  for (const std::string& precision : precisions) {
    const TrainingPlan plan = rule_training_plan(spec, precision);
    const std::string text = write_training_plan(plan);
    EXPECT_EQ(parse_training_plan(text, spec), plan);
    EXPECT_EQ(parse_training_plan("  " + text + "\n", spec), plan);
    EXPECT_THROW(parse_training_plan(text, yolov3()), Error) << "another network";
    EXPECT_THROW(parse_training_plan(text + " ddd", spec), Error);
    for (size_t cut = 0; cut < text.size(); cut += std::max<size_t>(1, text.size() / 16)) {
      EXPECT_THROW(parse_training_plan(text.substr(0, cut), spec), Error) << cut;
    }
  }
}

TEST(TrainingPlan, RefusesWhatCannotBe) {
  const NetworkSpec spec = NetworkBuilder({3, 32, 32})
                               .conv(8, 3)
                               .conv(21, 1, 1, Activation::linear, false)
                               .yolo({{4, 4}, {8, 8}, {9, 9}}, {0, 1, 2}, 2)
                               .build();
  EXPECT_NO_THROW(parse_training_plan("training-plan 1 f32 channels_last: ddd ddd", spec));
  for (const char* text :
       {"", "training-plan", "training-plan 2 f32 channels_last: ddd ddd", "training-plan 1 f64 channels_last: ddd ddd",
        "training-plan 1 f32 planes: ddd ddd", "training-plan 1 f32 channels_last ddd ddd",
        "training-plan 1 f32 channels_last: dd ddd", "training-plan 1 f32 channels_last: dxd ddd",
        "training-plan 1 f32 channels_last: ddd dwd"}) {
    EXPECT_THROW(parse_training_plan(text, spec), Error) << text;
  }
}

TEST(TrainingTune, MeasuresEveryPassOfEveryConvolution) {
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 64, .height = 64});
  const TrainingTuning tuning = tune_training(spec, 1, "f32", 0);
  EXPECT_EQ(parse_training_plan(write_training_plan(tuning.plan), spec), tuning.plan);
  EXPECT_EQ(tuning.passes.size(), 3 * conv_layers(spec).size() - 1) << "nobody wants the pictures' gradient";
  double sum = 0;
  for (const PassTime& pass : tuning.passes) {
    EXPECT_GT(pass.ms, 0);
    EXPECT_EQ(pass.detail.find("ref"), std::string::npos) << pass.detail;
    sum += pass.ms;
  }
  EXPECT_DOUBLE_EQ(tuning.total_ms(), sum);
}

// In a cache of its own: other processes write the user's at the same time.
TEST(TrainingTune, TheChosenPlanIsOneOfTheRules) {
  std::string folder = (std::filesystem::temp_directory_path() / "yolov3_plans_XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  ASSERT_EQ(::setenv("YOLOV3_CACHE", folder.c_str(), 1), 0);
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 32, .height = 32});
  EXPECT_EQ(choose_training_plan(spec, 1, "f32", 0, false), rule_training_plan(spec, "f32"));
  const TrainingPlan automatic = choose_training_plan(spec, 1, "auto", 0, false);
  EXPECT_EQ(automatic, rule_training_plan(spec, to_string(automatic.type)));
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(choose_training_plan(spec, 1, "auto", 0, false), automatic);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(said.find("measuring"), std::string::npos) << "it was kept: " << said;
  ::unsetenv("YOLOV3_CACHE");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace yolov3
