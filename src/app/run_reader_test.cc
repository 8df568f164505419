#include "app/run_reader.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "app/run_list.h"
#include "app/test_folder.h"
#include "app/test_run_folder.h"
#include "base/error.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

class Runs : public ::testing::Test {
 protected:
  void TearDown() override { fs::remove_all(folder_); }
  // Without a change of its contents for so long.
  static void age(const fs::path& file, int seconds) {
    fs::last_write_time(file, fs::last_write_time(file) - std::chrono::seconds(seconds));
  }
  static void age_all(const fs::path& run, int seconds) {
    for (const auto& entry : fs::directory_iterator(run)) {
      if (entry.is_regular_file()) age(entry.path(), seconds);
    }
  }
  static double now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  }
  fs::path folder_ = make_test_folder("runs");
};

TEST_F(Runs, FollowARunWhileItIsWritten) {
  const fs::path run = folder_ / "exp";
  make_directories(run);
  RunReader reader(run);
  reader.refresh();
  EXPECT_EQ(reader.json(now())["csv"]["columns"].size(), 0u);

  EventWriter events(run);
  events.scalars(1, {{"loss/total_loss", 8.0f}, {"metrics/mAP_0.5", 0.5f}});
  events.flush();
  write_file(run / "results.csv", test_run_csv(1));
  reader.refresh();
  Json json = reader.json(now());
  EXPECT_EQ(json["csv"]["values"][0], (Json{0}));
  EXPECT_EQ(json["curves"]["loss/total_loss"]["steps"], (Json{1}));
  EXPECT_FALSE(json["curves"].contains("metrics/mAP_0.5")) << "results.csv has it";

  events.scalars(2, {{"loss/total_loss", 4.0f}});
  events.flush();
  std::ofstream(run / "results.csv", std::ios::app) << "1,2,3";  // a line of another writer, half there
  reader.refresh();
  json = reader.json(now());
  EXPECT_EQ(json["csv"]["values"][0], (Json{0}));
  EXPECT_EQ(json["curves"]["loss/total_loss"]["values"], (Json{8.0, 4.0}));
  write_file(run / "results.csv", test_run_csv(2));
  reader.refresh();
  EXPECT_EQ(reader.json(now())["csv"]["values"][0], (Json{0, 1}));
  EXPECT_TRUE(reader.json(now())["problems"].empty());
}

TEST_F(Runs, AResumedRunHasTwoEventFilesAndOneCurve) {
  for (const auto& [name, first, last] : {std::tuple("100", 1, 5), std::tuple("200", 4, 7)}) {
    const fs::path file = folder_ / (std::string("events.out.tfevents.") + name + ".host.1");
    std::string bytes;
    for (int step = first; step <= last; ++step) {
      bytes += frame_record(encode_scalar_event(0, step, {{"lr", static_cast<float>(10 * first + step)}}));
    }
    write_file(file, bytes);
  }
  RunReader reader(folder_);
  reader.refresh();
  const Json json = reader.json(now());
  EXPECT_EQ(json["curves"]["lr"]["steps"], (Json{1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(json["curves"]["lr"]["values"], (Json{11.0, 12.0, 13.0, 44.0, 45.0, 46.0, 47.0}));
}

TEST_F(Runs, DamageIsAProblemOfThePageNotItsEnd) {
  write_test_run(folder_ / "exp", 1);
  write_file(folder_ / "exp/events.out.tfevents.999", std::string(100, 'x'));
  fs::remove(folder_ / "exp/results.csv");
  make_directories(folder_ / "exp/results.csv");
  RunReader reader(folder_ / "exp");
  reader.refresh();
  const Json json = reader.json(now());
  ASSERT_EQ(json["problems"].size(), 1u);
  EXPECT_NE(json["problems"][0].get<std::string>().find("events.out.tfevents.999: no event record at byte 0"),
            std::string::npos);
}

TEST_F(Runs, ATableWithoutEpochsIsAProblem) {
  write_test_run(folder_ / "exp", 1);
  write_file(folder_ / "exp/results.csv",
             "\x7f"
             "ELF,\x01\xff\n,,,\n\x03");
  RunReader reader(folder_ / "exp");
  reader.refresh();
  const Json problems = reader.json(now())["problems"];
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].get<std::string>().find("epoch among them"), std::string::npos);
  write_file(folder_ / "exp/results.csv", test_run_csv(2));
  reader.refresh();
  EXPECT_TRUE(reader.json(now())["problems"].empty());
}

TEST_F(Runs, MemoryIsBounded) {
  std::string bytes;
  for (int step = 1; step <= 10000; ++step) bytes += frame_record(encode_scalar_event(0, step, {{"lr", 1.0f}}));
  for (int tag = 0; tag < 200; ++tag) {
    bytes += frame_record(encode_scalar_event(0, 1, {{"loss/" + std::to_string(tag), 1.0f}}));
  }
  bytes += frame_record(encode_scalar_event(0, 1, {{"loss/" + std::string(100000, 'x'), 1.0f}}));
  write_file(folder_ / "events.out.tfevents.1", bytes);
  RunReader reader(folder_);
  reader.refresh();
  const Json json = reader.json(now());
  EXPECT_EQ(json["curves"].size(), 24u);
  EXPECT_LE(json["curves"]["lr"]["steps"].size(), 2000u);
  EXPECT_EQ(json["curves"]["lr"]["steps"].back(), 10000);
}

TEST_F(Runs, SummaryAndState) {
  write_test_run(folder_ / "exp", 3);
  RunSummary run = summarize_run(folder_ / "exp", now());
  EXPECT_EQ(run.epochs, 3);
  EXPECT_EQ(run.epochs_done, 3);
  EXPECT_EQ(run.state, "finished");
  EXPECT_DOUBLE_EQ(run.map50, 0.75);  // 1 - 1/4
  EXPECT_DOUBLE_EQ(run.map50_95, 0.375);
  EXPECT_DOUBLE_EQ(run.seconds, 90);
  EXPECT_NEAR(run.loss, 8.0 / 3 * 3.5, 1e-3);
  write_file(folder_ / "exp/args.toml", "epochs = 9\n");
  EXPECT_EQ(summarize_run(folder_ / "exp", now()).state, "running");
  write_file(folder_ / "exp/args.toml", "epochs = 2\ntime = \"8h\"\n");
  EXPECT_EQ(summarize_run(folder_ / "exp", now()).state, "running") << "the time decides, not the epochs";
  EXPECT_EQ(summarize_run(folder_ / "exp", now()).epochs, 0);
  write_file(folder_ / "exp/args.toml", "epochs = 9\n");
  age_all(folder_ / "exp", 1000);
  run = summarize_run(folder_ / "exp", now());
  EXPECT_EQ(run.state, "stopped");
  EXPECT_NEAR(now() - run.updated, 1000, 60);
}

TEST_F(Runs, TheLossIsTheSumOfThePartsThatThereAre) {
  write_test_run(folder_ / "exp", 1);
  write_file(folder_ / "exp/results.csv",
             "epoch,train/box_loss,train/cls_loss,train/dfl_loss,val/box_loss\n0,1,2,4,8\n");
  EXPECT_DOUBLE_EQ(summarize_run(folder_ / "exp", now()).loss, 7);
  write_file(folder_ / "exp/results.csv", "epoch,val/box_loss\n0,8\n");
  EXPECT_EQ(summarize_run(folder_ / "exp", now()).loss, -1);
}

// For two minutes, or two epochs, it said "running".
TEST_F(Runs, ARunThatHasWrittenItsReportHasStopped) {
  const fs::path run = folder_ / "exp", report = run / "report.html", csv = run / "results.csv";
  write_test_run(run, 3);
  write_file(run / "args.toml", "epochs = 9\n");
  write_file(report, "<!doctype html>");
  fs::last_write_time(report, fs::last_write_time(csv) + std::chrono::seconds(5));
  EXPECT_EQ(summarize_run(run, now()).state, "stopped");
  fs::last_write_time(csv, fs::last_write_time(report) + std::chrono::seconds(5));  // it goes on
  EXPECT_EQ(summarize_run(run, now()).state, "running");
}

TEST_F(Runs, OptionsAsText) {
  const OptionTexts texts =
      option_texts("command = \"train\"\nlr0 = 0.3\nname = \"a b\"\nsizes = [0.8, 2]\nval = true\nepochs = 25\n");
  const OptionTexts want = {{"epochs", "25"}, {"lr0", "0.3"}, {"name", "a b"}, {"sizes", "[0.8, 2]"}, {"val", "true"}};
  EXPECT_EQ(texts, want);
  EXPECT_TRUE(option_texts("no = = toml").empty());
  EXPECT_TRUE(read_run_options(folder_ / "nowhere").empty());
}

TEST_F(Runs, ReportsMustBeJson) {
  EXPECT_FALSE(read_report(folder_).has_value());
  for (const char* bad : {"", "nonsense", "[1]", "{\"a\":", "{} {}", "{\"a\":\"\xff\"}"}) {
    write_file(folder_ / "report.json", bad);
    EXPECT_THROW(read_report(folder_), Error) << bad;
  }
  write_file(folder_ / "report.json", "{\"names\":[]}\n");
  EXPECT_EQ(read_report(folder_), "{\"names\":[]}\n");
}

TEST_F(Runs, ListFindsRunsDeepAndNamesThem) {
  write_test_run(folder_ / "train/exp", 1);
  write_test_run(folder_ / "train/exp2", 2);
  write_test_run(folder_ / "a/b/c/d", 1);
  write_test_run(folder_ / "a/b/c/d2/too-deep", 1);
  write_test_run(folder_ / "train/exp/inside-a-run", 1);
  write_test_run(folder_ / ".hidden/exp", 1);
  fs::create_directory_symlink(folder_ / "train", folder_ / "link");
  fs::create_directory_symlink(folder_, folder_ / "a/loop");
  age_all(folder_ / "train/exp", 100);
  age_all(folder_ / "a/b/c/d", 200);
  RunList list(folder_);
  const std::vector<ListedRun>& runs = list.refresh(now());
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].name, "train/exp2");
  EXPECT_EQ(runs[1].name, "train/exp");
  EXPECT_EQ(runs[2].name, "a/b/c/d");
  EXPECT_EQ(runs[0].summary.epochs_done, 2);
  EXPECT_EQ(list.find(runs[1].id)->folder, folder_ / "train/exp");
  EXPECT_EQ(list.find("../../etc"), nullptr);
  EXPECT_EQ(list.find(""), nullptr);
}

TEST_F(Runs, ListKeepsUpWithFoldersThatComeAndGo) {
  write_test_run(folder_ / "one", 1);
  RunList list(folder_);
  const std::string id = list.refresh(now()).at(0).id;
  write_test_run(folder_ / "two", 1);
  EXPECT_EQ(list.refresh(now()).size(), 2u);
  write_file(folder_ / "one/results.csv", test_run_csv(2));
  list.refresh(now());
  EXPECT_EQ(list.find(id)->summary.epochs_done, 2);
  fs::remove_all(folder_ / "one");
  EXPECT_EQ(list.refresh(now()).size(), 1u);
  EXPECT_EQ(list.find(id), nullptr);
  fs::remove_all(folder_ / "two");
  EXPECT_TRUE(list.refresh(now()).empty());
  fs::remove_all(folder_);
  EXPECT_TRUE(list.refresh(now()).empty());
}

TEST_F(Runs, ListOfOneRun) {
  write_test_run(folder_ / "exp", 1);
  RunList list(folder_ / "exp");
  ASSERT_EQ(list.refresh(now()).size(), 1u);
  EXPECT_EQ(list.refresh(now())[0].name, "exp");
  // With the slash of a shell's completion it had no name, and no link on the page.
  EXPECT_EQ(RunList(folder_ / "exp/").refresh(now()).at(0).name, "exp");
  EXPECT_EQ(RunList(folder_ / "exp/.").refresh(now()).at(0).name, "exp");
}

// Of 300,000 pictures beside the runs every one was asked for its kind, twice a second, and no run was found.
TEST_F(Runs, AFolderOfPicturesHidesNoRun) {
  write_test_run(folder_ / "runs/train/exp", 1);
  for (const char* name : {"a/b", "m", "z"}) {
    make_directories(folder_ / name);
    for (int i = 0; i < 60; ++i) write_file(folder_ / name / (std::to_string(i) + ".jpg"), "");
  }
  RunList list(folder_, {.of_folder = 20, .entries = 70});
  EXPECT_EQ(list.refresh(now()).size(), 1u);
  RunList shallow(folder_, {.depth = 2});
  EXPECT_EQ(shallow.refresh(now()).size(), 0u);
}

TEST_F(Runs, SlowListOfHundreds) {
  for (int i = 0; i < 1003; ++i) {
    make_directories(folder_ / std::to_string(i));
    write_file(folder_ / std::to_string(i) / "args.toml", "epochs = 1\n");
  }
  RunList list(folder_);
  EXPECT_EQ(list.refresh(now()).size(), 1000u);
  EXPECT_EQ(list.more(), 3);
}

}  // namespace
}  // namespace yolov3
