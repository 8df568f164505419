#include "train/class_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"

namespace yolov3 {
namespace {

// 16 cats, 4 traffic lights and no bus.
Dataset cats() {
  Dataset dataset;
  dataset.names = {"cat", "traffic light", "bus"};
  Example example;
  for (int i = 0; i < 20; ++i) example.objects.push_back({.box = {0, 0, 9, 9}, .class_id = i < 16 ? 0 : 1});
  example.objects.push_back({.box = {0, 0, 9, 9}, .class_id = 2, .crowd = true});  // is not trained on
  dataset.examples = {example};
  return dataset;
}

std::string refused(const std::string& text) {
  try {
    make_class_weights(text, cats());
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(ClassWeights, NoneAndLists) {
  EXPECT_TRUE(make_class_weights("none", cats()).empty());
  EXPECT_TRUE(make_class_weights("", cats()).empty());
  EXPECT_EQ(make_class_weights("1, 2.5,0.1", cats()), (std::vector<double>{1, 2.5, 0.1}));
  EXPECT_NE(refused("1,2").find("expected 3 weights, one for each class, got 2"), std::string::npos);
  EXPECT_NE(refused("1,2,0").find("expected a weight over 0"), std::string::npos);
  EXPECT_NE(refused("1,2,-3").find("expected a weight over 0"), std::string::npos);
  EXPECT_NE(refused("atuo").find("no such file"), std::string::npos);
}

// 1/4 and 1/2 times c; 16 c/4 + 4 c/2 = 20 objects gives c = 20/6.
TEST(ClassWeights, AutoByHand) {
  const std::vector<double> weights = make_class_weights("auto", cats());
  ASSERT_EQ(weights.size(), 3u);
  EXPECT_DOUBLE_EQ(weights[0], 20.0 / 24);
  EXPECT_DOUBLE_EQ(weights[1], 20.0 / 12);
  EXPECT_DOUBLE_EQ(weights[2], 1);
  EXPECT_NEAR((16 * weights[0] + 4 * weights[1]) / 20, 1, 1e-15);
}

TEST(ClassWeights, AFileNamesTheClasses) {
  const std::filesystem::path file = std::filesystem::path(testing::TempDir()) / "class_weights_test.txt";
  const auto with = [&](const std::string& text) {
    write_file(file, text);
    return file.string();
  };
  EXPECT_EQ(make_class_weights(with("traffic light 2.5\r\n\nbus\t0.5\n"), cats()), (std::vector<double>{1, 2.5, 0.5}));
  EXPECT_NE(
      refused(with("bus 1\ntrafic light 2\n")).find(":2: there is no class \"trafic light\"; did you mean traffic"),
      std::string::npos);
  EXPECT_NE(refused(with("bus 1\nbus 2\n")).find(":2: the class \"bus\" stands here twice"), std::string::npos);
  EXPECT_NE(refused(with("bus many\n")).find(":1: expected a weight over 0"), std::string::npos);
  EXPECT_NE(refused(with("bus\n")).find("expected NAME WEIGHT"), std::string::npos);
  EXPECT_NE(refused(with("\n\n")).find("names no class"), std::string::npos);
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace yolov3
