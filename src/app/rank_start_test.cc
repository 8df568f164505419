#include "app/rank_start.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <map>
#include <thread>

#include "app/test_folder.h"
#include "app/test_program.h"
#include "base/error.h"
#include "base/files.h"

namespace yolov3 {
namespace {

std::optional<RankPlace> place_of(const std::map<std::string, std::string>& variables) {
  return parse_rank_place([&](const std::string& name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(RankStart, NoVariablesAreNoRanks) { EXPECT_FALSE(place_of({{"MASTER_PORT", "1"}}).has_value()); }

TEST(RankStart, TorchrunsVariables) {
  const auto place = place_of({{"RANK", "3"},
                               {"WORLD_SIZE", "8"},
                               {"LOCAL_WORLD_SIZE", "4"},
                               {"LOCAL_RANK", "2"},
                               {"MASTER_ADDR", "node0"},
                               {"MASTER_PORT", "1234"},
                               {"OMPI_COMM_WORLD_RANK", "7"}});
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->rank, 3);
  EXPECT_EQ(place->ranks, 8);
  EXPECT_EQ(place->local_ranks, 4);
  EXPECT_EQ(place->local_rank, 2);
  EXPECT_EQ(place->host, "node0");
  EXPECT_EQ(place->port, 1234);
}

TEST(RankStart, ALocalRankWithoutItsCountIsTaken) {
  const auto place = place_of({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "1"}, {"MASTER_ADDR", "node0"}});
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->local_rank, 1);
}

TEST(RankStart, MpirunsVariables) {
  const auto ompi =
      place_of({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
  ASSERT_TRUE(ompi.has_value());
  EXPECT_EQ(ompi->rank, 1);
  EXPECT_EQ(ompi->local_rank, 1) << "all on one machine";
  EXPECT_EQ(ompi->host, "127.0.0.1") << "all on one machine";
  EXPECT_EQ(ompi->port, 29500) << "torchrun's default";
  const auto pmi = place_of({{"PMI_RANK", "0"}, {"PMI_SIZE", "3"}, {"MASTER_ADDR", "10.0.0.1"}});
  ASSERT_TRUE(pmi.has_value());
  EXPECT_EQ(pmi->ranks, 3);
  EXPECT_EQ(pmi->host, "10.0.0.1");
}

TEST(RankStart, WhatIsWrongWithVariablesIsSaid) {
  const std::map<std::string, std::string> wrong[] = {
      {{"RANK", "0"}},
      {{"WORLD_SIZE", "2"}},
      {{"RANK", "2"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}},
      {{"RANK", "-1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}},
      {{"RANK", "x"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}},
      {{"RANK", "0"}, {"WORLD_SIZE", "0"}, {"MASTER_ADDR", "a"}},
      {{"RANK", "0"}, {"WORLD_SIZE", "2"}},
      {{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"LOCAL_WORLD_SIZE", "2"}, {"LOCAL_RANK", "2"}},
      {{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "70000"}}};
  for (const auto& variables : wrong) EXPECT_THROW(place_of(variables), Error) << variables.begin()->first;
}

TEST(RankStart, MoreRanksThanPicturesInABatchAreRefused) {
  const Ran ran = run({"train", "--data", "synthetic:8", "--batch", "2", "--ranks", "3"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_SAYS(ran.err, "give at least 3");
}

// --- The program itself, which starts two of its kind -----------------------------------------------------------------

class RankStarter : public ::testing::Test {
 protected:
  void SetUp() override { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }  // ranks that outlive their parent are ours to wait for
  void TearDown() override {
    for (const pid_t process : ranks_) ::kill(process, SIGKILL);
    if (starter_ > 0) ::kill(starter_, SIGKILL), ::waitpid(starter_, nullptr, 0);
    while (::waitpid(-1, nullptr, 0) > 0) {
    }
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);
    std::filesystem::remove_all(folder_);
  }

  void start(const std::string& epochs, bool ignoring_ends = false) {
    std::string cfg = kSmallCfg;  // for the ten classes of built-in pictures
    cfg.replace(cfg.find("filters=14"), 10, "filters=30");
    cfg.replace(cfg.find("classes=2"), 9, "classes=10");
    write_file(folder_ / "small.cfg", cfg);
    const Words words = {"yolov3",    "train",     "--data",         "synthetic:12",
                         "--model",   "small.cfg", "--imgsz",        "64",
                         "--batch",   "4",         "--epochs",       epochs,
                         "--ranks",   "2",         "--threads",      "1",
                         "--workers", "1",         "--project",      ".",
                         "--name",    "run",       "--rank-timeout", "10s",
                         "--val",     "false",     "--precision",    "f32"};
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const std::string folder = folder_.string(), log = log_path().string();
    starter_ = ::fork();
    ASSERT_GE(starter_, 0);
    if (starter_ > 0) return;
    if (ignoring_ends) ::signal(SIGCHLD, SIG_IGN);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(out, 1);
    ::dup2(out, 2);
    if (::chdir(folder.c_str()) == 0) ::execv(YOLOV3_PROGRAM, arguments.data());
    ::_exit(127);
  }

  void wait_for_two() {
    ASSERT_TRUE(within_a_minute([&] {
      ranks_.clear();
      std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", starter_));
      for (pid_t process; children >> process;) ranks_.push_back(process);
      return ranks_.size() == 2;
    })) << log();
  }

  // And the run is on the disk.
  void wait_until_they_train() {
    ASSERT_TRUE(within_a_minute([&] { return std::filesystem::exists(folder_ / "run/weights/last.h5"); })) << log();
    wait_for_two();
  }

  int exit_code() {
    int status = 0;
    const bool ended = within_a_minute([&] { return ::waitpid(starter_, &status, WNOHANG) == starter_; });
    EXPECT_TRUE(ended) << log();
    if (ended) starter_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  // The ranks are no children of the starter any more.
  void expect_no_ranks() {
    for (const pid_t process : ranks_) EXPECT_EQ(::waitpid(process, nullptr, WNOHANG), -1) << process << " lives on";
    ranks_.clear();
  }

  static bool within_a_minute(const std::function<bool()>& done) {
    for (int look = 0; look < 1200; ++look) {
      if (done()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }

  std::filesystem::path log_path() const { return folder_ / "log"; }
  std::string log() const { return read_file(log_path()); }

  const std::filesystem::path folder_ = make_test_folder("ranks");
  pid_t starter_ = -1;
  std::vector<pid_t> ranks_;
};

TEST_F(RankStarter, TwoProcessesMakeOneRun) {
  start("2");
  EXPECT_EQ(exit_code(), 0);
  EXPECT_SAYS(log(), "batches of 4 on 2 ranks");
  EXPECT_SAYS(log(), "finished, all 2 epochs are done");
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/weights/last.h5"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/report.html"));
}

TEST_F(RankStarter, SlowASignalEndsAllAndTheRunIsSaved) {
  start("1000000");
  wait_until_they_train();
  ::kill(starter_, SIGINT);
  EXPECT_EQ(exit_code(), 0) << log();
  EXPECT_SAYS(log(), "stopped by the process that started this one");
  EXPECT_SAYS(log(), "everything is saved");
  expect_no_ranks();
}

// Before the ranks have handlers: they hear of it when they have.
TEST_F(RankStarter, SlowASignalBeforeTheyAreReadyEndsThemToo) {
  start("1000000");
  wait_for_two();
  ::kill(starter_, SIGTERM);
  const int code = exit_code();
  EXPECT_TRUE(code == 0 || code == 1) << code << log();  // 1: ended while it waited for the other one
  EXPECT_EQ(log().find("was ended by signal"), std::string::npos) << log();
  expect_no_ranks();
}

TEST_F(RankStarter, SlowAStarterOfOnesWhoIgnoreEndsHearsOfThem) {
  start("1", /*ignoring_ends=*/true);
  EXPECT_EQ(exit_code(), 0) << log();
}

TEST_F(RankStarter, SlowAKilledRankEndsTheOther) {
  start("1000000");
  wait_until_they_train();
  ::kill(ranks_[1], SIGKILL);
  EXPECT_EQ(exit_code(), 128 + SIGKILL) << log();
  EXPECT_SAYS(log(), "rank 1 was ended by signal 9");
  EXPECT_SAYS(log(), "gives no sign of life");
  expect_no_ranks();
}

TEST_F(RankStarter, SlowTheyDoNotOutliveTheStarter) {
  start("1000000");
  wait_until_they_train();
  ::kill(starter_, SIGKILL);
  EXPECT_EQ(exit_code(), -1);
  for (const pid_t process : ranks_) {
    EXPECT_TRUE(within_a_minute([&] { return ::waitpid(process, nullptr, WNOHANG) == process; })) << log();
  }
  ranks_.clear();
  EXPECT_SAYS(log(), "everything is saved");
}

}  // namespace
}  // namespace yolov3
