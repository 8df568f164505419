// Exported files, run by other programs: OpenCV's DNN module, and ONNX Runtime where node has it (slow tests).
#include "app/export_onnx.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "app/program.h"
#include "app/test_folder.h"
#include "app/test_onnx_runtime.h"
#include "base/error.h"
#include "detect/decode.h"
#include "detect/nms.h"
#include "engine/test_networks.h"
#include "image/onnx_runner.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

// The kinds of networks sum at most some 1000 products a number, through about 5 layers, with numbers up to about 10:
// sqrt(1000) * 2^-24 * 5 * 10 is 1e-4.
constexpr double kMapTolerance = 1e-4;

Model model_of(const NamedCfg& cfg, int width = 64, int height = 96) {
  Model model;
  model.spec = spec_of(cfg.text, width, height);
  model.weights = *lively_weights(model.spec);
  model.names = {"a", "b"};
  return model;
}

std::vector<Tensor> reference(const Model& model, OnnxHead head, const Tensor& images) {
  const auto engine = make_reference_engine(model.spec, std::make_shared<const Weights>(model.weights));
  const NetworkSpec spec = with_input_size(model.spec, images.dim(3), images.dim(2));
  return own_outputs(*engine, spec, head, images);
}

void expect_near(const std::vector<OutputDifference>& found, const std::string& what) {
  for (const OutputDifference& d : found) {
    EXPECT_LE(d.difference, kMapTolerance * std::max(1.0, d.largest)) << what << ", " << d.name;
  }
}

// own_outputs against decode's formula, written out again in double, at one head of one cell row.
TEST(ExportOnnx, OwnOutputsAreTheFormulasOfDecode) {
  const Model model = model_of({"",
                                "[convolutional]\nfilters=14\nsize=1\nstride=32\npad=1\nactivation=linear\n"
                                "[yolo]\nmask=0,1\nanchors=20,30, 50,40\nclasses=2\nnum=2\nscale_x_y=1.2\n"});
  const Tensor images = random_images(2, 96, 64);
  const Tensor raw = reference(model, OnnxHead::raw, images)[0];  // 2,14,3,2
  const std::vector<Tensor> own = reference(model, OnnxHead::boxes, images);
  ASSERT_EQ(own[0].shape(), (Shape{2, 12, 4}));
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const double anchors[2][2] = {{20, 30}, {50, 40}};
  for (int64_t n = 0; n < 2; ++n) {
    for (int64_t row = 0; row < 12; ++row) {
      const int64_t a = row / 6, gy = row % 6 / 2, gx = row % 2;
      const auto at = [&](int64_t c) { return double{raw.at(n, a * 7 + c, gy, gx)}; };
      const double x = (sigmoid(at(0)) * 1.2 - 0.1 + gx) * 32, y = (sigmoid(at(1)) * 1.2 - 0.1 + gy) * 32;
      const double w = std::exp(at(2)) * anchors[a][0], h = std::exp(at(3)) * anchors[a][1];
      const float* box = own[0].data() + (n * 12 + row) * 4;
      const double want[] = {x - w / 2, y - h / 2, x + w / 2, y + h / 2};
      for (int i = 0; i < 4; ++i) EXPECT_NEAR(box[i], want[i], 1e-6 * (std::abs(want[i]) + w + h)) << row << " " << i;
      for (int64_t k = 0; k < 2; ++k) {
        EXPECT_NEAR(own[1][(n * 12 + row) * 2 + k], sigmoid(at(4)) * sigmoid(at(5 + k)), 1e-6);
      }
    }
  }
}

class ExportOnnxKinds : public ::testing::TestWithParam<NamedCfg> {};

TEST_P(ExportOnnxKinds, OpenCvComputesTheSame) {
  const Model model = model_of(GetParam());
  for (const OnnxHead head : {OnnxHead::raw, OnnxHead::boxes}) {
    const bool raw = head == OnnxHead::raw;  // of boxes, OpenCV 4.6 decodes the first picture of a batch only
    const int batch = raw ? 2 : 1;
    const Tensor images = random_images(batch, 96, 64);
    const std::vector<std::string> names = onnx_outputs(model.spec, head);
    const std::string file = make_onnx(model, {.head = head, .opset = raw ? kMinOpset : kMaxOpset, .batch = batch});
    expect_near(differences(names, reference(model, head, images), run_onnx_in_opencv(file, images, names)),
                raw ? "raw" : "boxes");
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, ExportOnnxKinds, testing::ValuesIn(kinds_of_networks()),
                         [](const auto& info) { return info.param.name; });

TEST(ExportOnnx, OneFileOfAnySizeRunsAtOtherSizes) {
  const NamedCfg cfg = kinds_of_networks().at(0);
  const Model model = model_of(cfg);
  const std::string file = make_onnx(model, {.batch = 0, .dynamic_size = true});
  for (const int64_t side : {32, 64, 160}) {
    const Tensor images = random_images(side == 64 ? 3 : 1, side, 64);
    const std::vector<std::string> names = onnx_outputs(model.spec, OnnxHead::raw);
    expect_near(differences(names, reference(model, OnnxHead::raw, images), run_onnx_in_opencv(file, images, names)),
                "side " + std::to_string(side));
  }
}

TEST(ExportOnnx, DifferencesAreFoundAndJudged) {
  std::vector<Tensor> ours(1, Tensor({1, 3})), theirs(1, Tensor({1, 3}));
  ours[0][1] = -20;
  theirs[0][1] = -20.25f;
  const OutputDifference d = differences({"x"}, ours, theirs)[0];
  EXPECT_EQ(d.difference, 0.25);
  EXPECT_EQ(d.largest, 20);
  EXPECT_FALSE(d.within_tolerance());
  theirs[0][1] = -20.0078125f;  // 2^-7 of 20: under a thousandth
  EXPECT_TRUE(differences({"x"}, ours, theirs)[0].within_tolerance());
  theirs[0][2] = NAN;
  EXPECT_FALSE(differences({"x"}, ours, theirs)[0].within_tolerance());
  theirs[0] = Tensor({3, 1});
  EXPECT_THROW(differences({"x"}, ours, theirs), Error);
}

TEST(ExportOnnx, WhatOpenCvCannotReadIsItsOwnWord) {
  EXPECT_THROW(run_onnx_in_opencv("no model at all", random_images(1, 32, 32), {"raw0"}), Error);
  const Model model = model_of(kinds_of_networks().at(0));
  try {
    run_onnx_in_opencv(make_onnx(model, {.head = OnnxHead::nms}), random_images(1, 96, 64), {"box"});
    FAIL() << "OpenCV runs NonMaxSuppression now: then export must say so";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("cannot run it"), std::string::npos) << error.what();
  }
}

TEST(ExportOnnx, WritesAndSaysWhatWasProved) {
  const fs::path folder = make_test_folder("export_onnx");
  OnnxExportOptions options{.out = folder / "a.onnx"};
  const Model model = model_of(kinds_of_networks().at(2));
  for (const char* head : {"raw", "boxes", "nms"}) {
    for (const bool dynamic : {false, true}) {
      options.head = head;
      options.dynamic = dynamic;
      ::testing::internal::CaptureStdout();
      export_onnx(model, options);
      const std::string out = ::testing::internal::GetCapturedStdout();
      EXPECT_NE(out.find("largest difference"), std::string::npos) << out;
      const bool runs = head == std::string("raw") || (head == std::string("boxes") && !dynamic);
      EXPECT_EQ(out.find("cannot run this file itself") == std::string::npos, runs) << out;
      EXPECT_GT(fs::file_size(options.out), 1000u);
    }
  }
  options.imgsz = {96, 96};
  options.verify = false;
  ::testing::internal::CaptureStdout();
  export_onnx(model, options);
  const std::string out = ::testing::internal::GetCapturedStdout();
  EXPECT_NE(out.find("not compared"), std::string::npos) << out;
  fs::remove_all(folder);
}

// 65536 pictures of 64 x 96 would be 4.8 GB of noise, before a single map of them.
TEST(ExportOnnx, ALargeBatchIsProvedOnAFewPictures) {
  const fs::path folder = make_test_folder("export_onnx");
  ::testing::internal::CaptureStdout();
  export_onnx(model_of(kinds_of_networks().at(2)), {.out = folder / "a.onnx", .onnx = {.batch = 65536}});
  const std::string out = ::testing::internal::GetCapturedStdout();
  EXPECT_NE(out.find("65536 pictures at once are not tried"), std::string::npos) << out;
  EXPECT_NE(out.find("--head raw (opset 11, batch 8"), std::string::npos) << out;
  EXPECT_NE(out.find("largest difference"), std::string::npos) << out;
  fs::remove_all(folder);
}

TEST(ExportOnnx, OptionsWithoutEffectAreRefused) {
  const auto code = [](std::vector<std::string> words) {
    words.insert(words.begin(), {"export", "--weights", "missing.h5", "--to", "onnx", "--out", "a.onnx"});
    ::testing::internal::CaptureStderr();
    const int result = run_program(words);
    ::testing::internal::GetCapturedStderr();
    return result;
  };
  EXPECT_EQ(code({"--dynamic", "--batch", "2"}), 2);
  EXPECT_EQ(code({"--head", "boxes", "--conf", "0.1"}), 2);
  EXPECT_EQ(code({"--head", "nms", "--conf", "0.1"}), 1);  // no such file
}

// --- ONNX Runtime -------------------------------------------------------------------------------------------------

class OnnxRuntimeSlow : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!runtime_.is_there()) GTEST_SKIP() << test::OnnxRuntime::absence();
  }
  void TearDown() override { fs::remove_all(folder_); }

  const fs::path folder_ = make_test_folder("onnx_runtime");
  const test::OnnxRuntime runtime_{folder_};
};

// The last network has two heads, joined maps and an upsampling between.
Model two_heads() {
  for (const NamedCfg& cfg : kinds_of_networks()) {
    if (cfg.name == "UpsampleJoined") return model_of(cfg);
  }
  fail("there is no network UpsampleJoined");
}

TEST_F(OnnxRuntimeSlow, EveryKindOfLayerIsTheSame) {
  for (const NamedCfg& cfg : kinds_of_networks()) {
    const Model model = model_of(cfg);
    const Tensor images = random_images(1, 96, 64);
    const std::vector<std::string> names = onnx_outputs(model.spec, OnnxHead::raw);
    expect_near(
        differences(names, reference(model, OnnxHead::raw, images), runtime_.maps(make_onnx(model, {}), images, names)),
        cfg.name);
  }
}

TEST_F(OnnxRuntimeSlow, DecodedBoxesAreTheSameAtAnyBatchAndSize) {
  const Model model = two_heads();
  const std::vector<std::string> names = onnx_outputs(model.spec, OnnxHead::boxes);
  for (const int opset : {kMinOpset, kMaxOpset}) {
    const std::string file =
        make_onnx(model, {.head = OnnxHead::boxes, .opset = opset, .batch = 0, .dynamic_size = true});
    for (const int64_t side : {64, 96}) {
      const Tensor images = random_images(side == 96 ? 3 : 1, side, 64);
      expect_near(differences(names, reference(model, OnnxHead::boxes, images), runtime_.maps(file, images, names)),
                  std::to_string(side));
    }
  }
}

using Kept = test::OnnxDetection;

bool is_same(const Kept& a, const Kept& b) {
  const Box &p = a.detection.box, &q = b.detection.box;
  const float corners =
      std::max({std::abs(p.x0 - q.x0), std::abs(p.y0 - q.y0), std::abs(p.x1 - q.x1), std::abs(p.y1 - q.y1)});
  return a.image == b.image && a.detection.class_id == b.detection.class_id &&
         corners < 1e-3f * (1 + p.width() + p.height()) && std::abs(a.detection.score - b.detection.score) < 1e-5f;
}

// What ONNX Runtime keeps, against decode and Nms of ours: the same boxes, once each, the best of a class first (where
// scores are equal but for rounding, either may come first).
TEST_F(OnnxRuntimeSlow, SuppressionKeepsTheSameBoxes) {
  const Model model = two_heads();
  const Tensor images = random_images(2, 96, 64);
  const std::vector<Tensor> raw = reference(model, OnnxHead::raw, images);
  for (const bool multi_label : {false, true}) {
    std::vector<Kept> ours;
    for (int64_t n = 0; n < 2; ++n) {
      const auto candidates =
          decode(views_of(raw), n, heads(model.spec), {.score_threshold = 0.3f, .multi_label = multi_label});
      for (const Detection& d : non_maximum_suppression(candidates, {.max_detections = 0})) ours.push_back({n, d});
    }
    EXPECT_GT(ours.size(), 10u);
    for (const bool dynamic : {false, true}) {
      std::vector<Kept> theirs = test::detections_of_nms(runtime_.run(make_onnx(model, {.head = OnnxHead::nms,
                                                                                        .batch = dynamic ? 0 : 2,
                                                                                        .dynamic_size = dynamic,
                                                                                        .score_threshold = 0.3f,
                                                                                        .multi_label = multi_label}),
                                                                      images));
      EXPECT_EQ(theirs.size(), ours.size());
      for (size_t i = 1; i < theirs.size(); ++i) {
        const Kept &before = theirs[i - 1], &now = theirs[i];
        if (before.image != now.image || before.detection.class_id != now.detection.class_id) continue;
        EXPECT_GE(before.detection.score, now.detection.score);
      }
      for (const Kept& one : ours) {
        const auto it = std::ranges::find_if(theirs, [&](const Kept& other) { return is_same(one, other); });
        ASSERT_NE(it, theirs.end()) << "class " << one.detection.class_id << ", score " << one.detection.score;
        theirs.erase(it);
      }
    }
  }
}

}  // namespace
}  // namespace yolov3
