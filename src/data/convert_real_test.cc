// Real data sets through the formats and back. They are not part of the repository: without them these tests skip.
#include <gtest/gtest.h>

#include "base/shared_folder.h"
#include "data/source.h"
#include "data/test_folder.h"
#include "data/write.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;
using Splits = std::map<std::string, Dataset>;

Splits load_all(const DataOptions& options, DefectReport& report) {
  Splits splits;
  for (const std::string& split : splits_of(options)) {
    splits[split == kWholeDataset ? "train" : split] = load_dataset(options, split, report);
  }
  return splits;
}

std::map<std::string, const Example*> by_stem(const Dataset& dataset) {
  std::map<std::string, const Example*> examples;
  for (const Example& example : dataset.examples) examples[example.image.stem().string()] = &example;
  return examples;
}

// Largest difference of two boxes as a share of the picture's sides.
double distance(const Box& a, const Box& b, const Example& picture) {
  return std::max({std::abs(a.x0 - b.x0) / picture.width, std::abs(a.x1 - b.x1) / picture.width,
                   std::abs(a.y0 - b.y0) / picture.height, std::abs(a.y1 - b.y1) / picture.height});
}

// The number of boxes of `a` that have no equal of their class among those of `b` that no other took.
int64_t unmatched(const Dataset& a, const Dataset& b, double tolerance, int64_t& compared) {
  int64_t missing = 0;
  const auto others = by_stem(b);
  for (const auto& [stem, example] : by_stem(a)) {
    const auto other = others.find(stem);
    std::vector<Annotation> rest;
    if (other != others.end()) rest = other->second->objects;
    for (const Annotation& object : example->objects) {
      if (object.crowd) continue;
      ++compared;
      const auto found = std::find_if(rest.begin(), rest.end(), [&](const Annotation& candidate) {
        return !candidate.crowd && candidate.class_id == object.class_id &&
               distance(candidate.box, object.box, *example) <= tolerance;
      });
      if (found == rest.end()) {
        ++missing;
      } else {
        rest.erase(found);
      }
    }
  }
  return missing;
}

// Writes and reads again.
Splits through(const TestFolder& folder, const std::string& name, DataFormat format, const Splits& splits,
               std::map<std::string, int64_t>* lost = nullptr) {
  for (const Loss& loss : write_dataset(folder / name, format, splits)) {
    if (lost && loss.gone) ++(*lost)[loss.what];
  }
  DefectReport report;
  const fs::path names = format == DataFormat::voc ? folder / name / "names.txt" : fs::path();
  Splits read = load_all(options_for(written_data(folder / name, format), names), report);
  std::map<std::string, int64_t> counts = report.counts();
  counts.erase("doubled box");
  EXPECT_TRUE(counts.empty()) << describe(report, 20);
  return read;
}

// Acceptance 2 of the data sets: the JSON and the txt of the same 128 pictures.
TEST(ConvertReal, SlowCoco128JsonAndTxtConvertIntoEachOther) {
  const fs::path shared = test::shared_folder() / "data/coco128";
  if (!fs::exists(shared)) GTEST_SKIP() << shared << " is not there (set YOLOV3_SHARED)";
  DefectReport json_report, txt_report;
  const Splits json = load_all(options_for(shared / "annotations/instances_train2017.json"), json_report);
  Splits txt;
  txt["train"] = load_dataset(options_for(shared / "config.yaml"), "train", txt_report);
  EXPECT_EQ(json_report.counts()["zero-area box"] + json_report.counts()["box exceeds image"], 0);

  const TestFolder folder;
  std::map<std::string, int64_t> lost;
  const Splits json_as_yolo = through(folder, "a", DataFormat::yolo, json, &lost);
  const Splits txt_as_coco = through(folder, "b", DataFormat::coco, txt, &lost);
  EXPECT_EQ(lost, (std::map<std::string, int64_t>{{"crowd region", 10}}));

  const auto expect_equal = [](const Dataset& a, const Dataset& b, double tolerance, const char* what) {
    int64_t compared = 0;
    EXPECT_EQ(unmatched(a, b, tolerance, compared), 0) << what;
    EXPECT_EQ(unmatched(b, a, tolerance, compared), 0) << what;
    EXPECT_EQ(compared, 2 * 929) << what;
  };
  // The txt has six digits, so it is 0.5e-6 off in centre and in half a side; the float boxes add 6e-8.
  expect_equal(json_as_yolo.at("train"), txt.at("train"), 1e-6, "JSON as txt");
  expect_equal(txt_as_coco.at("train"), json.at("train"), 1e-6, "txt as JSON");
  expect_equal(json_as_yolo.at("train"), json.at("train"), 0, "there and back bit for bit");
  expect_equal(txt_as_coco.at("train"), txt.at("train"), 0, "there and back bit for bit");
}

TEST(ConvertReal, SlowBccdGoesRoundThroughEveryFormat) {
  const fs::path shared = test::shared_folder() / "data/bccd";
  if (!fs::exists(shared)) GTEST_SKIP() << shared << " is not there (set YOLOV3_SHARED)";
  DefectReport report;
  const Splits voc = load_all(options_for(shared), report);
  ASSERT_EQ(voc.size(), 3u);
  // The two that cannot be kept, by file and line.
  std::vector<std::string> left_out;
  for (const Defect& defect : report.defects) {
    if (!defect.kept) left_out.push_back(fs::path(defect.where).filename().string());
  }
  std::sort(left_out.begin(), left_out.end());
  ASSERT_EQ(left_out.size(), 2u);
  EXPECT_TRUE(left_out[0].starts_with("BloodImage_00338.xml:"));
  EXPECT_TRUE(left_out[1].starts_with("BloodImage_00343.xml:"));

  const TestFolder folder;
  std::map<std::string, int64_t> lost;
  Splits now = voc;
  const DataFormat way[] = {DataFormat::coco, DataFormat::yolo, DataFormat::lines, DataFormat::voc};
  for (const DataFormat format : way) now = through(folder, to_string(format), format, now, &lost);
  EXPECT_TRUE(lost.empty());
  int64_t boxes = 0, pictures = 0;
  for (const auto& [split, want] : voc) {
    const Dataset& got = now.at(split);
    ASSERT_EQ(got.examples.size(), want.examples.size());
    for (size_t i = 0; i < want.examples.size(); ++i) {
      EXPECT_EQ(got.examples[i].image.filename(), want.examples[i].image.filename());
      ASSERT_EQ(got.examples[i].objects.size(), want.examples[i].objects.size());
      for (size_t k = 0; k < want.examples[i].objects.size(); ++k) {
        EXPECT_EQ(got.examples[i].objects[k].box, want.examples[i].objects[k].box);
        EXPECT_EQ(got.examples[i].objects[k].class_id, want.examples[i].objects[k].class_id);
        ++boxes;
      }
      ++pictures;
    }
  }
  EXPECT_EQ(pictures, 364);
  EXPECT_EQ(boxes, 4886);
}

}  // namespace
}  // namespace yolov3
