#include "eval/report_data.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace yolov3 {
namespace {

using Json = nlohmann::json;

// Two classes, two pictures: picture 0 with an object found and one missed, picture 1 with a false alarm.
ReportData small_data() {
  Evaluator evaluator(2);
  evaluator.add({{{0, 0, 40, 40}, 0, false, false, 1600}, {{100, 100, 140, 140}, 1, false, false, 1600}},
                {{{0, 0, 40, 40}, 0, 0.75f}});
  evaluator.add({}, {{{10, 20, 30.25f, 60}, 1, 0.5f}});
  ReportData data{{"cat", "dog"}, 416, 320, {}, {}};
  data.splits["val"].pictures = 2;
  data.splits["val"].objects = 2;
  data.splits["val"].classes = {{"cat", 1}, {"dog", 1}};
  data.judgement = Judgement{"val", 4, evaluator.compute(), evaluator.find()};
  return data;
}

JudgedPictures two_pictures() {
  return {[](int64_t i) { return "picture" + std::to_string(i) + ".jpg"; },
          [](int64_t) { return Image(200, 200, 128); }};
}

TEST(ReportData, SaysWhatPagesShow) {
  const Json json = Json::parse(report_json(small_data(), two_pictures()));
  EXPECT_EQ(json["version"], 1);
  EXPECT_EQ(json["names"], (Json{"cat", "dog"}));
  EXPECT_EQ(json["net"], (Json{416, 320}));
  EXPECT_EQ(json["splits"]["val"]["class_objects"], (Json{1, 1}));
  const Json& j = json["judgement"];
  EXPECT_EQ(j["split"], "val");
  EXPECT_EQ(j["epoch"], 4);
  EXPECT_EQ(j["metrics"]["objects"], 2);
  EXPECT_EQ(j["working_point"], (Json{{"score", 0.25}, {"iou", 0.5}}));
  EXPECT_EQ(j["confusion"], (Json{{0, 0, 1}, {1, 2, 1}, {2, 1, 1}}));
  EXPECT_EQ(j["miss_kinds"], (Json{{"unseen", 1}, {"loose", 0}, {"wrong class", 0}}));
  EXPECT_EQ(j["alarm_kinds"]["background"], 1);
  EXPECT_EQ(j["sizes"]["objects"], (Json{0, 0, 0, 2, 0, 0, 0, 0}));  // 40 px
  EXPECT_EQ(j["sizes"]["found"], (Json{0, 0, 0, 1, 0, 0, 0, 0}));

  ASSERT_EQ(j["misses"].size(), 1u);
  EXPECT_EQ(j["misses"][0]["image"], "picture0.jpg");
  EXPECT_EQ(j["misses"][0]["class"], 1);
  EXPECT_EQ(j["misses"][0]["box"], (Json{100.0, 100.0, 140.0, 140.0}));
  EXPECT_TRUE(j["misses"][0]["picture"].get<std::string>().starts_with("data:image/jpeg;base64,/9j/"));
  ASSERT_EQ(j["false_alarms"].size(), 1u);
  EXPECT_EQ(j["false_alarms"][0]["image"], "picture1.jpg");
  EXPECT_EQ(j["false_alarms"][0]["score"], 0.5);
  EXPECT_EQ(j["false_alarms"][0]["kind"], "background");

  const Json& curves = j["curves"];
  EXPECT_EQ(curves["classes"][0]["recall"][75], 1);
  EXPECT_EQ(curves["classes"][0]["recall"][76], 0);
  EXPECT_TRUE(curves["classes"][0]["precision"][76].is_null());
  EXPECT_EQ(curves["all"]["recall"][75], 0.5);
  EXPECT_EQ(curves["all"]["precision_at_recall"][100], 0.5);  // 1 of cat, 0 of dog
  EXPECT_EQ(curves["all"]["best_score"], 0.75);
  EXPECT_EQ(j["calibration"]["bins"][15], (Json{1, 1, 0.75}));
}

TEST(ReportData, BeforeTheFirstValidationThereIsTheDataAlone) {
  ReportData data = small_data();
  data.judgement.reset();
  const Json json = Json::parse(report_json(data, two_pictures()));
  EXPECT_TRUE(json["judgement"].is_null());
  EXPECT_EQ(json["splits"]["val"]["pictures"], 2);
}

TEST(ReportData, PicturesThatCannotBeReadAreLeftOut) {
  JudgedPictures broken = two_pictures();
  broken.load = [](int64_t) -> Image { throw Error("gone"); };
  const Json json = Json::parse(report_json(small_data(), broken));
  EXPECT_TRUE(json["judgement"]["misses"][0]["picture"].is_null());
  EXPECT_EQ(json["judgement"]["misses"][0]["image"], "picture0.jpg");
  const Json without = Json::parse(report_json(small_data(), {two_pictures().name, {}}));
  EXPECT_FALSE(without["judgement"]["misses"][0].contains("picture"));
}

TEST(ReportData, NamesThatAreNoTextDoNotStopIt) {
  ReportData data = small_data();
  data.names = {"</script><b>", "caf\xe9"};
  const Json json = Json::parse(report_json(data, {[](int64_t) { return std::string("a\xff\"'.jpg"); }, {}}));
  EXPECT_EQ(json["names"][0], "</script><b>");
  EXPECT_EQ(json["names"][1], "caf\xef\xbf\xbd");
  EXPECT_EQ(json["judgement"]["misses"][0]["image"], "a\xef\xbf\xbd\"'.jpg");
}

// A class without a colour of its own, a box outside of the picture: drawn or not, but never a crash.
TEST(ReportData, HostileBoxesAreDrawnSafely) {
  Evaluator evaluator(2);
  evaluator.add({{{-1e6f, -1e6f, 1e6f, 1e6f}, 0, false, false, 1}, {{900, 900, 901, 901}, 1, false, false, 1}},
                {{{-50, -50, -40, -40}, 0, 0.9f}});
  ReportData data{{"a", "b"}, 0, 0, {}, {}};
  data.judgement = Judgement{"val", {}, evaluator.compute(), evaluator.find()};
  const Json json = Json::parse(report_json(data, two_pictures()));
  EXPECT_EQ(json["judgement"]["misses"].size(), 2u);
  EXPECT_TRUE(json["judgement"]["epoch"].is_null());
}

}  // namespace
}  // namespace yolov3
