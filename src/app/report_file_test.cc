#include "app/report_file.h"

#include <gtest/gtest.h>

#include "app/html.h"
#include "app/test_folder.h"
#include "base/error.h"
#include "base/files.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

class ReportFile : public ::testing::Test {
 protected:
  void TearDown() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) const {
    fs::create_directories((folder_ / name).parent_path());
    write_file(folder_ / name, text);
    return (folder_ / name).string();
  }

  static std::string refusal(const std::string& file, ReportKind kind, const DataOptions& data = {},
                             const std::vector<fs::path>& inputs = {}) {
    try {
      check_report_file("--json", file, kind, data, inputs);
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::usage) << error.what();
      return error.what();
    }
  }

  const fs::path folder_ = make_test_folder("reports");
};

TEST_F(ReportFile, WhatIsNewOrAnEarlierReportMayBeWritten) {
  EXPECT_EQ(refusal("", ReportKind::json), "");
  EXPECT_EQ(refusal("-", ReportKind::json), "");
  EXPECT_EQ(refusal((folder_ / "new.json").string(), ReportKind::json), "");
  EXPECT_FALSE(fs::exists(folder_ / "new.json")) << "asking leaves nothing";
  EXPECT_EQ(refusal(write("a.json", " \n{\"a\": 1}"), ReportKind::json), "");
  EXPECT_EQ(refusal(write("b.json", "[]"), ReportKind::json), "");
  EXPECT_EQ(refusal(write("a.html", page_head("a report")), ReportKind::html), "");
  EXPECT_EQ(refusal(write("a.plan", "plan 1 f32=x bf16=y:"), ReportKind::plan), "");
  EXPECT_EQ(refusal(write("a.cfg", "# yolov3 anchors of x (train)\n[net]\n"), ReportKind::anchors), "");
  EXPECT_EQ(refusal(write("empty", ""), ReportKind::json), "");
}

TEST_F(ReportFile, NothingElseIsLost) {
  const std::string foreign[] = {write("obj.names", "person\ncar\n"), write("1.txt", "0 0.5 0.5 0.1 0.1\n"),
                                 write("1.jpg", "\xff\xd8\xff\xe0"), write("1.xml", "<annotation></annotation>"),
                                 write("m.h5", std::string("\x89HDF\r\n\x1a\n\0", 9))};
  for (const std::string& file : foreign) {
    EXPECT_NE(refusal(file, ReportKind::json).find("would be lost"), std::string::npos) << file;
    EXPECT_NE(refusal(file, ReportKind::html).find("would be lost"), std::string::npos) << file;
  }
  const std::string thesis = write("thesis.html", "<!doctype html><p>my thesis"), cfg = write("my.cfg", "[net]\n");
  EXPECT_NE(refusal(thesis, ReportKind::html).find("would be lost"), std::string::npos);
  EXPECT_NE(refusal(cfg, ReportKind::anchors).find("would be lost"), std::string::npos);
}

TEST_F(ReportFile, NoInputIsTaken) {
  const std::string results = write("results.json", "[]"), coco = write("instances.json", "{}");
  EXPECT_NE(refusal(results, ReportKind::json, {}, {"", folder_ / "results.json"}).find("reads"), std::string::npos);
  DataOptions data;
  data.data = coco;
  EXPECT_NE(refusal(coco, ReportKind::json, data).find("data set"), std::string::npos);
}

TEST_F(ReportFile, TwoReportsAreTwoFiles) {
  const auto refused = [](const std::vector<std::pair<const char*, std::string>>& files) {
    try {
      check_files_differ(files);
      return std::string();
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  EXPECT_EQ(refused({{"--json", "a"}, {"--report", "b"}}), "");
  EXPECT_EQ(refused({{"--json", "-"}, {"--report", "-"}, {"--out", ""}, {"--save-plan", ""}}), "");
  EXPECT_EQ(refused({{"--json", "a"}, {"--save-json", "b"}, {"--report", "./a"}}),
            "--json a and --report ./a: expected two files");
}

TEST_F(ReportFile, WhatCannotBeWrittenIsSaidBeforeTheWork) {
  EXPECT_THROW(check_report_file("--json", (folder_ / "none/new.json").string(), ReportKind::json), Error);
}

}  // namespace
}  // namespace yolov3
