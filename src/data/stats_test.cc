#include "data/stats.h"

#include <gtest/gtest.h>

#include "data/test_folder.h"

namespace yolov3 {
namespace {

Annotation object(Box box, int class_id) { return {box, class_id, false, false, box.area()}; }

// 832x416 into 416x416: half the size. Boxes of 16x16, 40x10 and 200x200 become 8, 10 and 100 px.
Dataset three_boxes() {
  Dataset dataset;
  dataset.names = {"a", "b", "c"};
  dataset.examples.resize(3);
  dataset.examples[0].objects = {object({0, 0, 15, 15}, 0), object({100, 100, 140, 110}, 0),
                                 object({0, 0, 200, 200}, 1)};
  dataset.examples[1].objects = {object({0, 0, 832, 416}, 2)};
  dataset.examples[1].objects[0].crowd = true;
  for (Example& example : dataset.examples) example.width = 832, example.height = 416;
  return dataset;
}

TEST(Stats, CountsAndSizesAfterTheLetterbox) {
  const DatasetStats stats = dataset_stats(three_boxes(), 416, 416);
  EXPECT_EQ(stats.pictures, 3);
  EXPECT_EQ(stats.background, 2) << "a crowd region is no object";
  EXPECT_EQ(stats.objects, 3);
  EXPECT_EQ(stats.crowds, 1);
  EXPECT_EQ(stats.most_objects, 3);
  EXPECT_EQ(stats.classes[0].objects, 2);
  EXPECT_EQ(stats.classes[0].pictures, 1);
  EXPECT_EQ(stats.classes[2].objects, 0);
  EXPECT_EQ(stats.under, (std::array<int64_t, 7>{1, 2, 2, 2, 3, 3, 3}));  // 7.5, 10 and 100 px
  EXPECT_FLOAT_EQ(static_cast<float>(stats.size_px[0]), 7.5f);
  EXPECT_FLOAT_EQ(static_cast<float>(stats.size_px[2]), 10);
  EXPECT_FLOAT_EQ(static_cast<float>(stats.size_px[4]), 100);
  const std::string text = describe(stats, 416, 416);
  EXPECT_TRUE(contains(text, "33% of boxes are under 8 px at 416"));
  EXPECT_TRUE(contains(text, "c   <- none"));
}

}  // namespace
}  // namespace yolov3
