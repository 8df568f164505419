#include "app/results.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "app/test_folder.h"
#include "base/error.h"
#include "net/coco_names.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kNames = {"person", "traffic light", "a \"b\",\nc"};

PictureResult dog() {
  return {"pictures/dog.jpg", "dog", 7, 768, 576, {{{96, 144, 288, 432}, 1, 0.75f}, {{0.5f, 0, 768, 576}, 2, 0.1f}}};
}

TEST(Results, JsonLineIsTheContracts) {
  PictureResult result = dog();
  result.detections.pop_back();
  EXPECT_EQ(json_result(result, kNames),
            R"({"source":"pictures/dog.jpg","frame":0,"time_s":0.0,"width":768,"height":576,"detections":[)"
            R"({"class_id":1,"class":"traffic light","score":0.75,"box":[96,144,288,432]}]})");
  result.detections.clear();
  EXPECT_EQ(json_result(result, kNames),
            R"({"source":"pictures/dog.jpg","frame":0,"time_s":0.0,"width":768,"height":576,"detections":[]})");
}

TEST(Results, JsonIsJsonWhateverTheNames) {
  PictureResult result = dog();
  result.source = "bad \xff\xfe \"name\"\n\x01.jpg";
  result.detections[0].class_id = 99;
  const nlohmann::json parsed = nlohmann::json::parse(json_result(result, {"x", "\xc3(", kNames[2]}));
  EXPECT_EQ(parsed["source"], "bad \xEF\xBF\xBD\xEF\xBF\xBD \"name\"\n\x01.jpg");
  EXPECT_EQ(parsed["detections"][0]["class"], "99") << "a class without a name is its number";
  EXPECT_EQ(parsed["detections"][1]["class"], kNames[2]);
  EXPECT_EQ(parsed["detections"][1]["score"].get<float>(), 0.1f);
  EXPECT_EQ(parsed["detections"][1]["box"][0].get<float>(), 0.5f);
}

TEST(Results, CsvQuotesWhatNeedsIt) {
  EXPECT_EQ(csv_result(dog(), kNames),
            "pictures/dog.jpg,0,0,768,576,1,traffic light,0.75,96,144,288,432\n"
            "pictures/dog.jpg,0,0,768,576,2,\"a \"\"b\"\",\nc\",0.1,0.5,0,768,576\n");
}

TEST(Results, TxtIsYolosFractions) {
  PictureResult result = dog();
  result.detections.pop_back();
  // centre (192, 288) and size (192, 288) of 768 x 576
  EXPECT_EQ(txt_result(result), "1 0.25 0.5 0.25 0.5 0.75\n");
}

class ResultFiles : public ::testing::Test {
 protected:
  void TearDown() override { fs::remove_all(folder_); }
  void write(ResultFormat format) {
    PictureResult empty{"pictures/empty.jpg", "empty", 8, 10, 10, {}};
    PictureResult second = dog();
    second.image_id = 9;
    ResultWriter writer(format, folder_, kNames);
    for (const PictureResult& result : {dog(), empty, second}) writer.add(result);
    writer.finish();
  }
  fs::path folder_ = make_test_folder("results");
};

TEST_F(ResultFiles, CocoIsOneArrayOfBoxesByWidthAndHeight) {
  write(ResultFormat::coco);
  const nlohmann::json parsed = nlohmann::json::parse(read_file(folder_ / "detections.json"));
  ASSERT_EQ(parsed.size(), 4u);
  EXPECT_EQ(parsed[0]["image_id"], 7);
  EXPECT_EQ(parsed[0]["file_name"], "dog.jpg");
  EXPECT_EQ(parsed[0]["category_id"], 1);
  EXPECT_EQ(parsed[0]["bbox"], nlohmann::json::parse("[96,144,192,288]"));
  EXPECT_EQ(parsed[3]["image_id"], 9);
}

// Of the dog too, where one class is called as in VOC.
TEST_F(ResultFiles, CocoOfCocosClassesHasItsIds) {
  std::vector<std::string> names = coco_names();
  names[4] = "aeroplane";
  PictureResult result = dog();
  result.detections[0].class_id = 16;
  ResultWriter writer(ResultFormat::coco, folder_, names);
  writer.add(result);
  writer.finish();
  EXPECT_EQ(nlohmann::json::parse(read_file(folder_ / "detections.json"))[0]["category_id"], 18);
}

TEST_F(ResultFiles, CocoOfNothingIsAnEmptyArray) {
  ResultWriter writer(ResultFormat::coco, folder_, kNames);
  writer.finish();
  EXPECT_TRUE(nlohmann::json::parse(read_file(folder_ / "detections.json")).empty());
}

TEST_F(ResultFiles, JsonHasALineAPictureAndTxtAFile) {
  write(ResultFormat::json);
  const std::string lines = read_file(folder_ / "detections.jsonl");
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 3);
  write(ResultFormat::txt);
  EXPECT_EQ(read_file(folder_ / "labels/empty.txt"), "");
  EXPECT_EQ(read_file(folder_ / "labels/dog.txt").substr(0, 24), "1 0.25 0.5 0.25 0.5 0.75");
}

TEST_F(ResultFiles, WithoutFinishThereIsNoHalfFile) {
  { ResultWriter(ResultFormat::csv, folder_, kNames).add(dog()); }
  EXPECT_TRUE(fs::is_empty(folder_));
}

// A limit on the size of files is the full disk that a test can have.
TEST_F(ResultFiles, AFullDiskKeepsTheResultsBefore) {
  for (const ResultFormat format : {ResultFormat::json, ResultFormat::csv, ResultFormat::coco}) {
    rlimit whole{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &whole), 0);
    const auto before = std::signal(SIGXFSZ, SIG_IGN);
    ResultWriter writer(format, folder_, kNames);
    int added = 0;
    rlimit small = whole;
    small.rlim_cur = 4096;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    try {
      for (; added < 1000; ++added) writer.add(dog());
    } catch (const Error&) {
    }
    writer.finish();
    setrlimit(RLIMIT_FSIZE, &whole);
    std::signal(SIGXFSZ, before);
    ASSERT_GT(added, 1);
    ASSERT_LT(added, 1000);
    const auto entries = static_cast<size_t>(added);
    if (format == ResultFormat::coco) {
      EXPECT_EQ(nlohmann::json::parse(read_file(folder_ / "detections.json")).size(), 2 * entries);
    } else if (format == ResultFormat::json) {
      std::string lines;
      for (size_t i = 0; i < entries; ++i) lines += json_result(dog(), kNames) + "\n";
      EXPECT_EQ(read_file(folder_ / "detections.jsonl"), lines);
    } else {
      std::string lines = kCsvHeader;
      for (size_t i = 0; i < entries; ++i) lines += csv_result(dog(), kNames);
      EXPECT_EQ(read_file(folder_ / "detections.csv"), lines);
    }
  }
}

TEST_F(ResultFiles, StdoutTakesOnlyStreams) {
  EXPECT_THROW(ResultWriter(ResultFormat::txt, "", kNames), Error);
  EXPECT_THROW(ResultWriter(ResultFormat::none, "", kNames), Error);
  ::testing::internal::CaptureStdout();
  ResultWriter writer(ResultFormat::csv, "", kNames);
  writer.finish();
  EXPECT_EQ(::testing::internal::GetCapturedStdout(),
            "source,frame,time_s,width,height,class_id,class,score,x0,y0,x1,y1\n");
}

TEST(Results, UnknownFormatIsAnError) { EXPECT_THROW(parse_result_format("xml"), Error); }

}  // namespace
}  // namespace yolov3
