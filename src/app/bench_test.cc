// The measurements of `bench` on fakes and a small network. No test looks at how long anything took.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/bench_report.h"
#include "app/bench_scales.h"
#include "app/test_folder.h"
#include "app/test_program.h"
#include "base/error.h"
#include "base/files.h"
#include "format/darknet_weights.h"
#include "format/model_file.h"
#include "image/save.h"
#include "net/builder.h"
#include "net/cfg.h"
#include "net/models.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// 3x32x64 -> stride 8, with a skip and two classes.
NetworkSpec small_network() {
  NetworkBuilder net({3, 32, 64});
  net.conv(4, 3, 2).conv(4, 1).conv(4, 3).shortcut(0).conv(8, 3, 2).conv(8, 3, 2);      // 0 to 5
  net.conv(14, 1, 1, Activation::linear, false).yolo({{10, 10}, {20, 20}}, {0, 1}, 2);  // 6, 7
  return net.build();
}

BenchCase small_case() {
  BenchCase c{.model = "small", .weights_from = "random weights", .spec = small_network()};
  c.weights = std::make_shared<const Weights>(random_weights(c.spec));
  return c;
}

// Says what it was told to say, run after run.
class ScriptedEngine : public Engine {
 public:
  explicit ScriptedEngine(std::vector<std::vector<StepTime>> runs) : runs_(std::move(runs)) {}
  std::vector<Tensor> forward(const Tensor&) override { return {}; }
  std::vector<StepTime> profile(std::span<const Image>) override { return runs_.at(next_++); }
  std::string name() const override { return "scripted"; }

 private:
  std::vector<std::vector<StepTime>> runs_;
  size_t next_ = 0;
};

// Of small_network(): 0.5 GFLOP direct in 2 ms is 250 GFLOP/s; 0.5 by Winograd in 1 ms is 500.
std::vector<StepTime> script(double scale = 1) {
  return {{.layer = -1, .kind = "input", .type = "f32", .ms = 0.5 * scale},
          {.layer = 0, .kind = "convolution", .algorithm = "direct", .type = "f32", .ms = 2 * scale, .gflop = 0.5},
          {.layer = 2, .kind = "convolution", .algorithm = "winograd", .type = "f32", .ms = 1 * scale, .gflop = 0.5},
          {.layer = 3, .kind = "activation + shortcut", .type = "f32", .ms = 0.25 * scale},
          {.layer = -1, .kind = "output", .type = "f32", .ms = 0.25 * scale}};
}

TEST(BenchMeasure, Spread) {
  EXPECT_EQ(spread_of({3, 1, 2}).median, 2);
  const Spread even = spread_of({4, 1, 2, 3});
  EXPECT_EQ(even.median, 2.5);
  EXPECT_EQ(even.min, 1);
  EXPECT_EQ(even.max, 4);
  EXPECT_EQ(spread_of({}).median, 0);
}

TEST(BenchMeasure, StepsAreMediansAndTheFirstRunWarmsUp) {
  ScriptedEngine engine({script(100), script(3), script(1), script(2)});
  const std::vector<StepTime> steps = measure_steps(engine, {}, 3);
  ASSERT_EQ(steps.size(), 5u);
  EXPECT_EQ(steps[1].ms, 4);
  EXPECT_EQ(steps[2].algorithm, "winograd");
  const StepSums sums = sums_of(steps);
  EXPECT_EQ(sums.convolutions, 6);
  EXPECT_EQ(sums.passes, 0.5);
  EXPECT_EQ(sums.input_output, 1.5);
  EXPECT_EQ(sums.all(), 8);
  ScriptedEngine changing({script(), {}});
  EXPECT_THROW(measure_steps(changing, {}, 1), Error);
}

TEST(BenchMeasure, EnginesSideBySideCountEveryImage) {
  BenchCase c = small_case();
  const std::vector<Image> pictures(2, Image(64, 32, 90));
  const Throughput t = measure_side_by_side({.kind = "reference"}, c, pictures, 3, 4);
  EXPECT_EQ(t.engines, 3);
  EXPECT_EQ(t.images, 3 * 4 * 2);
  EXPECT_GT(t.images_per_s(), 0);
  // A picture that the network cannot take: the thread's error is the caller's.
  const std::vector<Image> odd(1, Image(33, 31));
  EXPECT_THROW(measure_side_by_side({.kind = "reference"}, c, odd, 2, 1), Error);
}

BenchFigures scripted_figures(const BenchCase& c) {
  BenchFigures f{.bench_case = &c, .engine = "scripted", .description = {"a line"}};
  f.stages.network = {5, 4, 6};
  f.stages.network_ms = {4, 5, 6};
  f.stages.boxes = {1, 1, 1};
  f.stages.end_to_end = {6, 6, 7};
  f.steps = script();
  f.peaks = {{.type = "f32", .from = "layer 0", .gflop_per_s = 250}};
  return f;
}

TEST(BenchReport, JsonIsConsistent) {
  const BenchCase c = small_case();
  const Json json = Json::parse(bench_json(scripted_figures(c)));
  EXPECT_EQ(json["network_ms"], 5);
  EXPECT_EQ(json["runs"], 3);
  EXPECT_EQ(json["images_per_s"], 200);
  EXPECT_NEAR(json["end_to_end_over_network"].get<double>(), 0.2, 1e-12);
  EXPECT_EQ(json["stages"]["network"]["median"], json["network_ms"]);
  double sum = 0;
  for (const Json& step : json["steps"]) sum += step["ms"].get<double>();
  EXPECT_EQ(sum, 4);
  EXPECT_EQ(json["sums"]["steps_ms"], 4);
  EXPECT_EQ(json["sums"]["convolutions_ms"], 3);
  EXPECT_EQ(json["sums"]["outside_convolutions"], 0.25);
  EXPECT_EQ(json["sums"]["outside_convolutions_with_boxes"], 0.4);  // (1 + 1) / (4 + 1)
  const Json& direct = json["steps"][1];
  EXPECT_EQ(direct["in"], "3x32x64");
  EXPECT_EQ(direct["out"], "4x16x32");
  EXPECT_EQ(direct["kernel"], "3x3/2");
  EXPECT_EQ(direct["gflop_per_s"], 250);
  EXPECT_EQ(direct["share_of_peak"], 1);
  EXPECT_EQ(direct["share_of_network"], 0.4);
  EXPECT_EQ(json["steps"][2]["share_of_peak"], 2);
  EXPECT_EQ(json["steps"][3]["share_of_peak"], 0);
  EXPECT_EQ(json["steps"][0]["in"], "");
}

TEST(BenchReport, TheTableNamesEveryStep) {
  const BenchCase c = small_case();
  BenchFigures f = scripted_figures(c);
  f.throughput = Throughput{2, 10, 0.02};
  const std::string table = bench_table(f);
  for (const char* part : {"a line", "winograd", "activation + shortcut", "4x16x32", "200.0%", "25.0% outside",
                           "2 engines side by side", "500.00 images/s, 2.50 times"}) {
    EXPECT_NE(table.find(part), std::string::npos) << part << "\n" << table;
  }
  EXPECT_EQ(table.find(" \n"), std::string::npos);
}

// Shows the maps of some layers only, all of one value each.
class PartlyShownEngine : public ScriptedEngine {
 public:
  explicit PartlyShownEngine(std::vector<std::pair<int, float>> shown) : ScriptedEngine({}), shown_(std::move(shown)) {}
  std::vector<Tensor> forward_observed(const Tensor&, const LayerObserver& observe) override {
    for (const auto& [layer, value] : shown_) {
      Tensor map({1, 1, 1, 2});
      map[0] = value;
      observe(layer, map);
    }
    return {};
  }

 private:
  std::vector<std::pair<int, float>> shown_;
};

TEST(BenchScales, FusedLayersTakeTheScaleOfTheMapTheyAreFusedInto) {
  // Layer 2 is fused into the shortcut 3, the head 7 only passes layer 6 on.
  PartlyShownEngine engine({{0, 127}, {1, -254}, {3, 1270}, {4, 0}, {5, 12.7f}, {6, 381}});
  const Quantization q = scales_of_batch(engine, small_network(), Tensor());
  const std::vector<float> expected = {1, 2, 10, 10, 1e-6f, 0.1f, 3, 3};
  ASSERT_EQ(q.scales.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_FLOAT_EQ(q.scales[i], expected[i]) << i;
  EXPECT_EQ(q.float_layers, (std::vector<int>{6}));
}

TEST(BenchScales, OfARealEngine) {
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 64, .height = 64});
  const auto engine = make_engine({.kind = "reference"}, spec, std::make_shared<const Weights>(random_weights(spec)));
  Tensor images({1, 3, 64, 64});
  std::ranges::fill(images.values(), 0.5f);
  const Quantization q = scales_of_batch(*engine, spec, images);  // checks itself
  EXPECT_EQ(q.float_layers, (std::vector<int>{15, 22}));
}

// ---- the command

class Bench : public ::testing::Test {
 protected:
  void SetUp() override { write_file(path("small.cfg"), write_cfg(small_network())); }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // The reference engine on the small network.
  Words words(const Words& more) const {
    Words all = {"bench", "--engine", "reference", "--runs", "2", "--json", "-"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  fs::path folder_ = make_test_folder("bench");
};

TEST_F(Bench, ReferenceEngine) {
  const Ran ran = run(words({"--model", path("small.cfg"), "--batch", "2", "--mode", "throughput", "--sides", "2"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = Json::parse(ran.out);
  EXPECT_EQ(json["batch"], 2);
  EXPECT_EQ(json["runs"], 2);
  EXPECT_EQ(json["network_runs_ms"].size(), 2u);
  EXPECT_EQ(json["model"]["input"], (Json{64, 32}));
  EXPECT_EQ(json["engine"]["name"], "reference");
  EXPECT_EQ(json["throughput"]["images"], 2 * 2 * 2);
  for (const char* stage : {"decode", "letterbox", "network", "boxes", "end_to_end"}) {
    const Json& spread = json["stages"][stage];
    EXPECT_LE(spread["min"], spread["median"]) << stage;
    EXPECT_LE(spread["median"], spread["max"]) << stage;
    EXPECT_GE(spread["min"], 0) << stage;
  }
  EXPECT_EQ(json["stages"]["network"]["median"], json["network_ms"]);
  // This engine is the plain truth and cannot time its steps; that is said, not hidden.
  EXPECT_TRUE(json["steps"].empty());
  EXPECT_NE(json["no_steps"].get<std::string>().find("does not time its steps"), std::string::npos);
  EXPECT_NE(ran.err.find("images/s"), std::string::npos) << "the table goes to stderr when stdout is the JSON's";
}

TEST_F(Bench, ModelsWeightsAndPictures) {
  Model model{small_network(), random_weights(small_network()), {"dog", "cat"}, {}};
  save_model(path("small.h5"), model);
  save_darknet_weights(path("small.weights"), model.spec, model.weights);
  save_darknet_weights(path("small.conv.4"), model.spec, model.weights, {.layers = 4});
  save_image(path("a.jpg"), Image(100, 60, 90));
  EXPECT_EQ(run(words({"--weights", path("small.h5"), "--source", path("a.jpg")})).code, 0);
  EXPECT_EQ(run(words({"--weights", path("small.h5"), "--imgsz", "96x64"})).code, 0);
  EXPECT_EQ(run(words({"--model", path("small.cfg"), "--weights", path("small.weights"), "--steps", "false"})).code, 0);
  const Ran part = run(words({"--model", path("small.cfg"), "--weights", path("small.conv.4")}));
  EXPECT_EQ(part.code, 0);
  EXPECT_NE(part.err.find("3 of 6 convolutions"), std::string::npos) << part.err;
  EXPECT_EQ(run(words({"--model", "yolov3-tiny", "--classes", "3", "--imgsz", "64"})).code, 0);
}

TEST_F(Bench, RefusesWhatHasNoEffect) {
  const auto refused = [&](const Words& more, const std::string& option) {
    const Ran ran = run(words(more));
    EXPECT_EQ(ran.code, 2) << option << ran.err;
    EXPECT_NE(ran.err.find(option), std::string::npos) << ran.err;
    EXPECT_EQ(ran.out, "");
  };
  refused({"--sides", "2"}, "--sides");
  refused({"--plan", "rule"}, "--plan");
  refused({"--model", path("small.cfg"), "--classes", "3"}, "--classes");
  const Model model{small_network(), random_weights(small_network()), {"dog", "cat"}, {}};
  save_model(path("small.h5"), model);
  save_darknet_weights(path("small.weights"), model.spec, model.weights);
  refused({"--model", "yolov3", "--weights", path("small.h5")}, "--model");
  refused({"--weights", path("small.weights")}, "--model");
  refused({"--model", path("small.cfg"), "--engine", "fast"}, "--engine");
  EXPECT_EQ(run(words({"--model", path("small.cfg"), "--precision", "int8"})).code, 2);
  EXPECT_EQ(run(words({"--model", path("small.cfg"), "--source", path("missing.jpg")})).code, 1);
}

}  // namespace
}  // namespace yolov3
