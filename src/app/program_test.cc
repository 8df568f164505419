// The commands from end to end, on a small network with random weights.
#include "app/program.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "app/test_folder.h"
#include "app/test_program.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "engine/torch_engine.h"
#include "format/model_file.h"
#include "image/load.h"
#include "image/save.h"
#include "net/cfg.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

class Program : public ::testing::Test {
 protected:
  void SetUp() override { clear_interrupt(); }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // A model that finds something in every cell: its objectness starts near 0.9.
  std::string make_model() {
    Model model;
    model.spec = parse_cfg(kSmallCfg, "small.cfg").spec;
    model.weights = random_weights(model.spec, {.seed = 1, .objectness_prior = 0.9f});
    model.names = {"dog", "traffic light"};
    save_model(path("small.h5"), model);
    return path("small.h5");
  }

  // Two pictures and one that is cut short.
  std::string make_pictures() {
    make_directories(folder_ / "pictures");
    save_image(folder_ / "pictures/a.jpg", Image(100, 60, 90));
    save_image(folder_ / "pictures/b.png", Image(64, 64, 200));
    const std::string whole = read_file(folder_ / "pictures/a.jpg");
    write_file(folder_ / "pictures/broken.jpg", whole.substr(0, whole.size() / 2));
    return path("pictures");
  }

  fs::path folder_ = make_test_folder("program");
};

TEST_F(Program, UnknownCommandsAreUsageErrors) {
  const Ran ran = run({"detct"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.err, "error: there is no command \"detct\"; did you mean detect?\n");
  EXPECT_EQ(run({}).code, 2);
  EXPECT_EQ(run({"data", "chekc"}).err, "error: there is no command \"data chekc\"; did you mean data check?\n");
  EXPECT_EQ(run({"serve"}).code, 2);
}

TEST_F(Program, HelpGoesToStdout) {
  for (const Words& words : std::vector<Words>{{"--help"},
                                               {"help"},
                                               {"train", "-h"},
                                               {"help", "val"},
                                               {"predict", "--help"},
                                               {"calibrate", "--help"},
                                               {"export", "--help"},
                                               {"compare", "--help"},
                                               {"data", "check", "--help"},
                                               {"data", "synth", "--help"},
                                               {"data", "stats", "--help"},
                                               {"data", "convert", "--help"},
                                               {"data", "split", "--help"},
                                               {"data", "preview", "--help"},
                                               {"bench", "--help"},
                                               {"anchors", "--help"},
                                               {"explain", "--help"},
                                               {"export", "--help"},
                                               {"replay", "--help"},
                                               {"info", "--help"}}) {
    const Ran ran = run(words);
    EXPECT_EQ(ran.code, 0);
    EXPECT_GT(ran.out.size(), 200u) << words.back();
    EXPECT_EQ(ran.err, "");
  }
  EXPECT_EQ(run({"--version"}).out.substr(0, 7), "yolov3 ");
}

// What another option leaves without effect is refused, before anything is read.
TEST_F(Program, IdleTrainingOptionsAreRefused) {
  const auto refused = [&](const Words& words) {
    Words line{"train", "--data", "x"};
    line.insert(line.end(), words.begin(), words.end());
    const Ran ran = run(line);
    EXPECT_EQ(ran.code, 2) << words[0];
    EXPECT_NE(ran.err.find("error: " + words[0] + ": "), std::string::npos) << ran.err;
  };
  refused({"--nesterov", "true"});
  refused({"--steps", "0.5"});
  refused({"--step-scale", "0.5", "--schedule", "linear"});
  refused({"--lr-end", "0.0001", "--schedule", "steps"});
  refused({"--lr-end", "0.0001", "--schedule", "constant"});
  refused({"--warmup", "darknet", "--warmup-epochs", "0"});
  refused({"--epochs", "3", "--time", "2h"});
  refused({"--time", "2"});
  refused({"--save-every", "10min"});
}

TEST_F(Program, ReplayWantsTheFileOfAStep) {
  EXPECT_NE(run({"replay"}).err.find("replay needs --file"), std::string::npos);
  if (!have_torch()) GTEST_SKIP() << "a build without LibTorch cannot train";
  const Ran ran = run({"replay", path("none.h5")});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("none.h5: cannot open"), std::string::npos) << ran.err;
}

TEST_F(Program, MissingOptionsAreNamed) {
  EXPECT_NE(run({"detect"}).err.find("detect needs --weights"), std::string::npos);
  EXPECT_NE(run({"train"}).err.find("train needs --data"), std::string::npos);
  EXPECT_NE(run({"train", "--data", "x", "--momentum", "0.8"}).err.find("--momentum: adam has none"),
            std::string::npos);
  EXPECT_NE(run({"eval", "--data", "x"}).err.find("eval needs --weights"), std::string::npos);
  EXPECT_EQ(run({"eval", "--data", "x"}).code, 2);
}

TEST_F(Program, InfoKnowsTheBuildAndTheModels) {
  const nlohmann::json facts = nlohmann::json::parse(run({"info", "--json", "-"}).out);
  EXPECT_FALSE(facts["engines"].empty());
  EXPECT_GE(facts["cpus"].get<int>(), 1);
  // 61,949,149 trainable parameters with 80 classes: the paper's network.
  EXPECT_NE(run({"info", "--model", "yolov3"}).out.find("61,949,149"), std::string::npos);
  const Ran model = run({"info", "--weights", make_model()});
  EXPECT_NE(model.out.find("classes: dog, traffic light"), std::string::npos) << model.err;
  write_file(path("small.cfg"), kSmallCfg);
  EXPECT_EQ(run({"info", "--model", path("small.cfg")}).code, 0);
  EXPECT_EQ(run({"info", "--model", "yolov4"}).code, 2);
  EXPECT_EQ(run({"info", "--model", "yolov3x"}).code, 2);
  const std::string cfg = read_file(path("small.cfg"));
  EXPECT_EQ(run({"info", "--model", path("small.cfg"), "--json", path("small.cfg")}).code, 2) << "what it reads";
  EXPECT_EQ(read_file(path("small.cfg")), cfg);
  EXPECT_EQ(run({"info", "--model", path("small.cfg"), "--classes", "3"}).code, 2);
}

TEST_F(Program, DetectDrawsAndGoesOnAfterABrokenPicture) {
  const std::string model = make_model(), pictures = make_pictures();
  const Ran ran = run({"detect", "--weights", model, "--source", pictures, "--engine", "reference", "--out",
                       path("out"), "--format", "json", "--conf", "0.3"});
  EXPECT_EQ(ran.code, 3) << ran.err;
  EXPECT_NE(ran.err.find("broken.jpg"), std::string::npos) << ran.err;
  EXPECT_EQ(load_image(path("out/a.jpg")).full_width, 100);
  EXPECT_EQ(load_image(path("out/b.png")).full_width, 64);
  EXPECT_FALSE(fs::exists(path("out/broken.jpg")));
  const std::string text = read_file(path("out/detections.jsonl"));
  const std::vector<std::string_view> lines = split_lines(text);
  ASSERT_EQ(lines.size(), 2u);
  const nlohmann::json first = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(first["width"], 100);
  EXPECT_EQ(first["height"], 60);
  ASSERT_FALSE(first["detections"].empty());
  for (const auto& detection : first["detections"]) {
    EXPECT_GE(detection["box"][0].get<double>(), 0);
    EXPECT_LE(detection["box"][2].get<double>(), 100);
    EXPECT_LE(detection["box"][3].get<double>(), 60);
    EXPECT_GE(detection["score"].get<double>(), 0.3);
  }
}

TEST_F(Program, DetectRepeatsFromItsArgsAndOverwritesNothing) {
  const std::string model = make_model(), pictures = make_pictures();
  fs::remove(path("pictures/broken.jpg"));
  const Words words = {"detect",    "--weights", model, "--source", pictures, "--engine",  "reference",    "--out",
                       path("out"), "--format",  "csv", "--batch",  "2",      "--classes", "traffic light"};
  ASSERT_EQ(run(words).code, 0);
  ASSERT_EQ(run({"detect", "--config", path("out/args.toml")}).code, 0);
  EXPECT_TRUE(fs::exists(path("out/a.jpg")));
  EXPECT_EQ(read_file(path("out/detections.csv")), read_file(path("out2/detections.csv")));
  EXPECT_EQ(read_file(path("out/a.jpg")), read_file(path("out2/a.jpg")));
  EXPECT_EQ(read_file(path("out/detections.csv")).find("dog"), std::string::npos);
}

TEST_F(Program, DetectToStdoutIsResultsOnly) {
  const std::string model = make_model(), pictures = make_pictures();
  const Ran ran = run({"detect", "--weights", model, "--source", pictures + "/b.png", "--engine", "reference", "--out",
                       "-", "--format", "coco"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_TRUE(nlohmann::json::parse(ran.out).is_array());
  EXPECT_EQ(run({"detect", "--weights", model, "--source", pictures, "--out", "-"}).code, 2);
  EXPECT_EQ(run({"detect", "--weights", model, "--source", pictures, "--classes", "dgo"}).code, 2);
}

TEST_F(Program, SynthWritesADataSetThatChecksAndEvaluates) {
  ASSERT_EQ(run({"data", "synth", "--out", path("digits"), "--count", "6"}).code, 0);
  const std::string yaml = path("digits/data.yaml");
  const Ran checked = run({"data", "check", "--data", yaml, "--json", path("check.json")});
  EXPECT_EQ(checked.code, 0) << checked.err << checked.out;
  EXPECT_NE(checked.out.find("train: 6 pictures"), std::string::npos) << checked.out;
  const nlohmann::json json = nlohmann::json::parse(read_file(path("check.json")));
  EXPECT_EQ(json.size(), 3u);
  EXPECT_EQ(json[0]["images"], 6);
  const Ran again = run({"data", "synth", "--out", path("digits"), "--count", "6"});
  EXPECT_EQ(again.code, 1) << "nothing is overwritten";
  // Two classes against ten.
  EXPECT_EQ(run({"eval", "--weights", make_model(), "--data", yaml, "--engine", "reference"}).code, 2);
}

TEST_F(Program, EvalJudgesTheModelAndWritesJson) {
  const std::string model = make_model();
  make_pictures();
  write_file(path("names.txt"), "dog\ntraffic light\n");
  write_file(path("list.txt"), "pictures/a.jpg 1,2,30,40,0\npictures/b.png 5,5,50,50,1\n");
  const Words words = {
      "eval",     "--weights", model,    "--data", path("list.txt"), "--names",           path("names.txt"),
      "--engine", "reference", "--json", "-",      "--save-json",    path("results.json")};
  const Ran ran = run(words);
  ASSERT_EQ(ran.code, 0) << ran.err;
  const nlohmann::json json = nlohmann::json::parse(ran.out);
  EXPECT_EQ(json["images"], 2);
  EXPECT_EQ(json["objects"], 2);
  EXPECT_TRUE(json["coco"].contains("AP50"));
  EXPECT_TRUE(nlohmann::json::parse(read_file(path("results.json"))).is_array());
  write_file(path("other.txt"), "traffic light\ndog\n");
  const Ran swapped = run(
      {"eval", "--weights", model, "--data", path("list.txt"), "--names", path("other.txt"), "--engine", "reference"});
  EXPECT_EQ(swapped.code, 2);
  EXPECT_NE(swapped.err.find("class 0 is \"dog\" in the model and \"traffic light\" in the data set"),
            std::string::npos);
}

TEST_F(Program, EvalJudgesResultsOfAnyDetector) {
  const std::string golden = YOLOV3_SOURCE_DIR "/golden/coco/";
  const Ran ran =
      run({"eval", "--data", golden + "real.gt.json", "--detections", golden + "real.dets.json", "--json", "-"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const nlohmann::json truth = nlohmann::json::parse(read_file(golden + "real.metrics.json"));
  const nlohmann::json found = nlohmann::json::parse(ran.out)["coco"];
  for (const char* figure : {"AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"}) {
    EXPECT_NEAR(found[figure].get<double>(), truth[figure].get<double>(), 1e-12) << figure;
  }
  EXPECT_EQ(found.size(), 12u);
  EXPECT_TRUE(ran.out.ends_with("}\n") && !ran.out.ends_with("\n\n"));
  EXPECT_EQ(run({"eval", "--data", "x", "--detections", "y", "--weights", "z"}).code, 2);
}

TEST_F(Program, OptionsWithoutEffectAreRefused) {
  const auto refused = [](const Words& words, const std::string& option) {
    const Ran ran = run(words);
    EXPECT_EQ(ran.code, 2) << ran.err;
    EXPECT_NE(ran.err.find(option), std::string::npos) << ran.err;
  };
  refused({"info", "--imgsz", "416"}, "--imgsz has no effect here");
  refused({"info", "--classes", "3"}, "--classes");
  for (const auto& [option, value] : std::vector<std::pair<std::string, std::string>>{{"conf", "0.5"},
                                                                                      {"imgsz", "416"},
                                                                                      {"split", "test"},
                                                                                      {"names", "x"},
                                                                                      {"bad-data", "repair"},
                                                                                      {"save-json", "x"},
                                                                                      {"batch", "2"}}) {
    refused({"eval", "--data", "x", "--detections", "y", "--" + option, value}, "--" + option + " has no effect here");
  }
  refused({"detect", "--weights", "x", "--source", "y", "--format", "json", "--out", "-", "--draw", "true"}, "--draw");
}

TEST_F(Program, UltralyticsAndDarknetSpellingsAreUnderstood) {
  const std::string model = make_model(), pictures = make_pictures();
  const Ran ran = run({"detect",
                       "--weights",
                       model,
                       "--source",
                       pictures + "/b.png",
                       "--conf-thres",
                       "0.3",
                       "--iou_thres",
                       "0.5",
                       "--img",
                       "64",
                       "--batch-size",
                       "2",
                       "--max-det",
                       "9",
                       "--out",
                       "-",
                       "--format",
                       "json",
                       "--engine",
                       "reference"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  write_file(path("small.cfg"), kSmallCfg);
  EXPECT_EQ(run({"info", "--cfg", path("small.cfg"), "--img", "96"}).code, 0);
  EXPECT_NE(run({"train", "--help"}).out.find("--cfg"), std::string::npos);
}

// The run would be long: it must not begin.
TEST_F(Program, UnwritableOutputsAreFoundBeforeTheWork) {
  const std::string golden = YOLOV3_SOURCE_DIR "/golden/coco/";
  const Words words = {"eval", "--data", golden + "real.gt.json", "--detections", golden + "real.dets.json", "--json"};
  for (const std::string& bad : {path("no/such/folder.json"), path("")}) {
    Words all = words;
    all.push_back(bad);
    const Ran ran = run(all);
    EXPECT_EQ(ran.code, 1) << bad;
    EXPECT_EQ(ran.out, "");
  }
  // No such model, but the results file is what the message is about.
  const Ran saved = run({"eval", "--data", "x", "--weights", "y", "--save-json", path("no/such/folder.json")});
  EXPECT_NE(saved.err.find("folder.json"), std::string::npos) << saved.err;
  EXPECT_TRUE(fs::is_empty(folder_)) << "the probe leaves nothing behind";
  Words device = words;
  device.push_back("/dev/null");
  EXPECT_EQ(run(device).code, 0);
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(Program, EvalSaysWhereAllDefectsAre) {
  const std::string model = make_model();
  make_pictures();
  write_file(path("names.txt"), "dog\ntraffic light\n");
  std::string line = "pictures/a.jpg";
  for (int i = 0; i < 300; ++i) line += " 1,2,30,40,0";
  for (int i = 0; i < 12; ++i) line += " 50,50,40,60,1";
  write_file(path("list.txt"), line + "\n");
  const Ran ran = run(
      {"eval", "--weights", model, "--data", path("list.txt"), "--names", path("names.txt"), "--engine", "reference"});
  EXPECT_NE(ran.err.find("yolov3 data check --json"), std::string::npos) << ran.err;
}

TEST_F(Program, AnInterruptedDetectionKeepsItsResults) {
  const std::string model = make_model(), pictures = make_pictures();
  const Words words = {"detect",    "--weights", model,       "--source", pictures, "--engine",
                       "reference", "--out",     path("out"), "--format", "coco"};
  install_interrupt_handlers();
  std::raise(SIGTERM);
  const Ran ran = run(words);
  clear_interrupt();
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGINT, SIG_DFL);
  EXPECT_EQ(ran.code, 1) << ran.err;
  EXPECT_NE(ran.err.find("stopped by a signal after 0 of 3 pictures"), std::string::npos) << ran.err;
  EXPECT_TRUE(nlohmann::json::parse(read_file(path("out/detections.json"))).empty());
}

TEST_F(Program, FileNamesDoNotSteerTheTerminal) {
  const std::string model = make_model();
  make_directories(folder_ / "pictures");
  write_file(folder_ / "pictures/\x1b[2Jb.jpg", "no picture");
  const Ran ran =
      run({"detect", "--weights", model, "--source", path("pictures"), "--engine", "reference", "--out", path("out")});
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("?[2Jb.jpg"), std::string::npos) << ran.err;
  EXPECT_EQ(ran.err.find('\x1b'), std::string::npos);
  EXPECT_EQ(run({"info", "--weights", path("\x1b[2J")}).err.find('\x1b'), std::string::npos);
  EXPECT_EQ(fit_for_terminal("a\tb\n\n\x07"
                             "c\n"),
            "a?b\n\n?c\n");
}

}  // namespace
}  // namespace yolov3
