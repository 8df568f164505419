#include "eval/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"

namespace yolov3 {
namespace {

Metrics example() {
  Metrics metrics;
  metrics.images = 72;
  metrics.objects = 945;
  metrics.coco.ap = 0.5;
  metrics.coco.ap50 = 0.75;
  metrics.voc_area = 0.8;
  metrics.precision = 0.9;
  metrics.recall = 0.6;
  ClassMetrics cell;
  cell.objects = 945;
  cell.images = 70;
  cell.ap = 0.5;
  cell.ap50 = 0.75;
  cell.precision = 0.9;
  cell.recall = 0.6;
  cell.f1 = 0.72;
  cell.threshold = 0.35;
  metrics.classes = {cell, ClassMetrics{}};
  return metrics;
}

std::vector<std::string> words(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> out;
  for (std::string word; stream >> word;) out.push_back(word);
  return out;
}

TEST(MetricsTable, AllFirstThenTheClasses) {
  std::istringstream table(metrics_table(example(), {"RBC", "traffic light"}));
  std::string header, all, first, second;
  std::getline(table, header);
  std::getline(table, all);
  std::getline(table, first);
  std::getline(table, second);
  using Words = std::vector<std::string>;
  EXPECT_EQ(words(header), (Words{"Class", "Images", "Instances", "P", "R", "F1", "threshold", "mAP50", "mAP50-95"}));
  EXPECT_EQ(words(all), (Words{"all", "72", "945", "0.900", "0.600", "0.720", "-", "0.750", "0.500"}));
  EXPECT_EQ(words(first), (Words{"RBC", "70", "945", "0.900", "0.600", "0.720", "0.350", "0.750", "0.500"}));
  EXPECT_EQ(words(second), (Words{"traffic", "light", "0", "0", "-", "-", "-", "-", "-", "-"}));
  EXPECT_EQ(header.size(), all.size());
  EXPECT_EQ(header.size(), second.size());
}

TEST(MetricsTable, NamesOfManyBytesStayInTheirColumn) {
  std::istringstream table(metrics_table(example(), {"\xe7\xba\xa2\xe7\xbb\x86", "b"}));  // two characters, six bytes
  std::string header, all, first;
  std::getline(table, header);
  std::getline(table, all);
  std::getline(table, first);
  EXPECT_EQ(first.size(), header.size() + 4);
}

TEST(MetricsJson, AsTheCommandLineSays) {
  const auto json = nlohmann::ordered_json::parse(metrics_json(example(), {"RBC", "a \"b\"\n\xff"}));
  EXPECT_EQ(json["images"], 72);
  EXPECT_EQ(json["objects"], 945);
  EXPECT_EQ(json["coco"]["AP"], 0.5);
  EXPECT_TRUE(json["coco"]["APs"].is_null());
  std::vector<std::string> keys;
  for (const auto& [key, value] : json["coco"].items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs",
                                            "ARm", "ARl"}));
  EXPECT_EQ(json["voc"]["AP50_area"], 0.8);
  EXPECT_TRUE(json["voc"]["AP50_11point"].is_null());
  EXPECT_EQ(json["classes"][0].dump(), R"({"class":"RBC","objects":945,"AP":0.5,"AP50":0.75,"precision":0.9,)"
                                       R"("recall":0.6,"f1":0.72,"threshold":0.35})");
  EXPECT_TRUE(json["classes"][1]["precision"].is_null());
  EXPECT_TRUE(json["classes"][1]["AP"].is_null());
}

TEST(Report, NeedsANameAClass) {
  EXPECT_THROW(metrics_table(example(), {"one"}), Error);
  EXPECT_THROW(metrics_json(example(), {"one"}), Error);
  Metrics empty;
  EXPECT_NE(metrics_table(empty, {}).find("all"), std::string::npos);
}

}  // namespace
}  // namespace yolov3
