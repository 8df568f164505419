// Ranks that are real processes, one of which is killed, stopped or cut off: the others end and name it, and the run goes
// on from where it was. The children are this same program, told by an environment variable which rank to be.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "base/log_rank.h"
#include "base/text.h"
#include "train/checkpoint.h"
#include "train/test_ranks.h"
#include "train/test_run.h"
#include "train/trainer.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr const char* kChildVariable = "YOLOV3_RANK_CHILD";  // name of the run, rank, ranks, host, port, folder
constexpr int kChildPipe = 3;

struct Child {
  pid_t process = -1;
  int pipe = -1;  // a byte a batch
};

class KilledRanks : public TrainingRunTest {
 protected:
  // 7 steps an epoch, the last of 4 pictures.
  TrainOptions run_of(const std::string& name) const {
    TrainOptions o = options(name, 6);
    o.data.data = "synthetic:40";
    o.batch = 6;
    o.ema = 0.9;
    o.resume = true;
    o.sync_bn = true;
    o.workers = 1;
    o.rank_timeout_s = 15;
    return o;
  }
  fs::path log_of(const std::string& run, int rank) const { return folder_ / fmt::format("{}-{}.log", run, rank); }

  Child start(const std::string& run, const RankPlace& place, const std::string& network = "") const;
  std::vector<Child> start_all(const std::string& run, int ranks) const;
  void run_all(const std::string& run, int ranks) const;
  void expect_same_end(const std::string& run, const std::string& other) const;
  void expect_ended(const Child& child, const std::string& run, int rank, const std::string& words) const;
};

// Not a test: what the other processes run.
TEST_F(KilledRanks, DISABLED_Child) {
  const char* told = std::getenv(kChildVariable);
  if (told == nullptr) GTEST_SKIP() << "only the other tests run this";
  const std::string text = told;
  const std::vector<std::string_view> words = split(text, ' ');
  fs::remove_all(folder_);
  folder_ = std::string(words.at(5));
  TrainOptions o = run_of(std::string(words.at(0)));
  o.place.rank = static_cast<int>(*parse_integer(words.at(1)));
  o.place.ranks = static_cast<int>(*parse_integer(words.at(2)));
  o.place.host = std::string(words.at(3));
  o.place.port = static_cast<int>(*parse_integer(words.at(4)));
  log_as_rank(o.place.rank);
  std::string error;
  try {
    train(o, "", [](int64_t) { static_cast<void>(!::write(kChildPipe, "b", 1)); });
  } catch (const std::exception& e) {
    error = e.what();
  }
  folder_ = "/nonexistent";  // the folder is the parent's
  ASSERT_EQ(error, "");
}

// network: the namespace that it lives in, or empty.
Child KilledRanks::start(const std::string& run, const RankPlace& place, const std::string& network) const {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Error("no pipe");
  const std::string program = fs::read_symlink("/proc/self/exe").string();
  const std::string told = fmt::format("{}={} {} {} {} {} {}", kChildVariable, run, place.rank, place.ranks, place.host,
                                       place.port, folder_.string());
  const std::string temporary = "TMPDIR=" + folder_.string(), wait = "OMP_WAIT_POLICY=passive";
  std::vector<char*> environment;
  for (const std::string& entry : {std::cref(told), std::cref(temporary), std::cref(wait)}) {
    environment.push_back(const_cast<char*>(entry.c_str()));
  }
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);
  std::vector<std::string> words;
  if (!network.empty()) words = {"/usr/bin/env", "ip", "netns", "exec", network};
  for (const char* word : {"--gtest_filter=KilledRanks.DISABLED_Child", "--gtest_also_run_disabled_tests"}) {
    if (words.empty() || words.back() == network) words.push_back(program);
    words.push_back(word);
  }
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const std::string log = log_of(run, place.rank).string();
  const pid_t child = ::fork();
  if (child == 0) {  // nothing but system calls: the parent has threads
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(out, 1);
    ::dup2(out, 2);
    if (ends[1] == kChildPipe) {
      ::fcntl(kChildPipe, F_SETFD, 0);
    } else {
      ::dup2(ends[1], kChildPipe);
    }
    ::execve(arguments[0], arguments.data(), environment.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  return {child, ends[0]};
}

std::vector<Child> KilledRanks::start_all(const std::string& run, int ranks) const {
  RankPlace place;
  place.ranks = ranks;
  place.port = free_port();
  std::vector<Child> children;
  for (place.rank = 0; place.rank < ranks; ++place.rank) children.push_back(start(run, place));
  return children;
}

int exit_code_of(const Child& child) {
  int status = 0;
  ::waitpid(child.process, &status, 0);
  ::close(child.pipe);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void wait_for_batches(const Child& child, int batches) {
  for (char byte; batches > 0 && ::read(child.pipe, &byte, 1) == 1; --batches) {
  }
}

void KilledRanks::run_all(const std::string& run, int ranks) const {
  const std::vector<Child> children = start_all(run, ranks);
  for (int rank = 0; rank < ranks; ++rank) {
    EXPECT_EQ(exit_code_of(children[static_cast<size_t>(rank)]), 0) << read_file(log_of(run, rank));
  }
}

void KilledRanks::expect_ended(const Child& child, const std::string& run, int rank, const std::string& words) const {
  EXPECT_EQ(exit_code_of(child), 1);
  const std::string log = read_file(log_of(run, rank));
  EXPECT_NE(log.find(words), std::string::npos) << log;
}

void KilledRanks::expect_same_end(const std::string& run, const std::string& other) const {
  const Checkpoint got = *load_checkpoint(folder_ / "runs" / run / "weights");
  const Checkpoint want = *load_checkpoint(folder_ / "runs" / other / "weights");
  EXPECT_EQ(got.position.step, 42);
  EXPECT_EQ(got.position.epoch, 6);
  EXPECT_EQ(got.model.weights, want.model.weights);
  EXPECT_EQ(got.state.tensors, want.state.tensors);
}

TEST_F(KilledRanks, SlowOneOfThreeEndsTheOthersAndTheRunGoesOn) {
  run_all("whole", 3);
  const std::vector<Child> children = start_all("killed", 3);
  wait_for_batches(children[1], 12);
  ::kill(children[1].process, SIGKILL);
  for (const int rank : {0, 2}) expect_ended(children[static_cast<size_t>(rank)], "killed", rank, "rank 1 (");
  EXPECT_EQ(exit_code_of(children[1]), 128 + SIGKILL);
  ASSERT_TRUE(load_checkpoint(folder_ / "runs/killed/weights").has_value());
  EXPECT_GE(load_checkpoint(folder_ / "runs/killed/weights")->position.step, 11) << "nothing is lost";
  run_all("killed", 3);
  expect_same_end("killed", "whole");
}

TEST_F(KilledRanks, SlowTheFirstOfThreeEndsTheOthersAndTwoGoOn) {
  const std::vector<Child> children = start_all("killed", 3);
  wait_for_batches(children[0], 12);
  ::kill(children[0].process, SIGKILL);
  for (const int rank : {1, 2}) expect_ended(children[static_cast<size_t>(rank)], "killed", rank, "rank 0 (");
  EXPECT_EQ(exit_code_of(children[0]), 128 + SIGKILL);
  ASSERT_TRUE(load_checkpoint(folder_ / "runs/killed/weights").has_value());
  EXPECT_EQ(load_checkpoint(folder_ / "runs/killed/weights")->position.step, 7) << "the end of the first epoch";
  run_all("killed", 2);
  EXPECT_EQ(load_checkpoint(folder_ / "runs/killed/weights")->position.step, 42);
}

TEST_F(KilledRanks, SlowOneThatIsStoppedIsNamed) {
  const std::vector<Child> children = start_all("stopped", 3);
  wait_for_batches(children[2], 9);
  ::kill(children[2].process, SIGSTOP);
  for (const int rank : {0, 1}) expect_ended(children[static_cast<size_t>(rank)], "stopped", rank, "rank 2 (");
  ::kill(children[2].process, SIGKILL);
  EXPECT_EQ(exit_code_of(children[2]), 128 + SIGKILL);
}

TEST_F(KilledRanks, SlowATermSignalToOneSavesAndEndsAll) {
  const std::vector<Child> children = start_all("term", 3);
  wait_for_batches(children[2], 10);
  ::kill(children[2].process, SIGTERM);
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(exit_code_of(children[static_cast<size_t>(rank)]), 0) << read_file(log_of("term", rank));
  }
  EXPECT_GE(load_checkpoint(folder_ / "runs/term/weights")->position.step, 10);
  run_all("term", 1);
  EXPECT_EQ(load_checkpoint(folder_ / "runs/term/weights")->position.step, 42);
}

// --- Two machines -----------------------------------------------------------------------------------------------------

// Two network namespaces with a cable between them.
class RankNetwork : public KilledRanks {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root makes network namespaces";
    const std::string a = "yolov3a" + id_, b = "yolov3b" + id_;
    const std::string commands = fmt::format(
        "ip netns add {0} && ip netns add {1} && ip link add va{2} netns {0} type veth peer name vb{2} netns {1} && "
        "ip -n {0} addr add 10.77.0.1/24 dev va{2} && ip -n {1} addr add 10.77.0.2/24 dev vb{2} && "
        "ip -n {0} link set lo up && ip -n {1} link set lo up && ip -n {0} link set va{2} up && "
        "ip -n {1} link set vb{2} up",
        a, b, id_);
    if (!run(commands)) GTEST_SKIP() << "no network namespaces here";
  }
  ~RankNetwork() override {
    run("ip netns del yolov3a" + id_);
    run("ip netns del yolov3b" + id_);
  }
  static bool run(const std::string& command) {
    return std::system(("{ " + command + "; } > /dev/null 2>&1").c_str()) == 0;
  }
  std::vector<Child> start_both(const std::string& run) const {
    RankPlace place;
    place.ranks = 2;
    place.host = "10.77.0.1";
    std::vector<Child> children;
    children.push_back(start(run, place, "yolov3a" + id_));
    place.rank = 1;
    children.push_back(start(run, place, "yolov3b" + id_));
    return children;
  }

  const std::string id_ = std::to_string(::getpid() % 100000);
};

TEST_F(RankNetwork, SlowTwoMachinesTrainAsTwoProcessesDo) {
  run_all("loopback", 2);
  const std::vector<Child> children = start_both("network");
  for (int rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(exit_code_of(children[static_cast<size_t>(rank)]), 0) << read_file(log_of("network", rank));
  }
  expect_same_end("network", "loopback");
}

TEST_F(RankNetwork, SlowACableThatIsCutEndsBoth) {
  const std::vector<Child> children = start_both("cut");
  wait_for_batches(children[0], 10);
  ASSERT_TRUE(run("ip -n yolov3b" + id_ + " link set vb" + id_ + " down"));
  expect_ended(children[0], "cut", 0, "rank 1 (");
  expect_ended(children[1], "cut", 1, "rank 0 (");
}

TEST_F(RankNetwork, SlowAMachineThatIsKilledEndsTheOther) {
  const std::vector<Child> children = start_both("lost");
  wait_for_batches(children[1], 10);
  ::kill(children[1].process, SIGKILL);
  expect_ended(children[0], "lost", 0, "rank 1 (");
  EXPECT_EQ(exit_code_of(children[1]), 128 + SIGKILL);
}

}  // namespace
}  // namespace yolov3
