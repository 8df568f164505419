#include "app/detect_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/test_folder.h"
#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "image/save.h"
#include "net/builder.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

// One anchor of 16 x 16, one class, one cell of 32 x 32.
NetworkSpec small_spec() {
  NetworkBuilder net({3, 32, 32});
  net.conv(6, 3, 32, Activation::linear, false).yolo({{16, 16}}, {0}, 1);
  return net.build();
}

// A sure object in the middle of every picture, as many times as it is told to; then it fails.
class FailingEngine : public Engine {
 public:
  FailingEngine(int good_calls, std::vector<int64_t>& batches) : left_(good_calls), batches_(batches) {}
  std::vector<Tensor> forward(const Tensor& images) override {
    check(left_-- > 0, "the engine failed");
    batches_.push_back(images.dim(0));
    Tensor raw({images.dim(0), 6, 1, 1});
    for (int64_t n = 0; n < images.dim(0); ++n) raw.at(n, 4, 0, 0) = raw.at(n, 5, 0, 0) = 9;
    return {raw};
  }
  std::string name() const override { return "failing"; }

 private:
  int left_;
  std::vector<int64_t>& batches_;
};

class DetectRuns : public ::testing::Test {
 protected:
  void SetUp() override { clear_interrupt(); }
  void TearDown() override { fs::remove_all(folder_); }

  std::vector<PictureSource> pictures(int count, int width, int height) {
    std::vector<PictureSource> sources;
    for (int i = 0; i < count; ++i) {
      const std::string stem = "p" + std::to_string(i);
      save_image(folder_ / (stem + ".jpg"), Image(width, height, 90));
      sources.push_back({folder_ / (stem + ".jpg"), stem, i + 1});
    }
    return sources;
  }

  DetectSummary detect(const std::vector<PictureSource>& sources, const DetectRun& run, int good_calls) {
    Detector detector(small_spec(), std::make_unique<FailingEngine>(good_calls, batches_), {});
    return detect_pictures(sources, detector, {"dog"}, run);
  }

  fs::path folder_ = make_test_folder("detect");
  std::vector<int64_t> batches_;
};

TEST_F(DetectRuns, AFailureLateInARunKeepsTheResults) {
  const std::vector<PictureSource> sources = pictures(5, 32, 32);
  DetectRun run;
  run.batch = 2;
  run.format = ResultFormat::coco;
  run.folder = folder_ / "out";
  make_directories(run.folder);
  ::testing::internal::CaptureStderr();
  try {
    detect(sources, run, 1);
    ADD_FAILURE() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "the engine failed");
  }
  const std::string log = ::testing::internal::GetCapturedStderr();
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
    make_directories(run.folder);
    const DetectSummary summary = detect(sources, run, 100);
    EXPECT_EQ(summary.pictures, 7);
    EXPECT_EQ(summary.objects, 7);
    results.push_back(read_file(run.folder / "detections.jsonl"));
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(batches_, (std::vector<int64_t>{3, 3, 1, 3, 3, 1}));
  const LoadedImage drawn = load_image(folder_ / "drawn/p6.jpg");
  EXPECT_EQ(drawn.image.width, 640);
  EXPECT_EQ(drawn.image.height, 480);
  EXPECT_FALSE(std::all_of(drawn.image.rgb.begin(), drawn.image.rgb.end(),
                           [](uint8_t value) { return value > 80 && value < 100; }))
      << "there is a box in it";
}

}  // namespace
}  // namespace yolov3
