#include "data/data_names.h"

#include "data/test_folder.h"

namespace yolov3 {
namespace {

// Numbers tell them apart: both stay. What goes by name is told whose it is.
TEST(DataNames, TwoClassesOfOneNameAreTold) {
  const TestFolder folder;
  folder.picture("a.png", 40, 30);
  const std::filesystem::path names = folder.write("names.txt", "cat\ndog\ncat\n");
  const DataOptions options = options_for(folder.write("train.txt", "a.png 1,2,10,20,2\n"), names);
  DefectReport report;
  ::testing::internal::CaptureStderr();
  const Dataset dataset = load_dataset(options, "train", report);
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(dataset.names, (std::vector<std::string>{"cat", "dog", "cat"}));
  EXPECT_EQ(dataset.examples.at(0).objects.at(0).class_id, 2);
  EXPECT_TRUE(contains(told, names.string() + ": class 2 has the name \"cat\" of class 0")) << told;
}

TEST(DataNames, ThoseOfAnotherSplitAreTakenAsTheyAre) {
  const TestFolder folder;
  folder.picture("a.png", 40, 30);
  DataOptions options = options_for(folder.write("train.txt", "a.png 1,2,10,20,1\n"));
  options.known_names = {"cat", "dog"};
  DefectReport report;
  EXPECT_EQ(load_dataset(options, "train", report).names, options.known_names);
}

}  // namespace
}  // namespace yolov3
