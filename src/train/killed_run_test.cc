// Runs that are really killed, again and again, by SIGKILL in a process of their own, and resumed: their end must have
// the bits of the run that never was. The child is this same program, told by an environment variable what to train.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <thread>

#include "base/rng.h"
#include "base/text.h"
#include "format/model_file.h"
#include "train/checkpoint.h"
#include "train/test_run.h"
#include "train/trainer.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr const char* kChildVariable = "YOLOV3_KILLED_RUN";  // folder of the test, a blank, kind of run
constexpr int kChildPipe = 3;
constexpr size_t kBatchBytes = 4096;  // through the pipe after each batch; it holds four of them

class KilledRun : public TrainingRunTest {
 protected:
  // 10 batches an epoch, a save every few of them.
  TrainOptions run_of(const std::string& kind, const std::string& name) const {
    TrainOptions o = options(name, kind == "long" ? 20 : 6);
    o.data.data = "synthetic:40";
    o.resume = true;
    o.save_every_s = 0.02;
    o.save_period = 1;
    o.ema = 0.9;
    if (kind == "short") {
      o.optimizer = "sgd";
      o.nesterov = true;
      o.nominal_batch = 12;
      o.schedule = "steps";
      o.multi_scale = {32, 64};
      o.multi_scale_every = 3;
    }
    return o;
  }

  void expect_same_end(const std::string& kind, const std::string& name, const std::string& whole) const;
  pid_t start_child(const std::string& kind, int& from_child) const;
};

// --- The child --------------------------------------------------------------------------------------------------------

// Not a test: what the other process runs. Where the parent does not read, it waits, so that a parent that was kept waiting
// itself does not find the run at its end.
TEST_F(KilledRun, DISABLED_Child) {
  const char* told = std::getenv(kChildVariable);
  if (told == nullptr) GTEST_SKIP() << "only the other tests run this";
  const std::string text = told;
  const size_t blank = text.rfind(' ');
  fs::remove_all(folder_);
  folder_ = text.substr(0, blank);
  const TrainOptions o = run_of(text.substr(blank + 1), "killed");
  train(o, "", [](int64_t) {
    const std::string word(kBatchBytes, 'b');
    static_cast<void>(!::write(kChildPipe, word.data(), word.size()));
  });
  folder_ = "/nonexistent";  // the folder is the parent's
}

pid_t KilledRun::start_child(const std::string& kind, int& from_child) const {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Error("no pipe");
  ::fcntl(ends[0], F_SETPIPE_SZ, 4 * kBatchBytes);
  const std::string told = std::string(kChildVariable) + "=" + folder_.string() + " " + kind;
  const std::string temporary = "TMPDIR=" + folder_.string();
  std::vector<char*> environment{const_cast<char*>(told.c_str()), const_cast<char*>(temporary.c_str())};
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);
  const std::string log = (folder_ / "child.log").string();
  const char* arguments[] = {"train_test", "--gtest_filter=KilledRun.DISABLED_Child", "--gtest_also_run_disabled_tests",
                             nullptr};
  const pid_t child = ::fork();
  if (child == 0) {  // nothing but system calls: the parent has threads
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(out, 1);
    ::dup2(out, 2);
    if (ends[1] == kChildPipe) {
      ::fcntl(kChildPipe, F_SETFD, 0);
    } else {
      ::dup2(ends[1], kChildPipe);
    }
    ::execve("/proc/self/exe", const_cast<char**>(arguments), environment.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  from_child = ends[0];
  return child;
}

// --- Curves -----------------------------------------------------------------------------------------------------------

uint64_t take_varint(const std::string& bytes, size_t& at) {
  uint64_t value = 0;
  for (int shift = 0; at < bytes.size(); shift += 7) {
    const auto byte = static_cast<uint8_t>(bytes[at++]);
    value |= static_cast<uint64_t>(byte & 127) << shift;
    if (byte < 128) break;
  }
  return value;
}

struct Event {
  double wall_time = 0;
  int64_t step = 0;
  bool session_start = false;
  std::map<std::string, float> scalars;
};

// One message's fields: visit(number, numeric value, bytes).
template <class Visit>
void for_fields(const std::string& bytes, const Visit& visit) {
  for (size_t at = 0; at < bytes.size();) {
    const uint64_t tag = take_varint(bytes, at);
    uint64_t number = 0;
    std::string part;
    if ((tag & 7) == 0) {
      number = take_varint(bytes, at);
    } else {
      const size_t length = (tag & 7) == 1 ? 8 : (tag & 7) == 5 ? 4 : take_varint(bytes, at);
      part = bytes.substr(at, length);
      at += length;
      if ((tag & 7) != 2) std::memcpy(&number, part.data(), part.size());
    }
    visit(tag >> 3, number, part);
  }
}

Event parse_event(const std::string& bytes) {
  Event event;
  for_fields(bytes, [&](uint64_t field, uint64_t number, const std::string& part) {
    if (field == 1) std::memcpy(&event.wall_time, &number, 8);
    if (field == 2) event.step = static_cast<int64_t>(number);
    if (field == 7) event.session_start = part == std::string("\x08\x01");
    if (field != 5) return;
    for_fields(part, [&](uint64_t, uint64_t, const std::string& value) {
      std::string tag;
      for_fields(value, [&](uint64_t inner, uint64_t bits, const std::string& text) {
        if (inner == 1) tag = text;
        if (inner == 2) std::memcpy(&event.scalars[tag], &bits, 4);
      });
    });
  });
  return event;
}

// Of a killed process the last record may be cut.
std::vector<Event> events_in(const fs::path& file) {
  const std::string bytes = read_file(file);
  std::vector<Event> events;
  for (size_t at = 0; at + 16 <= bytes.size();) {
    uint64_t length = 0;
    std::memcpy(&length, bytes.data() + at, 8);
    if (bytes.size() - at - 16 < length) break;
    events.push_back(parse_event(bytes.substr(at + 12, length)));
    at += 16 + length;
  }
  return events;
}

using Curve = std::vector<std::pair<int64_t, float>>;

// What TensorBoard shows of a tag: all files in the order of time; a session's start takes back what stands at its step
// and later.
Curve curve(const fs::path& run, const std::string& tag) {
  std::vector<std::vector<Event>> files;
  for (const fs::path& file : list_files(run)) {
    if (file.filename().string().starts_with("events.")) files.push_back(events_in(file));
  }
  std::ranges::sort(files, {},
                    [](const std::vector<Event>& events) { return events.empty() ? 0 : events[0].wall_time; });
  Curve points;
  for (const std::vector<Event>& events : files) {
    for (const Event& event : events) {
      if (event.session_start) std::erase_if(points, [&](const auto& point) { return point.first >= event.step; });
      const auto found = event.scalars.find(tag);
      if (found != event.scalars.end()) points.emplace_back(event.step, found->second);
    }
  }
  return points;
}

// --- The tests --------------------------------------------------------------------------------------------------------

std::string rows_without_time(const fs::path& run) {
  std::string rows;
  const std::string text = read_file(run / "results.csv");
  for (const std::string_view line : split_lines(text)) {
    const auto fields = split(line, ',');
    for (size_t i = 0; i < fields.size(); ++i) rows += i == 1 ? "" : std::string(fields[i]) + ",";
    rows += "\n";
  }
  return rows;
}

void KilledRun::expect_same_end(const std::string& kind, const std::string& name, const std::string& whole) const {
  const TrainOptions o = run_of(kind, name);
  const fs::path got_run = o.project / name, want_run = o.project / whole;
  const Checkpoint got = *load_checkpoint(got_run / "weights"), want = *load_checkpoint(want_run / "weights");
  EXPECT_EQ(got.path.filename(), "last.h5");
  EXPECT_EQ(got.model.weights, want.model.weights);
  EXPECT_EQ(got.state.tensors, want.state.tensors);
  EXPECT_EQ(got.position.step, want.position.step);
  EXPECT_EQ(got.position.best, want.position.best);
  EXPECT_EQ(got.position.unimproved, want.position.unimproved);
  EXPECT_EQ(rows_without_time(got_run), rows_without_time(want_run));
  EXPECT_EQ(static_cast<int>(split_lines(read_file(got_run / "results.csv")).size()), 1 + o.epochs);
  EXPECT_EQ(load_model(got_run / "weights/best.h5").weights, load_model(want_run / "weights/best.h5").weights);
  for (int epoch = 0; epoch < o.epochs; ++epoch) {
    const std::string file = fmt::format("weights/epoch-{}.h5", epoch);
    EXPECT_EQ(load_model(got_run / file).weights, load_model(want_run / file).weights) << file;
  }
  for (const char* tag : {"loss/total_loss", "lr"}) {
    const Curve points = curve(got_run, tag);
    ASSERT_EQ(static_cast<int64_t>(points.size()), got.position.step) << tag << ": each step once";
    EXPECT_EQ(points, curve(want_run, tag)) << tag;
  }
  for (const fs::path& folder : {got_run, got_run / "weights"}) {
    for (const fs::path& file : list_files(folder)) {
      EXPECT_FALSE(file.filename().string().starts_with(".yolov3-unfinished")) << file;
    }
  }
}

// `kills` children, one after the other, each killed at a moment that `rng` draws: so many batches after its start and
// some of a batch's or a save's time, or, one in five, anywhere in its start. Returns how many were killed.
int kill_again_and_again(const std::function<pid_t(int&)>& start, int kills, Rng rng) {
  int killed = 0;
  for (int i = 0; i < kills; ++i) {
    int from_child = -1;
    const pid_t child = start(from_child);
    const int batches = rng.chance(0.2) ? 0 : static_cast<int>(rng.integer(1, 8));
    const auto more = std::chrono::microseconds(batches == 0 ? rng.integer(0, 800000) : rng.integer(0, 20000));
    std::string word(kBatchBytes, ' ');
    for (size_t left = static_cast<size_t>(batches) * kBatchBytes; left > 0;) {
      const ssize_t got = ::read(from_child, word.data(), std::min(left, kBatchBytes));
      if (got <= 0) break;
      left -= static_cast<size_t>(got);
    }
    std::this_thread::sleep_for(more);
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ::close(from_child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ++killed;
  }
  return killed;
}

TEST_F(KilledRun, StepsBeforeTheFirstCheckpointAreShownOnce) {
  TrainOptions o = options("exp", 1);
  train(o, "");
  for (const fs::path& file : list_files(o.project / "exp/weights")) fs::remove(file);
  o.resume = true;
  const int64_t steps = at_end(train(o, "")).position.step;
  EXPECT_EQ(static_cast<int64_t>(curve(o.project / "exp", "loss/total_loss").size()), steps);
}

TEST_F(KilledRun, SlowGivesTheBitsOfTheRunThatWasNot) {
  train(run_of("short", "whole"), "");
  const int killed = kill_again_and_again([&](int& from_child) { return start_child("short", from_child); }, 3, Rng(1));
  EXPECT_EQ(killed, 3) << read_file(folder_ / "child.log");
  EXPECT_EQ(train(run_of("short", "killed"), "").epochs_done, 6);
  expect_same_end("short", "killed", "whole");
}

TEST_F(KilledRun, SlowTwentyKillsInTwoHundredSteps) {
  train(run_of("long", "whole"), "");
  const int killed = kill_again_and_again([&](int& from_child) { return start_child("long", from_child); }, 20, Rng(2));
  EXPECT_EQ(killed, 20) << read_file(folder_ / "child.log");
  const TrainResult end = train(run_of("long", "killed"), "");
  EXPECT_EQ(end.epochs_done, 20);
  EXPECT_EQ(load_checkpoint(end.run_directory / "weights")->position.step, 200);
  expect_same_end("long", "killed", "whole");
}

}  // namespace
}  // namespace yolov3
