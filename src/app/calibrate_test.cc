// The command from end to end, with the int8 engine of quant's tests.
#include "app/calibrate.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/test_program.h"
#include "base/error.h"
#include "base/files.h"
#include "engine/reference.h"
#include "format/model_file.h"
#include "quant/test_int8_engine.h"
#include "quant/test_pictures.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<Engine> make_test_engine(const EngineOptions& options, const NetworkSpec& spec,
                                         std::shared_ptr<const Weights> weights) {
  if (options.precision == "f32") return make_reference_engine(spec, std::move(weights));
  check(options.precision == "int8" && options.quantization != nullptr, "an engine of another kind was asked for");
  return std::make_unique<testing::TestInt8Engine>(spec, std::move(weights), *options.quantization);
}

class CalibrateCommandTest : public ::testing::Test {
 protected:
  CalibrateCommandTest() {
    std::string train, val;
    for (const Example& example : pictures_.dataset.examples) {
      const Box& b = example.objects[0].box;
      const std::string line = fmt::format("{} {},{},{},{},1\n", example.origin, b.x0, b.y0, b.x1, b.y1);
      (example.image_id < 8 ? train : val) += line;
    }
    write_file(path("train.txt"), train);
    write_file(path("val.txt"), val);
    write_file(path("data.yaml"), "train: train.txt\nval: val.txt\nnames: [black, white]\n");
  }

  std::string path(const std::string& name) const { return (pictures_.folder / name).string(); }

  // A checkpoint, so that there is something to lose.
  std::string make_model(const std::vector<bool>& weak) {
    const testing::Finder finder = testing::white_finder(weak);
    TrainingState state;
    state.tensors["adam/mean/layer0.kernel"] = Tensor({2, 3});
    state.values["epoch"] = "7";
    save_model(path("a.h5"), {finder.spec, *finder.weights, {"black", "white"}, {{"epoch", "7"}}}, &state);
    return path("a.h5");
  }

  // As run_program() does it.
  Ran run(Words words, const EngineMaker& make = make_test_engine) {
    Ran ran;
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    try {
      ran.code = run_calibrate_with(make, words);
    } catch (const Error& error) {
      ran.code = static_cast<int>(error.kind());
      ran.err = error.what();
    }
    ran.out = ::testing::internal::GetCapturedStdout();
    ran.err = ::testing::internal::GetCapturedStderr() + ran.err;
    return ran;
  }
  Ran run_on(const std::string& model, const Words& more = {}) {
    Words words = {"--weights", model, "--data", path("data.yaml"), "--images", "8"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }

  testing::Pictures pictures_{12};
};

TEST_F(CalibrateCommandTest, PutsTheScalesIntoTheModelAndKeepsAllElse) {
  const std::string file = make_model({false, true, false});
  TrainingState before_state, after_state;
  const Model before = load_model(file, &before_state);
  const Ran ran = run_on(file, {"--json", path("a.json")});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Model after = load_model(file, &after_state);
  ASSERT_TRUE(after.quantization.has_value());
  EXPECT_EQ(after.quantization->float_layers, (std::vector<int>{2, 4}));
  EXPECT_EQ(after.spec, before.spec);
  EXPECT_EQ(after.weights, before.weights);
  EXPECT_EQ(after.names, before.names);
  EXPECT_EQ(after.facts.at("epoch"), "7");
  EXPECT_SAYS(after.facts.at("int8"), "mAP50 1.0000 of 1.0000 in f32");
  EXPECT_EQ(after_state.tensors, before_state.tensors);
  EXPECT_EQ(after_state.values, before_state.values);

  EXPECT_SAYS(ran.out, "int8       1.0000");
  EXPECT_SAYS(ran.out, "layer   2 in floating point (1x1/1 conv, 2 filters): sensitive");
  const nlohmann::json json = nlohmann::json::parse(read_file(path("a.json")));
  EXPECT_EQ(json["passed"], true);
  EXPECT_EQ(json["judged_images"], 4);
  EXPECT_EQ(json["images"], 8);

  EXPECT_EQ(run_on(file).code, 0) << "once more, over the scales that are there";
  EXPECT_EQ(load_model(file).quantization, after.quantization);
}

// The engine that users have, not the simulated one.
TEST_F(CalibrateCommandTest, TheDnnlEngineComputesInt8) {
  const std::string file = make_model({false, false});
  const Ran ran = run({"--weights", file, "--data", path("data.yaml"), "--images", "8"}, make_engine);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_SAYS(ran.out, "dnnl int8");
  EXPECT_SAYS(ran.out, "int8       1.0000");
}

TEST_F(CalibrateCommandTest, OutLeavesTheModelAsItIs) {
  const std::string file = make_model({false});
  const std::string before = read_file(file);
  const Ran ran = run_on(file, {"--out", path("b.h5"), "--json", "-", "--method", "entropy"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(read_file(file), before);
  EXPECT_TRUE(load_model(path("b.h5")).quantization.has_value());
  EXPECT_EQ(nlohmann::json::parse(ran.out)["method"], "entropy");  // stdout is the JSON's alone
  EXPECT_SAYS(ran.err, "passed");
  const std::string written = read_file(path("b.h5"));
  const Ran again = run_on(file, {"--out", path("b.h5")});
  EXPECT_EQ(again.code, 2);
  EXPECT_SAYS(again.err, "exists already");
  EXPECT_EQ(read_file(path("b.h5")), written);
  EXPECT_EQ(run_on(file, {"--out", path("c.png")}).code, 2) << "no model file";
  EXPECT_EQ(run_on(file, {"--out", path("c.h5"), "--json", path("c.h5")}).code, 2) << "two files of one name";
}

TEST_F(CalibrateCommandTest, AFailedGateIsExitCode4AndWritesNoModel) {
  const std::string file = make_model({true, true});
  const std::string before = read_file(file);
  const Ran ran = run_on(file, {"--first-float", "--out", path("b.h5"), "--json", path("a.json")});
  EXPECT_EQ(ran.code, 4);
  EXPECT_SAYS(ran.err, "int8 costs 100.00 points of mAP50 (0.0000 instead of 1.0000), more than --max-drop 0.5");
  EXPECT_SAYS(ran.out, "FAILED");
  EXPECT_FALSE(fs::exists(path("b.h5")));
  EXPECT_EQ(nlohmann::json::parse(read_file(path("a.json")))["passed"], false);
  EXPECT_EQ(run_on(file, {"--first-float"}).code, 4);
  EXPECT_EQ(read_file(file), before);
}

TEST_F(CalibrateCommandTest, DataThatCannotJudgeIsRefused) {
  const std::string file = make_model({false});
  const std::string before = read_file(file);
  write_file(path("val.txt"), "008.png\n009.png\n");
  const Ran blank = run_on(file);
  EXPECT_EQ(blank.code, 3);
  EXPECT_SAYS(blank.err, "none of the 2 pictures to judge by has an object");

  write_file(path("data.yaml"), "train: train.txt\nnames: [black, white]\n");
  EXPECT_NE(run_on(file).code, 0) << "there is no val";
  write_file(path("data.yaml"), "train: train.txt\nval: train.txt\nnames: [white, black]\n");
  const Ran swapped = run_on(file);
  EXPECT_EQ(swapped.code, 2);
  EXPECT_SAYS(swapped.err, "class 0 is \"black\" in the model and \"white\" in the data set");
  write_file(path("data.yaml"), "train: train.txt\nval: train.txt\nnames: [black, white, grey]\n");
  EXPECT_EQ(run_on(file).code, 2);
  EXPECT_EQ(read_file(file), before);
}

// Written anew by a training run while it was calibrated: its new weights must survive.
TEST_F(CalibrateCommandTest, AModelThatChangesMeanwhileIsNotOverwritten) {
  const std::string file = make_model({false});
  Model later = load_model(file);
  later.weights.tensors[0][0] += 1;
  const EngineMaker make = [&](const EngineOptions& options, const NetworkSpec& spec,
                               std::shared_ptr<const Weights> weights) {
    save_model(file, later);
    return make_test_engine(options, spec, std::move(weights));
  };
  const Ran ran = run({"--weights", file, "--data", path("data.yaml")}, make);
  EXPECT_EQ(ran.code, 1);
  EXPECT_SAYS(ran.err, "was written anew while it was calibrated");
  EXPECT_EQ(load_model(file).weights, later.weights);
  EXPECT_FALSE(load_model(file).quantization.has_value());
}

TEST_F(CalibrateCommandTest, OptionsAreChecked) {
  const std::string file = make_model({false});
  EXPECT_EQ(run({"--data", path("data.yaml")}).code, 2);
  EXPECT_EQ(run({"--weights", file}).code, 2);
  EXPECT_EQ(run_on(file, {"--method", "median"}).code, 2);
  EXPECT_EQ(run_on(file, {"--images", "0"}).code, 2);
  EXPECT_EQ(run_on(file, {"--max-drop", "-1"}).code, 2);
  EXPECT_EQ(run_on(file, {"--method", "mse", "--percentile", "99"}).code, 2);
  EXPECT_SAYS(run_on(file, {"--method", "mse", "--percentile", "99"}).err, "--percentile has no effect here");
  EXPECT_NE(run_on(file, {"--percentile", "0"}).code, 0);
  EXPECT_EQ(run_on(file, {"--out", path("no/such/b.h5")}).code, 1);
  EXPECT_EQ(run({"--weights", path("none.h5"), "--data", path("data.yaml")}).code, 1);
  EXPECT_EQ(run({"--help"}).code, 0);
  EXPECT_SAYS(run({"--help"}).out, "--max-drop");
}

// What detect and eval say of a model without scales, before any engine is made.
TEST_F(CalibrateCommandTest, Int8NeedsScales) {
  const std::string file = make_model({false});
  ::testing::internal::CaptureStderr();
  const int code = run_program({"detect", "--weights", file, "--source", path("000.png"), "--precision", "int8"});
  const std::string err = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(code, 2);
  EXPECT_SAYS(err, "has no int8 scales; yolov3 calibrate --data D --weights " + file);
}

}  // namespace
}  // namespace yolov3
