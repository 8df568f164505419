#include "app/report_page.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/html.h"
#include "app/run_reader.h"
#include "app/test_folder.h"
#include "app/test_run_folder.h"
#include "base/error.h"
#include "base/files.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class ReportPage : public ::testing::Test {
 protected:
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_ = make_test_folder("report");
};

// What the page's script gets.
json data_of(const std::string& page) {
  const std::string begin = "<script type=\"application/json\" id=data>";
  const size_t from = page.find(begin) + begin.size();
  return json::parse(page.substr(from, page.find("</script>", from) - from));
}

size_t count(const std::string& text, const std::string& part) {
  size_t times = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++times;
  return times;
}

TEST_F(ReportPage, HoldsTheRunsCurvesFindingsOptionsAndPictures) {
  write_test_run(folder_ / "exp", 3);
  const std::string page = run_page(folder_ / "exp");
  EXPECT_TRUE(page.starts_with("<!doctype html>"));
  const json data = data_of(page);
  EXPECT_EQ(data["run"]["epochs"], 3);
  EXPECT_EQ(data["run"]["epochs_done"], 3);
  EXPECT_EQ(data["run"]["state"], "finished");
  EXPECT_EQ(data["run"]["csv"]["columns"][0], "epoch");
  EXPECT_EQ(data["run"]["csv"]["values"][0], (json{0, 1, 2}));
  EXPECT_EQ(data["run"]["curves"]["loss/total_loss"]["steps"], (json{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(data["report"]["names"], (json{"cat", "dog"}));
  ASSERT_EQ(data["pictures"].size(), 1u);
  EXPECT_TRUE(data["pictures"][0]["src"].get<std::string>().starts_with("data:image/jpeg;base64,"));
  EXPECT_EQ(data["command"], "yolov3 train --config " + (folder_ / "exp/args.toml").string());
  bool has_seed = false;
  for (const json& option : data["run"]["args"]) has_seed |= option[0] == "seed" && option[1] == "7";
  EXPECT_TRUE(has_seed);
}

TEST_F(ReportPage, OfAnEvaluation) {
  EvaluationFacts facts{
      "<b>best.h5 on voc/ (test)", "416 x 416, dnnl", {"--weights", "my best.h5"}, "conf = 0.1\n", 12.5, 0.75};
  const std::string page = evaluation_page(facts, test_report({"cat", "dog"}, 0));
  EXPECT_EQ(page.find("<b>"), std::string::npos);
  const json data = data_of(page);
  EXPECT_TRUE(data["run"].is_null());
  EXPECT_EQ(data["report"]["names"], (json{"cat", "dog"}));
  EXPECT_EQ(data["args"], json::array({json::array({"conf", "0.1"})}));
  EXPECT_EQ(data["command"], "yolov3 eval --weights 'my best.h5'");
  EXPECT_EQ(data["images_per_second"], 12.5);
  EXPECT_EQ(data["peak_gb"], 0.75);
  facts.images_per_second = facts.peak_gb = 0;  // of another detector's results
  const json judged = data_of(evaluation_page(facts, test_report({"cat", "dog"}, 0)));
  EXPECT_FALSE(judged.contains("images_per_second") || judged.contains("peak_gb"));
}

// It was written a moment after the run's last file, and said "running" ever after.
TEST_F(ReportPage, OfARunThatEndedBeforeItsLastEpoch) {
  write_test_run(folder_ / "exp", 3);
  write_file(folder_ / "exp/args.toml", "epochs = 40\n");
  EXPECT_EQ(data_of(run_page(folder_ / "exp"))["run"]["state"], "running");
  write_run_page(folder_ / "exp");
  EXPECT_EQ(data_of(read_file(folder_ / "exp/report.html"))["run"]["state"], "stopped");
}

TEST_F(ReportPage, NeedsNoOtherFileAndCarriesTheLicenceOfChartJs) {
  write_test_run(folder_ / "exp", 1);
  const std::string page = run_page(folder_ / "exp");
  EXPECT_EQ(count(page, "<link"), 0u);
  EXPECT_EQ(count(page, "script src"), 0u);
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
  EXPECT_NE(page.find("Permission is hereby granted, free of charge"), std::string::npos);
  EXPECT_NE(page.find("Chart.js v"), std::string::npos);
  EXPECT_LT(page.size(), 2u << 20);
}

// Names that would end the script, begin a comment or leave an attribute are data and nothing else.
TEST_F(ReportPage, HostileNamesStayText) {
  const std::string evil = "</script><script>alert(1)</script><!--\"'&\xe2\x80\xa8\xc3\xa9\xff";
  const fs::path run = folder_ / "<b>\"'&";
  write_test_run(run, 1, {evil, "dog"});
  const std::string page = run_page(run);
  EXPECT_EQ(count(page, "<script"), 3u);  // ours: the data, our script, Chart.js
  EXPECT_EQ(count(page, "</script"), 3u);
  EXPECT_EQ(page.find("<b>"), std::string::npos);
  EXPECT_EQ(page.find("<!--"), std::string::npos);
  const json data = data_of(page);
  EXPECT_EQ(data["report"]["names"][0], "</script><script>alert(1)</script><!--\"'&\xe2\x80\xa8\xc3\xa9\xef\xbf\xbd");
}

TEST_F(ReportPage, OfARunThatHasHardlyBegun) {
  const json nothing = data_of(run_page(folder_));
  EXPECT_EQ(nothing["run"]["epochs_done"], 0);
  EXPECT_TRUE(nothing["report"].is_null());
  write_file(folder_ / "args.toml", "epochs = 5\n");
  write_file(folder_ / "train_batch0.jpg", "no picture");
  const json begun = data_of(run_page(folder_));
  EXPECT_EQ(begun["run"]["epochs"], 5);
  EXPECT_TRUE(begun["pictures"].empty());
}

TEST_F(ReportPage, ADamagedReportCostsItsOwnPartOnly) {
  write_test_run(folder_ / "exp", 1);
  write_file(folder_ / "exp/report.json", "{\"names\":");
  const json data = data_of(run_page(folder_ / "exp"));
  EXPECT_TRUE(data["report"].is_null());
  EXPECT_NE(data["run"]["problems"].dump().find("expected a JSON object"), std::string::npos);
  EXPECT_EQ(data["run"]["epochs_done"], 1);
}

TEST_F(ReportPage, AFolderThatIsGoneIsAWarningForTheRun) {
  ::testing::internal::CaptureStderr();
  write_run_page(folder_ / "exp");
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("report.html could not be written"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "exp/report.html"));
}

TEST(Html, EscapesWhatEndsTextAndAttributes) {
  EXPECT_EQ(escaped("a<b>&\"'c"), "a&lt;b&gt;&amp;&quot;&#39;c");
  EXPECT_EQ(escaped(std::string("a\0b", 3)),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(json_for_page(R"({"a":"</script><!--"})"), "{\"a\":\"\\u003c/script>\\u003c!--\"}");
}

TEST(ShellLine, QuotesWhatAShellWouldTakeApart) {
  EXPECT_EQ(shell_line({"yolov3", "eval", "--conf=0.5"}), "yolov3 eval --conf=0.5");
  EXPECT_EQ(shell_line({"a b", "", "it's", "$x;*"}), "'a b' '' 'it'\\''s' '$x;*'");
}

}  // namespace
}  // namespace yolov3
