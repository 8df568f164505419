#include "data/data_yaml.h"

#include <gtest/gtest.h>

#include "data/test_folder.h"

namespace yolov3 {
namespace {

DataYaml parse(const std::string& text) { return parse_data_yaml(text, "sets/data.yaml"); }
std::string error(const std::string& text) {
  return error_of([&] { parse(text); });
}

TEST(DataYaml, AllThatItMayHold) {
  const DataYaml yaml = parse(
      "\xEF\xBB\xBF# comment\npath: ../bccd  # root\ntrain: [a.txt, b c.txt]\nval: synthetic:50\ntest:\n"
      "names: {1: traffic light, 0: \"no\"}\nnc: 2\ndownload: https://x.y/z.zip\n");
  EXPECT_EQ(yaml.root, "bccd");
  EXPECT_EQ(yaml.splits.at("train"), (std::vector<std::string>{"a.txt", "b c.txt"}));
  EXPECT_EQ(yaml.splits.at("val"), (std::vector<std::string>{"synthetic:50"}));
  EXPECT_FALSE(yaml.splits.contains("test"));
  EXPECT_EQ(yaml.names, (std::vector<std::string>{"no", "traffic light"}));
  EXPECT_EQ(yaml.ignored, (std::vector<std::string>{"download"}));
}

TEST(DataYaml, WithoutPathTheFileItselfIsTheRoot) {
  EXPECT_EQ(parse("train: a.txt\nnames: [a]\n").root, "sets");
  EXPECT_EQ(parse("train: a.txt\n").names.size(), 0u);
}

TEST(DataYaml, ErrorsSayLineAndWhatToTry) {
  EXPECT_TRUE(contains(error("train: a\nvall: b\n"), "sets/data.yaml:2: unknown key \"vall\"; did you mean \"val\"?"));
  EXPECT_TRUE(contains(error("train: a\nnames: [a, b]\nnc: 3\n"), "nc is 3 but there are 2 names"));
  EXPECT_TRUE(contains(error("train: a\nnames: {0: a, 2: b}\n"), "without gaps"));
  EXPECT_TRUE(contains(error("train: a\nnames: {0: a, 0: b}\n"), "twice"));
  EXPECT_TRUE(contains(error("train: a\nnames: {x: a}\n"), "class number"));
  EXPECT_TRUE(contains(error("train: a\nnames: []\n"), "at least one class name"));
  EXPECT_TRUE(contains(error("train: a\ntrain: b\n"), "twice"));
  EXPECT_TRUE(contains(error("train: {a: b}\n"), "data.yaml:1"));
  EXPECT_TRUE(contains(error("names: [a]\n"), "at least one of train, val and test"));
  EXPECT_TRUE(contains(error("train: a\nnc: many\n"), "whole number"));
  EXPECT_TRUE(contains(error("train: [a\n"), "not readable as YAML"));
  EXPECT_TRUE(contains(error(""), "expected `key: value`"));
  EXPECT_TRUE(contains(error("- a\n- b\n"), "expected `key: value`"));
  EXPECT_TRUE(contains(error("train: caf\xE9\n"), "UTF-8"));
}

TEST(DataYaml, DamagedAndHostileTextGivesAnErrorThatNamesTheFile) {
  std::vector<std::string> texts =
      damaged("path: ..\ntrain: [a.txt, b.txt]\nval: c.txt\nnames:\n  0: person\n  1: dog\nnc: 2\n");
  texts.push_back(std::string(100'000, '['));
  texts.push_back("train: " + std::string(100'000, '{'));
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  texts.push_back(deep);
  texts.push_back("train: &a [*a]\n");
  texts.push_back(
      "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nnames: [*c,*c,*c,*c]\n");
  texts.push_back("? [a, b]\n: c\n");
  texts.push_back("train: !!binary |\n  R0lGODlhAQABAIAAAAUEBAAAACwAAAAAAQABAAACAkQBADs=\n");
  for (const std::string& text : texts) {
    try {
      parse(text);
    } catch (const Error& problem) {
      EXPECT_TRUE(contains(problem.what(), "data.yaml"));
    }
  }
}

}  // namespace
}  // namespace yolov3
