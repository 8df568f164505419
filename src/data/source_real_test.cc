// Real data sets as their own descriptions say. They are not part of the repository: without them these tests skip.
#include <gtest/gtest.h>

#include "base/shared_folder.h"
#include "data/source.h"
#include "data/test_folder.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

// Figures of the data set's own description: 205, 87 and 72 pictures, 4888 boxes, 2 of no area, 8 doubled.
TEST(SourceReal, BccdAsItsDescriptionSays) {
  const fs::path folder = test::shared_folder() / "data/bccd";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is not there (set YOLOV3_SHARED)";
  DefectReport report;
  const DataOptions options = options_for(folder);
  const Dataset train = load_dataset(options, "train", report);
  EXPECT_EQ(train.names, (std::vector<std::string>{"Platelets", "RBC", "WBC"}));
  EXPECT_EQ(train.examples.size(), 205u);
  EXPECT_EQ(load_dataset(options, "val", report).examples.size(), 87u);
  EXPECT_EQ(load_dataset(options, "test", report).examples.size(), 72u);
  EXPECT_EQ(report.images_seen, 364);
  EXPECT_EQ(report.boxes_seen, 4888);
  EXPECT_EQ(report.counts(), (Counts{{"zero-area box", 2}, {"doubled box", 8}})) << describe(report, 50);
}

// 128 pictures, 929 boxes in txt and 939 in JSON, of which 10 are crowds; labels 656 and 659 have no picture, pictures
// 250 and 508 no label.
TEST(SourceReal, Coco128AsItsDescriptionSays) {
  const fs::path folder = test::shared_folder() / "data/coco128";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is not there (set YOLOV3_SHARED)";
  DefectReport txt, json;
  const Dataset yolo = load_dataset(options_for(folder / "config.yaml"), "train", txt);
  const Dataset coco = load_dataset(options_for(folder / "annotations/instances_train2017.json"), "train", json);
  EXPECT_EQ(yolo.names, coco.names);
  EXPECT_EQ(coco.category_ids.back(), 90);
  EXPECT_EQ(yolo.examples.size(), 128u);
  EXPECT_EQ(coco.examples.size(), 128u);
  EXPECT_EQ(txt.boxes_seen, 929);
  EXPECT_EQ(json.boxes_seen, 939);
  int64_t crowds = 0;
  for (const Example& example : coco.examples) {
    for (const Annotation& object : example.objects) crowds += object.crowd;
  }
  EXPECT_EQ(crowds, 10);
  EXPECT_EQ(txt.counts()["label without image"], 2) << describe(txt, 50);
  EXPECT_EQ(txt.counts()["image without label"], 2);
  std::string listed;
  for (const Defect& defect : txt.defects) listed += defect.where + "\n";
  for (const char* stem : {"000000000656.txt", "000000000659.txt", "000000000250.jpg", "000000000508.jpg"}) {
    EXPECT_TRUE(contains(listed, stem));
  }
}

TEST(SourceReal, YoloMarkAsItsDescriptionSays) {
  const fs::path file = test::shared_folder() / "data/yolo-mark/data/obj.data";
  if (!fs::exists(file)) GTEST_SKIP() << file << " is not there (set YOLOV3_SHARED)";
  DefectReport report;
  const Dataset train = load_dataset(options_for(file), "train", report);
  EXPECT_EQ(train.names, (std::vector<std::string>{"air", "bird"}));
  EXPECT_EQ(train.examples.size(), 10u);
  EXPECT_EQ(report.counts(), (Counts{{"missing image", 1}})) << describe(report, 50);
  EXPECT_TRUE(contains(report.defects.at(0).detail, "air7.jpg"));
  EXPECT_EQ(report.boxes_seen, 35);
}

}  // namespace
}  // namespace yolov3
