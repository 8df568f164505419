#include "data/write.h"

#include <gtest/gtest.h>

#include "data/source.h"
#include "data/synthetic.h"
#include "data/test_folder.h"

namespace yolov3 {
namespace {

TEST(Write, SyntheticDataReadsBackEqual) {
  const TestFolder folder;
  const std::map<std::string, Dataset> sets = {{"train", synthetic_dataset(4, "train", 5)},
                                               {"val", synthetic_dataset(4, "val", 2)}};
  write_dataset(folder / "out", DataFormat::lines, sets);
  for (const auto& [split, want] : sets) {
    DataOptions options;
    options.data = (folder / "out/data.yaml").string();
    options.bad_data = BadDataPolicy::error;
    DefectReport report;
    const Dataset got = load_dataset(options, split, report);
    EXPECT_EQ(got.names, want.names);
    ASSERT_EQ(got.examples.size(), want.examples.size());
    for (size_t i = 0; i < want.examples.size(); ++i) {
      EXPECT_EQ(got.examples[i].objects, want.examples[i].objects);
      EXPECT_EQ(load_example(got.examples[i]).image, load_example(want.examples[i]).image);
    }
  }
  EXPECT_EQ(read_class_names(folder / "out/names.txt"), sets.at("train").names);
  EXPECT_TRUE(contains(error_of([&] { write_dataset(folder / "out", DataFormat::lines, sets); }),
                       "expected a new or empty folder"));
}

TEST(Write, TouchesNoFolderThatHoldsSomething) {
  const TestFolder folder;
  const std::map<std::string, Dataset> sets = {{"train", synthetic_dataset(4, "train", 1)}};
  folder.write("out/names.txt", "mine\n");
  EXPECT_TRUE(contains(error_of([&] { write_dataset(folder / "out", DataFormat::lines, sets); }),
                       "expected a new or empty folder"));
  EXPECT_EQ(read_file(folder / "out/names.txt"), "mine\n");
  EXPECT_EQ(list_files(folder / "out").size(), 1u);
  make_directories(folder / "empty");
  EXPECT_NO_THROW(write_dataset(folder / "empty", DataFormat::lines, sets));
}

TEST(Write, FilesAreCopiedByteByByteAndNamesKeepTheirSpelling) {
  const TestFolder folder;
  Dataset dataset;
  dataset.names = {"no", "say \"hi\" \\ there", "3"};
  dataset.examples.resize(1);
  dataset.examples[0].image = folder.picture("Picture.JPG", 20, 10);
  Annotation object;
  object.box = {0.1f, 1.0f / 3, 19.999999f, 9.7f};
  object.class_id = 1;
  object.area = object.box.area();
  dataset.examples[0].objects = {object};
  write_dataset(folder / "out", DataFormat::lines, {{"train", dataset}});
  EXPECT_EQ(read_file(folder / "out/images/train/Picture.JPG"), read_file(folder / "Picture.JPG"));
  DataOptions options;
  options.data = (folder / "out/data.yaml").string();
  DefectReport report;
  const Dataset got = load_dataset(options, "train", report);
  EXPECT_EQ(got.names, dataset.names);
  EXPECT_EQ(got.examples.at(0).objects, dataset.examples[0].objects);
}

TEST(Write, RefusesSplitsThatDoNotFitTogether) {
  const TestFolder folder;
  Dataset a = synthetic_dataset(0, "train", 1), b = a;
  b.names.pop_back();
  EXPECT_TRUE(contains(error_of([&] {
                         write_dataset(folder / "o", DataFormat::lines, {{"train", a}, {"val", b}});
                       }),
                       "class names"));
  EXPECT_TRUE(contains(error_of([&] { write_dataset(folder / "o", DataFormat::lines, {{"dev", a}}); }), "found dev"));
  EXPECT_FALSE(std::filesystem::exists(folder / "o"));
}

// Boxes of awkward floats, a difficult one, a crowd with an area of its own, a thin one, and a background.
Dataset awkward(const TestFolder& folder) {
  Dataset dataset;
  dataset.names = {"zebra", "a & <b>", "never seen"};
  dataset.category_ids = {7, 3, 90};
  const auto object = [](Box box, int class_id) { return Annotation{box, class_id, false, false, box.area()}; };
  Example one{folder.picture("one.png", 97, 61), {}, 42, {}, 97, 61, "one"};
  one.objects = {object({0.1f, 1.0f / 3, 96.999f, 60.7f}, 0), object({0, 0, 97, 61}, 1),
                 object({10.25f, 20.5f, 30.125f, 40.75f}, 0)};
  one.objects[2].difficult = true;
  Annotation crowd = object({5, 5, 50, 50}, 1), thin = object({7, 7, 8, 30}, 0);
  crowd.crowd = true;
  crowd.area = 1234.5f;
  one.objects.push_back(crowd);
  one.objects.push_back(thin);
  dataset.examples = {one, {folder.picture("sub/one.jpg", 20, 10), {}, 41, {}, 20, 10, "two"}};
  return dataset;
}

struct Written {
  std::map<std::string, int64_t> lost;
  Dataset read;
};

Written write_and_read(const TestFolder& folder, DataFormat format, const std::map<std::string, Dataset>& splits) {
  Written written;
  const std::filesystem::path out = folder / ("out-" + to_string(format));
  for (const Loss& loss : write_dataset(out, format, splits)) ++written.lost[loss.what];
  DataOptions options;
  options.data = written_data(out, format).string();
  if (format == DataFormat::voc) options.names = out / "names.txt";
  DefectReport report;
  written.read = load_dataset(options, "train", report);
  EXPECT_TRUE(report.defects.empty()) << describe(report, 9);
  return written;
}

using Counts = std::map<std::string, int64_t>;

TEST(Write, CocoReadsBackEverything) {
  const TestFolder folder;
  const Dataset want = awkward(folder);
  const Written got = write_and_read(folder, DataFormat::coco, {{"train", want}, {"val", want}});
  EXPECT_TRUE(got.lost.empty());
  EXPECT_FALSE(std::filesystem::exists(folder / "out-coco/not-converted.txt"));
  EXPECT_EQ(got.read.names, want.names);
  EXPECT_EQ(got.read.category_ids, want.category_ids);
  ASSERT_EQ(got.read.examples.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(got.read.examples[i].objects, want.examples[i].objects) << "bit for bit";
    EXPECT_EQ(got.read.examples[i].image_id, want.examples[i].image_id);
  }
  EXPECT_EQ(got.read.examples[0].image.filename(), "one.png");
  EXPECT_EQ(got.read.examples[1].image.filename(), "one_2.jpg") << "labels are named by stems, which are unique";
}

// What is left of the awkward set without crowds, areas and the flags that a format has not.
std::vector<Annotation> without(std::vector<Annotation> objects, bool difficult, bool thin) {
  std::erase_if(objects, [&](const Annotation& object) { return object.crowd || (!thin && object.box.width() <= 1); });
  if (!difficult) {
    for (Annotation& object : objects) object.difficult = false;
  }
  return objects;
}

TEST(Write, VocReadsBackWhatItCanSayAndListsTheRest) {
  const TestFolder folder;
  const Dataset want = awkward(folder);
  const Written got = write_and_read(folder, DataFormat::voc, {{"train", want}});
  EXPECT_EQ(got.lost, (Counts{{"crowd region", 1},
                              {"box of 1 px or less", 1},
                              {"ids of images and categories", 1},
                              {"order of the classes, or some without objects", 1}}));
  EXPECT_EQ(got.read.names, want.names);
  EXPECT_EQ(got.read.examples.at(0).objects, without(want.examples[0].objects, true, false));
  EXPECT_TRUE(got.read.examples.at(1).objects.empty());
  EXPECT_TRUE(contains(read_file(folder / "out-voc/not-converted.txt"), "one: crowd region: a & <b> 5,5,50,50"));
}

TEST(Write, YoloAndLinesReadBackTheSameFloats) {
  for (const DataFormat format : {DataFormat::yolo, DataFormat::lines}) {
    const TestFolder folder;
    const Dataset want = awkward(folder);
    const Written got = write_and_read(folder, format, {{"train", want}});
    EXPECT_EQ(got.lost, (Counts{{"crowd region", 1}, {"\"difficult\"", 1}, {"ids of images and categories", 1}}));
    EXPECT_EQ(got.read.names, want.names);
    ASSERT_EQ(got.read.examples.size(), 2u);
    EXPECT_EQ(got.read.examples[0].objects, without(want.examples[0].objects, false, true)) << to_string(format);
    EXPECT_TRUE(got.read.examples[1].objects.empty());
  }
}

TEST(Write, SyntheticDataInEveryFormat) {
  for (const DataFormat format : {DataFormat::lines, DataFormat::voc, DataFormat::coco, DataFormat::yolo}) {
    const TestFolder folder;
    const Dataset want = synthetic_dataset(4, "train", 5);
    const Written got = write_and_read(folder, format, {{"train", want}});
    ASSERT_EQ(got.read.examples.size(), 5u);
    for (size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(got.read.examples[i].objects, want.examples[i].objects) << to_string(format) << i;
      EXPECT_EQ(load_example(got.read.examples[i]).image, load_example(want.examples[i]).image);
    }
  }
}

TEST(Write, AFailureLeavesNothingBehind) {
  const TestFolder folder;
  Dataset dataset = awkward(folder);
  std::filesystem::remove(dataset.examples[1].image);
  EXPECT_THROW(write_dataset(folder / "out", DataFormat::yolo, {{"train", dataset}}), Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
  EXPECT_EQ(list_files(folder / "").size(), 1u) << "one.png alone, nothing unfinished";
  for (const auto& entry : std::filesystem::directory_iterator(folder / "")) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
  }
}

}  // namespace
}  // namespace yolov3
