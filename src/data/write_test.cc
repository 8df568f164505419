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
  write_lines_dataset(folder / "out", sets);
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
  EXPECT_TRUE(contains(error_of([&] { write_lines_dataset(folder / "out", sets); }), "expected a new or empty folder"));
}

TEST(Write, TouchesNoFolderThatHoldsSomething) {
  const TestFolder folder;
  const std::map<std::string, Dataset> sets = {{"train", synthetic_dataset(4, "train", 1)}};
  folder.write("out/names.txt", "mine\n");
  EXPECT_TRUE(contains(error_of([&] { write_lines_dataset(folder / "out", sets); }), "expected a new or empty folder"));
  EXPECT_EQ(read_file(folder / "out/names.txt"), "mine\n");
  EXPECT_EQ(list_files(folder / "out").size(), 1u);
  make_directories(folder / "empty");
  EXPECT_NO_THROW(write_lines_dataset(folder / "empty", sets));
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
  write_lines_dataset(folder / "out", {{"train", dataset}});
  EXPECT_EQ(read_file(folder / "out/images/train/000000.jpg"), read_file(folder / "Picture.JPG"));
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
                         write_lines_dataset(folder / "o", {{"train", a}, {"val", b}});
                       }),
                       "class names"));
  EXPECT_TRUE(contains(error_of([&] { write_lines_dataset(folder / "o", {{"dev", a}}); }), "found dev"));
  EXPECT_FALSE(std::filesystem::exists(folder / "o"));
}

}  // namespace
}  // namespace yolov3
