#include "data/darknet_data.h"

#include <gtest/gtest.h>

#include "data/source.h"
#include "data/test_folder.h"

namespace yolov3 {
namespace {

TEST(DarknetData, KeysAndTheirMeaning) {
  const DarknetData data = parse_darknet_data(
      "# a comment\nclasses= 2\r\ntrain  = data/a b.txt\nvalid=v.txt\nnames = n.names\nbackup = b/\n", "x.data");
  EXPECT_EQ(data.classes, 2);
  EXPECT_EQ(data.splits, (std::map<std::string, std::string>{{"train", "data/a b.txt"}, {"val", "v.txt"}}));
  EXPECT_EQ(data.names, "n.names");
  EXPECT_EQ(data.ignored, (std::vector<std::string>{"backup"}));
}

TEST(DarknetData, ErrorsNameTheLine) {
  const auto error = [](const char* text) { return error_of([&] { parse_darknet_data(text, "x.data"); }); };
  EXPECT_TRUE(contains(error("train = a\nvaild = b\n"), "x.data:2: unknown key \"vaild\"; did you mean \"valid\"?"));
  EXPECT_TRUE(contains(error("train = a\nvalid = b\nval = c\n"), "x.data:3: the key \"val\" stands twice"));
  EXPECT_TRUE(contains(error("train\n"), "x.data:1: expected key = value"));
  EXPECT_TRUE(contains(error("classes = none\n"), "expected the number of classes"));
  EXPECT_TRUE(contains(error("classes = 2\n"), "at least one of train"));
  EXPECT_TRUE(contains(error("train =\n"), "expected a value"));
  for (const std::string& text : damaged("classes= 2\ntrain = a.txt\nnames = n\n")) {
    try {
      parse_darknet_data(text, "x.data");
    } catch (const Error&) {
    }
  }
}

// Darknet runs in the folder above `data`, and so its paths are written.
TEST(DarknetData, PathsAreFoundFromTheWorkingDirectoryOfDarknet) {
  const TestFolder folder;
  folder.picture("data/img/a.png", 40, 20);
  folder.write("data/img/a.txt", "1 0.5 0.5 0.5 0.5\n");
  folder.write("data/train.txt", "data/img/a.png\n");
  folder.write("data/obj.names", "air\nbird");
  DataOptions options;
  options.data =
      folder
          .write("data/obj.data", "classes = 2\ntrain = data/train.txt\nvalid = data/train.txt\nnames = data/obj.names")
          .string();
  EXPECT_EQ(splits_of(options), (std::vector<std::string>{"train", "val"}));
  DefectReport report;
  const Dataset train = load_dataset(options, "train", report);
  EXPECT_EQ(train.names, (std::vector<std::string>{"air", "bird"}));
  EXPECT_EQ(train.examples.at(0).objects.at(0).box, (Box{10, 5, 30, 15}));
  EXPECT_TRUE(report.defects.empty());
  folder.write("data/obj.data", "classes = 3\ntrain = data/train.txt\nnames = data/obj.names");
  EXPECT_TRUE(contains(error_of([&] { load_dataset(options, "train", report); }), "classes is 3 but"));
}

}  // namespace
}  // namespace yolov3
