#include "app/detect_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/test_detector.h"
#include "app/test_folder.h"
#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "image/save.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

class DetectRuns : public ::testing::Test {
 protected:
  void SetUp() override { clear_interrupt(); }
  void TearDown() override { fs::remove_all(folder_); }

  std::vector<PictureSource> pictures(int count, int width, int height) {
    std::vector<PictureSource> sources;
    for (int i = 0; i < count; ++i) {
      const std::string stem = "p" + std::to_string(i);
      save_image(folder_ / (stem + ".jpg"), Image(width, height, static_cast<uint8_t>(90 + i)));
      sources.push_back({folder_ / (stem + ".jpg"), stem, i + 1});
    }
    return sources;
  }

  DetectSummary detect(const std::vector<PictureSource>& sources, const DetectRun& run) {
    if (!run.folder.empty()) make_directories(run.folder);
    Detector detector(small_spec(), std::make_unique<ValueEngine>(script_), {});
    return detect_pictures(sources, detector, {"dog"}, run);
  }

  // The error and the log of a run that fails.
  std::pair<std::string, std::string> failure(const std::vector<PictureSource>& sources, const DetectRun& run) {
    ::testing::internal::CaptureStderr();
    std::string message;
    try {
      detect(sources, run);
    } catch (const Error& error) {
      message = error.what();
    }
    return {message, ::testing::internal::GetCapturedStderr()};
  }

  fs::path folder_ = make_test_folder("detect");
  EngineScript script_;
};

TEST_F(DetectRuns, AFailureLateInARunKeepsTheResults) {
  const std::vector<PictureSource> sources = pictures(5, 32, 32);
  DetectRun run;
  run.batch = 2;
  run.format = ResultFormat::coco;
  run.folder = folder_ / "out";
  int left = 2;
  script_.on_picture = [&](int) { check(left-- > 0, "the engine failed"); };
  const auto [message, log] = failure(sources, run);
  EXPECT_EQ(message, "the engine failed");
  EXPECT_NE(log.find("stopped by an error after 2 of 5 pictures; their results are kept"), std::string::npos) << log;
  const nlohmann::json found = nlohmann::json::parse(read_file(run.folder / "detections.json"));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1]["image_id"], 2);
  EXPECT_TRUE(fs::exists(run.folder / "p1.jpg"));
  EXPECT_FALSE(fs::exists(run.folder / "p2.jpg"));
}

// Pictures over four times the network's side are decoded at reduced size; what is drawn into is whole all the same.
TEST_F(DetectRuns, DrawnPicturesAreWholeAndResultsDoNotDependOnDrawing) {
  const std::vector<PictureSource> sources = pictures(7, 640, 480);
  std::vector<std::string> results;
  for (const bool draw : {true, false}) {
    DetectRun run;
    run.batch = 3;
    run.draw = draw;
    run.format = ResultFormat::json;
    run.folder = folder_ / (draw ? "drawn" : "plain");
    const DetectSummary summary = detect(sources, run);
    EXPECT_EQ(summary.pictures, 7);
    EXPECT_EQ(summary.objects, 7);
    results.push_back(read_file(run.folder / "detections.jsonl"));
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(script_.batches, (std::vector<int64_t>{3, 3, 1, 3, 3, 1}));
  const LoadedImage drawn = load_image(folder_ / "drawn/p6.jpg");
  EXPECT_EQ(drawn.image.width, 640);
  EXPECT_EQ(drawn.image.height, 480);
  EXPECT_FALSE(std::all_of(drawn.image.rgb.begin(), drawn.image.rgb.end(), [](uint8_t value) {
    return value > 80 && value < 110;
  })) << "there is a box in it";
}

TEST_F(DetectRuns, BothModesFindTheSame) {
  std::vector<PictureSource> sources = pictures(13, 48, 32);
  write_file(sources[6].path.string(), "no picture");
  std::vector<std::string> results;
  for (const auto& [mode, threads, batch] : {std::tuple{DetectMode::latency, 1, 1},
                                             {DetectMode::latency, 1, 3},
                                             {DetectMode::throughput, 3, 1},
                                             {DetectMode::throughput, 2, 3}}) {
    DetectRun run;
    run.mode = mode;
    run.threads = threads;
    run.batch = batch;
    run.format = ResultFormat::json;
    run.folder = folder_ / ("out" + std::to_string(results.size()));
    const DetectSummary summary = detect(sources, run);
    EXPECT_EQ(summary.pictures, 12);
    EXPECT_EQ(summary.broken, 1);
    EXPECT_EQ(summary.detect.pictures, 12) << "of all detectors";
    EXPECT_FALSE(summary.interrupted);
    results.push_back(read_file(run.folder / "detections.jsonl"));
    EXPECT_EQ(results.back(), results.front()) << results.size();
    EXPECT_EQ(read_file(run.folder / "p12.jpg"), read_file(folder_ / "out0/p12.jpg"));
    EXPECT_FALSE(fs::exists(run.folder / "p6.jpg"));
  }
  size_t at = 0;
  for (int i = 0; i < 13; ++i) {
    if (i == 6) continue;
    const size_t found = results[0].find("/p" + std::to_string(i) + ".jpg\"");
    ASSERT_NE(found, std::string::npos) << i;
    EXPECT_GE(found, at) << "in the order of the sources";
    at = found;
  }
}

TEST_F(DetectRuns, AFailureBesideOtherDetectorsKeepsTheResults) {
  const std::vector<PictureSource> sources = pictures(20, 32, 32);
  DetectRun run;
  run.mode = DetectMode::throughput;
  run.threads = 3;
  run.draw = false;
  run.format = ResultFormat::coco;
  run.folder = folder_ / "out";
  script_.on_picture = [&](int value) { check(value < 90 + 7, "the engine failed"); };
  const auto [message, log] = failure(sources, run);
  EXPECT_EQ(message, "the engine failed");
  EXPECT_NE(log.find("stopped by an error after 7 of 20 pictures; their results are kept"), std::string::npos) << log;
  EXPECT_EQ(nlohmann::json::parse(read_file(run.folder / "detections.json")).size(), 7u);
}

// Nothing can be saved where a folder has the picture's name.
TEST_F(DetectRuns, AFailureOfDrawingKeepsTheResults) {
  const std::vector<PictureSource> sources = pictures(50, 32, 32);
  DetectRun run;
  run.format = ResultFormat::coco;
  run.folder = folder_ / "out";
  make_directories(run.folder / "p3.jpg/in the way");
  const auto [message, log] = failure(sources, run);
  EXPECT_NE(message.find("p3.jpg"), std::string::npos) << message;
  EXPECT_NE(log.find("their results are kept"), std::string::npos) << log;
  EXPECT_GE(nlohmann::json::parse(read_file(run.folder / "detections.json")).size(), 3u);
}

// An engine that stands alone.
class LoneEngine : public Engine {
 public:
  std::vector<Tensor> forward(const Tensor&) override { return {}; }
  std::string name() const override { return "lone"; }
};

TEST_F(DetectRuns, ThroughputNeedsAnEngineThatShares) {
  Detector detector(small_spec(), std::make_unique<LoneEngine>(), {});
  DetectRun run;
  run.mode = DetectMode::throughput;
  run.threads = 2;
  run.format = ResultFormat::json;
  try {
    detect_pictures(pictures(2, 32, 32), detector, {"dog"}, run);
    ADD_FAILURE() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "--mode throughput: the lone engine cannot be shared between threads; use --mode latency");
  }
  EXPECT_THROW(parse_detect_mode("fast"), Error);
}

}  // namespace
}  // namespace yolov3
