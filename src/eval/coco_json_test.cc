#include "eval/coco_json.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/rng.h"

namespace yolov3 {
namespace {

const std::string kTruth = R"({
 "images": [{"id": 9000000000, "file_name": "b.jpg", "width": 20, "height": 10}, {"id": 7}],
 "categories": [{"id": 90, "name": "toothbrush"}, {"id": 0, "name": "person"}],
 "annotations": [
  {"id": 1, "image_id": 9000000000, "category_id": 90, "bbox": [1, 2.5, 3, 4], "area": 11.5, "iscrowd": 1,
   "segmentation": [[1, 2, 3, 4, 5, 6]]},
  {"id": 2, "image_id": 7, "category_id": 0, "bbox": [0, 0, 2, 2], "segmentation": {"counts": [1], "size": [2, 2]}}]})";
const std::string kResults = R"([{"image_id": 7, "category_id": 90, "bbox": [1, 1, 0, 2.25], "score": 0.125}])";

class CocoFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = std::filesystem::path(::testing::TempDir()) /
             (std::string("coco_json_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    make_directories(folder);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::filesystem::path file(const std::string& text) {
    const std::filesystem::path path = folder / (std::to_string(++files) + "_file.json");
    std::ofstream(path, std::ios::binary) << text;  // a new one, without write_file's waiting for the disk
    return path;
  }
  CocoTruth truth_of(const std::string& text) { return read_coco_truth(file(text)); }
  void read_results(const std::string& text) {
    CocoTruth truth = truth_of(kTruth);
    read_coco_results(file(text), truth);
  }

  // The message of the Error, or "no error".
  template <class F>
  static std::string message(F&& f) {
    try {
      f();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  std::filesystem::path folder;
  int files = 0;
};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST_F(CocoFiles, TruthSortedByIdWithGapsAndZero) {
  const CocoTruth truth = truth_of(kTruth);
  EXPECT_EQ(truth.names, (std::vector<std::string>{"person", "toothbrush"}));
  EXPECT_EQ(truth.category_ids, (std::vector<int64_t>{0, 90}));
  ASSERT_EQ(truth.images.size(), 2u);
  EXPECT_EQ(truth.images[0].id, 7);
  EXPECT_EQ(truth.images[1].id, 9000000000);
  EXPECT_EQ(truth.images[1].file_name, "b.jpg");
  EXPECT_EQ(truth.images[1].width, 20);
  ASSERT_EQ(truth.images[1].truth.size(), 1u);
  const TruthBox& crowd = truth.images[1].truth[0];
  EXPECT_EQ(crowd.box, (ExactBox{1, 2.5, 3, 4}));
  EXPECT_EQ(crowd.class_id, 1);
  EXPECT_TRUE(crowd.crowd);
  EXPECT_EQ(crowd.area, 11.5);
  EXPECT_EQ(truth.images[0].truth[0].area, 4);  // none stated: the box's
}

TEST_F(CocoFiles, ResultsGoToTheirImages) {
  CocoTruth truth = truth_of(kTruth);
  const std::filesystem::path results = file(kResults);
  read_coco_results(results, truth);
  read_coco_results(results, truth);  // replaces
  ASSERT_EQ(truth.images[0].detections.size(), 1u);
  EXPECT_TRUE(truth.images[1].detections.empty());
  EXPECT_EQ(truth.images[0].detections[0].class_id, 1);
  EXPECT_EQ(truth.images[0].detections[0].box, (ExactBox{1, 1, 0, 2.25}));
  EXPECT_EQ(truth.images[0].detections[0].score, 0.125);
  EXPECT_EQ(message([&] { read_results("[]"); }), "no error");
}

TEST_F(CocoFiles, ErrorsNameFileAndEntry) {
  const auto truth_error = [&](const std::string& from, const std::string& to) {
    return message([&] { truth_of(replaced(kTruth, from, to)); });
  };
  const auto has = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find("file.json"), std::string::npos) << text;
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  has(truth_error("\"image_id\": 7", "\"image_id\": 8"), "annotations[1]: image_id 8");
  has(truth_error("\"category_id\": 0", "\"category_id\": 1"), "annotations[1]: category_id 1");
  has(truth_error("[0, 0, 2, 2]", "[0, 0, 2]"), "annotations[1]: \"bbox\"");
  has(truth_error("[0, 0, 2, 2]", "[0, \"0\", 2, 2]"), "annotations[1]: \"bbox\"");
  has(truth_error("[0, 0, 2, 2]", "[0, null, 2, 2]"), "annotations[1]: \"bbox\"");
  has(truth_error("[0, 0, 2, 2]", "[0, 0, -2, 2]"), "negative");
  has(truth_error("[0, 0, 2, 2]", "[0, 0, 1e300, 1e300]"), "absurd");
  has(truth_error("[0, 0, 2, 2]", "[0, 0, 1e999, 2]"), "not valid JSON");
  has(truth_error("\"area\": 11.5", "\"area\": -1"), "annotations[0]: \"area\"");
  has(truth_error("\"iscrowd\": 1", "\"iscrowd\": 2"), "annotations[0]: \"iscrowd\"");
  has(truth_error("\"id\": 7", "\"id\": 9000000000"), "images: id 9000000000 occurs twice");
  has(truth_error("\"id\": 7", "\"id\": 18446744073709551615"), "images[1]: \"id\"");
  has(truth_error("\"id\": 7", "\"id\": \"7\""), "images[1]: \"id\"");
  has(truth_error("\"width\": 20", "\"width\": -20"), "images[0]: \"width\"");
  has(truth_error("\"id\": 90,", "\"id\": 0,"), "categories: id 0 occurs twice");
  has(truth_error("\"name\": \"person\"", "\"title\": \"person\""), "categories[1]: \"name\" is missing");
  has(truth_error("\"annotations\"", "\"annotation\""), "\"annotations\" is missing");
  has(message([&] { truth_of(kResults); }), "results file?");
  has(message([&] { truth_of(R"({"images":[],"annotations":[],"categories":[]})"); }), "categories");
  has(message([&] { truth_of(R"({"images":{},"annotations":[],"categories":[{"id":1,"name":"a"}]})"); }), "images");
  has(message([&] { truth_of(R"({"images":[7],"annotations":[],"categories":[{"id":1,"name":"a"}]})"); }), "images[0]");

  const auto result_error = [&](const std::string& from, const std::string& to) {
    return message([&] { read_results(replaced(kResults, from, to)); });
  };
  has(result_error("\"image_id\": 7", "\"image_id\": 8"), "results[0]: image_id 8");
  has(result_error("\"category_id\": 90", "\"category_id\": 91"), "results[0]: category_id 91");
  has(result_error("\"score\"", "\"confidence\""), "results[0]: \"score\" is missing");
  has(result_error("0.125", "\"high\""), "results[0]: \"score\"");
  has(result_error("\"bbox\"", "\"keypoints\""), "results[0]: \"bbox\" is missing");
  has(message([&] { read_results(kTruth); }), "expected a list");
}

TEST_F(CocoFiles, CutFilesAreErrors) {
  for (size_t i = 0; i < 16; ++i) {
    EXPECT_NE(message([&] { truth_of(kTruth.substr(0, kTruth.size() * i / 16)); }), "no error") << i;
    EXPECT_NE(message([&] { read_results(kResults.substr(0, kResults.size() * i / 16)); }), "no error") << i;
  }
}

TEST_F(CocoFiles, NestingAndSkippedSegmentations) {
  const auto nested = [](int depth) {
    return replaced(kTruth, "\"area\": 11.5",
                    "\"extra\": " + std::string(static_cast<size_t>(depth), '[') +
                        std::string(static_cast<size_t>(depth), ']') + ", \"area\": 11.5");
  };
  EXPECT_EQ(truth_of(nested(5)).images[1].truth[0].area, 11.5);  // 3 levels around them
  EXPECT_NE(message([&] { truth_of(nested(6)); }).find("file.json: nested deeper than 8 levels"), std::string::npos);
  // What follows a segmentation, of any kind, is read.
  for (const char* value : {"[[1, 2], [3]]", "{\"counts\": [1], \"segmentation\": {}}", "7", "null", "[]"}) {
    const std::string text =
        replaced(kTruth, "\"area\": 11.5", "\"segmentation\": " + std::string(value) + ", \"area\": 5");
    EXPECT_EQ(truth_of(text).images[1].truth[0].area, 5) << value;
  }
}

TEST_F(CocoFiles, HostileBytesDoNotCrash) {
  EXPECT_NE(message([&] { truth_of(std::string(1000000, '[')); }), "no error");
  EXPECT_NE(message([&] { truth_of("{\"segmentation\":" + std::string(100000, '[')); }), "no error");
  EXPECT_NE(message([&] { truth_of(std::string("\0\xff\xfe{}", 5)); }), "no error");
  EXPECT_NE(message([&] { read_coco_truth(folder / "absent.json"); }), "no error");
  Rng rng(1);
  for (int i = 0; i < 300; ++i) {  // a byte changed: read or refused, never a crash
    std::string truth = kTruth, results = kResults;
    truth[static_cast<size_t>(rng.integer(0, static_cast<int64_t>(truth.size()) - 1))] = static_cast<char>(rng.next());
    results[static_cast<size_t>(rng.integer(0, static_cast<int64_t>(results.size()) - 1))] =
        static_cast<char>(rng.next());
    message([&] { truth_of(truth); });
    message([&] { read_results(results); });
  }
}

TEST(CocoResults, WrittenAsXYWidthHeight) {
  const std::string text =
      coco_results_json({{9000000000, 90, {1.5f, 2, 11.5f, 4.25f}, 0.1f}, {1, 0, {0, 0, 1, 1}, 1}});
  const auto want = nlohmann::json::parse(R"([
    {"image_id": 9000000000, "category_id": 90, "bbox": [1.5, 2, 10, 2.25], "score": 0.1},
    {"image_id": 1, "category_id": 0, "bbox": [0, 0, 1, 1], "score": 1}])");
  EXPECT_EQ(nlohmann::json::parse(text), want);
  EXPECT_EQ(nlohmann::json::parse(coco_results_json({})), nlohmann::json::array());
  EXPECT_THROW(coco_results_json({{1, 1, {0, 0, 1, 1}, std::numeric_limits<float>::quiet_NaN()}}), Error);
}

}  // namespace
}  // namespace yolov3
