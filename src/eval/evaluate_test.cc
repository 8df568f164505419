#include "eval/evaluate.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/files.h"

namespace yolov3 {
namespace {

// One 32x32 convolution and a head of two classes over 2x2 cells of 32 pixels, anchor 16x16.
NetworkSpec tiny_spec() {
  NetworkSpec spec;
  spec.input = {3, 64, 64};
  Conv conv;
  conv.filters = 7;
  conv.size = conv.stride = 32;
  Yolo yolo;
  yolo.anchors = {{16, 16}};
  yolo.mask = {0};
  yolo.classes = 2;
  spec.layers = {{{kNetworkInput}, conv, {7, 2, 2}}, {{0}, yolo, {7, 2, 2}}};
  return spec;
}

// Finds class 1 in the middle of each cell whose middle pixel is white.
class WhiteFinder : public Engine {
 public:
  std::vector<Tensor> forward(const Tensor& images) override {
    std::vector<Tensor> maps;
    Tensor& map = maps.emplace_back(Shape{images.dim(0), 7, 2, 2});
    for (int64_t n = 0; n < images.dim(0); ++n)
      for (int64_t y = 0; y < 2; ++y)
        for (int64_t x = 0; x < 2; ++x) {
          const bool white = images.at(n, 1, y * 32 + 16, x * 32 + 16) > 0.9f;
          map.at(n, 4, y, x) = map.at(n, 6, y, x) = white ? 10.0f : -10.0f;
          map.at(n, 5, y, x) = -10;
        }
    return maps;
  }
  std::string name() const override { return "white finder"; }
};

class Evaluate : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = std::filesystem::path(::testing::TempDir()) /
             (std::string("evaluate_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    make_directories(folder);
    dataset.names = {"black", "white"};
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  // A black picture; the quadrant (qx,qy) of a square one is white when qx >= 0.
  void add_picture(int size, int qx, int qy, int64_t id, std::vector<Annotation> objects) {
    const std::filesystem::path path = folder / (std::to_string(id) + ".ppm");
    std::ofstream file(path, std::ios::binary);
    file << "P6\n" << size << " " << size << "\n255\n";
    for (int y = 0; y < size; ++y)
      for (int x = 0; x < size; ++x) {
        const bool white = qx >= 0 && x * 2 / size == qx && y * 2 / size == qy;
        file << std::string(3, white ? '\xff' : '\0');
      }
    Example example;
    example.image = path;
    example.objects = std::move(objects);
    example.image_id = id;
    example.origin = path.string();
    dataset.examples.push_back(std::move(example));
  }

  std::filesystem::path folder;
  Dataset dataset;
};

Annotation object(Box box, int class_id) { return {box, class_id, false, false, box.area()}; }

TEST_F(Evaluate, BoxesAndIdsAreThoseOfTheDataSet) {
  add_picture(64, 0, 0, 42, {object({8, 8, 24, 24}, 1)});
  add_picture(128, 1, 1, 7, {object({80, 80, 112, 112}, 1)});
  add_picture(64, -1, -1, 9, {});
  dataset.category_ids = {3, 90};
  Detector detector(tiny_spec(), std::make_unique<WhiteFinder>(), {});
  std::vector<CocoResult> results;
  const Metrics metrics = evaluate(dataset, detector, {.batch = 2}, &results);
  EXPECT_EQ(metrics.images, 3);
  EXPECT_EQ(metrics.objects, 2);
  EXPECT_EQ(metrics.detections, 2);
  EXPECT_NEAR(metrics.coco.ap.value(), 1, 1e-9);
  EXPECT_NEAR(metrics.voc_area.value(), 1, 1e-9);
  EXPECT_FALSE(metrics.classes[0].ap.has_value());
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].image_id, 42);
  EXPECT_EQ(results[0].category_id, 90);
  EXPECT_EQ(results[1].image_id, 7);
  EXPECT_NEAR(results[1].box.x0, 80, 1e-4);
  EXPECT_NEAR(results[1].box.y1, 112, 1e-4);
  EXPECT_GT(results[1].score, 0.99f);
}

// A picture of 128 px at 64: objects are half as large for the network.
TEST_F(Evaluate, FindingsNamePicturesAndSizesOfTheNetwork) {
  add_picture(64, 0, 0, 42, {object({8, 8, 24, 24}, 1)});
  add_picture(128, 1, 1, 7, {object({0, 0, 32, 32}, 0)});  // not found, and the white quadrant is a false alarm
  Detector detector(tiny_spec(), std::make_unique<WhiteFinder>(), {});
  Findings findings;
  evaluate(dataset, detector, {}, nullptr, &findings);
  EXPECT_EQ(findings.confusion.at(1, 1), 1);
  EXPECT_EQ(findings.confusion.at(0, 2), 1);
  EXPECT_EQ(findings.confusion.at(2, 1), 1);
  ASSERT_EQ(findings.misses.size(), 1u);
  EXPECT_EQ(findings.misses[0].picture, 1);
  ASSERT_EQ(findings.false_alarms.size(), 1u);
  EXPECT_EQ(findings.false_alarms[0].picture, 1);
  EXPECT_EQ(findings.sizes.objects, (std::array<int64_t, 8>{0, 0, 2, 0, 0, 0, 0, 0}));  // 16 px both
}

TEST_F(Evaluate, WithoutCategoryIdsTheIndexCounts) {
  add_picture(64, 1, 0, 0, {object({40, 8, 56, 24}, 0)});  // found as the wrong class
  Detector detector(tiny_spec(), std::make_unique<WhiteFinder>(), {});
  std::vector<CocoResult> results;
  const Metrics metrics = evaluate(dataset, detector, {}, &results);
  EXPECT_EQ(metrics.coco.ap, 0.0);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].category_id, 1);
}

// The truth is judged as the data set has it: what the loader leaves out of a batch as too small still counts.
TEST_F(Evaluate, TinyTruthStillCounts) {
  add_picture(128, -1, -1, 0, {object({5, 5, 5.5f, 5.5f}, 1)});
  Detector detector(tiny_spec(), std::make_unique<WhiteFinder>(), {});
  EXPECT_EQ(evaluate(dataset, detector, {}).objects, 1);
}

TEST_F(Evaluate, RefusesADataSetOfOtherClasses) {
  dataset.names = {"one"};
  Detector detector(tiny_spec(), std::make_unique<WhiteFinder>(), {});
  EXPECT_THROW(evaluate(dataset, detector, {}), Error);
}

TEST_F(Evaluate, AMissingPictureIsAnError) {
  add_picture(64, 0, 0, 1, {});
  std::filesystem::remove(dataset.examples[0].image);
  Detector detector(tiny_spec(), std::make_unique<WhiteFinder>(), {});
  EXPECT_THROW(evaluate(dataset, detector, {}), Error);
}

}  // namespace
}  // namespace yolov3
