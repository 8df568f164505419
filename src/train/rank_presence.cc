#include "train/rank_presence.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/text.h"

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr double kWaitShare = 0.8;       // of --rank-timeout
constexpr double kHandshakeSeconds = 5;  // beside it, for the store
constexpr double kQuietSeconds = 3;      // of waiting, before it is said
constexpr double kLookSeconds = 0.1;

double seconds_since(Clock::time_point start) { return Seconds(Clock::now() - start).count(); }
void sleep_seconds(double seconds) { std::this_thread::sleep_for(Seconds(seconds)); }

// LibTorch appends stack traces.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string told(const RankPlace& place) {
  return fmt::format("rank {} of {} at {}:{}", place.rank, place.ranks, place.host, place.port);
}

void check_not_interrupted(const std::string& waiting_for) {
  check(interrupt_signal() == 0, "stopped by {} while waiting for {}", interrupt_name(), waiting_for);
}

}  // namespace

// --- Calls to the store -----------------------------------------------------------------------------------------------

// False where the call has not come back in time. It must own what it uses. heeding: what is waited for, where SIGINT and
// SIGTERM end that.
bool RankPresence::within(double seconds, std::function<void()> call, const std::string& heeding) {
  auto done = std::make_shared<std::promise<void>>();
  std::future<void> future = done->get_future();
  std::thread([done, call = std::move(call)] {
    try {
      call();
      done->set_value();
    } catch (...) {
      done->set_exception(std::current_exception());
    }
  }).detach();
  const auto start = Clock::now();
  bool said = false;
  while (future.wait_for(Seconds(kLookSeconds)) != std::future_status::ready) {
    const bool interrupted = !heeding.empty() && interrupt_signal() != 0;
    if (interrupted || seconds_since(start) > seconds) lost_ = unanswered_ = true;
    if (interrupted) check_not_interrupted(heeding);
    if (unanswered_) return false;
    if (!heeding.empty() && !said && seconds_since(start) > kQuietSeconds) {
      said = true;
      log_info("waiting for {} at {}:{}", heeding, record_->place.host, record_->place.port);
    }
  }
  future.get();
  return true;
}

// --- The beginning ----------------------------------------------------------------------------------------------------

RankPresence::RankPresence(const RankPlace& place, double timeout_s) : record_(std::make_shared<RankRecord>()) {
  record_->place = place;
  record_->timeout_s = timeout_s;
  open();
  greet();
  record_->stopped = false;
  std::thread([record = record_] { record->beat_until_stopped(); }).detach();
}

RankPresence::~RankPresence() { stop(); }

void RankPresence::stop() {
  std::unique_lock lock(record_->mutex);
  record_->stopping = true;
  record_->wake.notify_all();
  // It ends at once, unless its call does not come back.
  record_->wake.wait_for(lock, Seconds(lost_ ? kLookSeconds : 1), [this] { return record_->stopped; });
}

double RankPresence::patience() const { return kWaitShare * record_->timeout_s; }

void RankPresence::open() {
  const RankPlace& place = record_->place;
  std::string reason = "no answer";
  try {
    if (within(
            2 * record_->timeout_s + kHandshakeSeconds, [record = record_] { record->open(); }, "rank 0"))
      return;
  } catch (const std::exception& error) {
    if (interrupt_signal() != 0) throw;
    reason = first_line(error.what());
  }
  fail("rank {} of {}: {} {}:{} (MASTER_ADDR, MASTER_PORT): {}", place.rank, place.ranks,
       place.rank == 0 ? "cannot be met at" : "rank 0 is not to be reached at", place.host, place.port, reason);
}

// Who is here, and that they are of one mind on how many they are.
void RankPresence::greet() {
  const RankPlace& place = record_->place;
  const auto ask = [this](const std::function<void()>& call) {
    try {
      return within(record_->timeout_s, call, "rank 0");
    } catch (const std::exception&) {  // rank 0's process is gone
      if (interrupt_signal() != 0) throw;
      return false;
    }
  };
  const auto first = std::make_shared<bool>();
  check(ask([record = record_, first] { *first = record->sign_in(); }), "{}: rank 0 is there and does not answer",
        told(place));
  check(*first, "{}: another process is that rank already", told(place));

  const auto start = Clock::now();
  const auto found = std::make_shared<std::vector<std::string>>(static_cast<size_t>(place.ranks));
  std::vector<int> missing(1, 0);
  bool said = false;
  while (true) {
    const bool answered = ask([record = record_, found] { record->read_who_is_here(*found); });
    if (answered) {
      missing.clear();
      for (int rank = 0; rank < place.ranks; ++rank) {
        if ((*found)[static_cast<size_t>(rank)].empty()) missing.push_back(rank);
      }
    }
    if (missing.empty()) break;
    check_not_interrupted(list_of(missing));
    check(answered, "{}: {} did not come, and rank 0 does not answer any more", told(place), list_of(missing));
    check(seconds_since(start) < record_->timeout_s, "{}: {} did not come within {} (--rank-timeout)", told(place),
          list_of(missing), human_seconds(record_->timeout_s));
    if (!said && seconds_since(start) > kQuietSeconds) {
      said = true;
      log_info("waiting for {} at {}:{}", list_of(missing), place.host, place.port);
    }
    sleep_seconds(0.02);
  }
  for (const std::string& text : *found) {
    const size_t blank = text.find(' ');
    record_->names.push_back(text.substr(blank + 1));
    check(text.substr(0, blank) == std::to_string(place.ranks), "{} was started as one of {} ranks, rank {} of {}",
          record_->name(static_cast<int>(record_->names.size()) - 1), text.substr(0, blank), place.rank, place.ranks);
  }
}

RankGroup RankPresence::connect(const char* name, std::function<RankGroup(const RankStore&)> make) {
  const auto group = std::make_shared<RankGroup>();
  std::string reason = "no answer";
  try {
    const auto call = [record = record_, group, name = std::string(name), make = std::move(make)] {
      *group = make(c10::make_intrusive<c10d::PrefixStore>(name, record->store));
    };
    if (within(record_->timeout_s, call, "the others' connections")) return *group;
  } catch (const std::exception& error) {
    reason = first_line(error.what());
  }
  if (interrupt_signal() == 0) reason = fmt::format("the ranks met, but cannot be connected: {}", reason);
  tell_why(reason);
  fail("{}: {}", told(record_->place), reason);
}

void RankPresence::meet(const std::string& what) {
  struct Missing {
    int rank;
    int64_t beats = -1;
    Clock::time_point seen = Clock::now();
  };
  const int64_t meeting = ++meetings_;
  check(within(patience(), [record = record_, meeting] { record->come_to(meeting); }), "no answer");
  const auto missing = std::make_shared<std::vector<Missing>>();
  for (int rank = 0; rank < record_->place.ranks; ++rank) missing->push_back({rank});
  const auto look = [record = record_, missing, meeting] {
    std::erase_if(*missing, [&](const Missing& m) { return record->has_come(m.rank, meeting); });
    for (Missing& m : *missing) {
      const int64_t beats = record->beats_of(m.rank);
      if (beats != m.beats) m = {m.rank, beats};
    }
  };
  const auto start = Clock::now();
  double said = 0, pause = 0.001;
  while (true) {
    check(within(patience(), look), "no answer");
    if (missing->empty()) return;
    for (const Missing& m : *missing) check(seconds_since(m.seen) < patience(), "rank {} is silent", m.rank);
    check(!someone_left(), "another rank ended");
    if (seconds_since(start) - said > record_->timeout_s) {
      said = seconds_since(start);
      log_warning("waiting for {} since {} ({})", record_->name((*missing)[0].rank), human_seconds(said), what);
    }
    sleep_seconds(pause);
    pause = std::min(2 * pause, 0.05);
  }
}

// --- When something goes wrong, and the end ---------------------------------------------------------------------------

std::string RankPresence::who_is_lost(const std::string& reason) {
  const auto answer = std::make_shared<std::string>();
  bool answered = false;
  try {
    const auto ask = [record = record_, answer, reason] { *answer = record->who_is_lost(first_line(reason)); };
    answered = !unanswered_ && within(6 * record_->period() + 1, ask);
  } catch (const std::exception&) {  // rank 0's process is gone
  }
  lost_ = true;
  return answered ? *answer
                  : fmt::format("{} does not answer: killed, stopped or cut off ({}:{})", record_->name(0),
                                record_->place.host, record_->place.port);
}

void RankPresence::say_bye() {
  check(within(kRankLingerSeconds + 2, [record = record_] { record->part(); }), "no answer");
}

void RankPresence::tell_why(const std::string& error) {
  const std::string reason = lost_ ? error : "!" + error;
  lost_ = true;
  if (unanswered_) return;
  try {
    within(kRankLingerSeconds + 2, [record = record_, reason] { record->tell_why_left(reason); });
  } catch (const std::exception&) {  // rank 0 is gone: nobody is left to be told
  }
}

}  // namespace yolov3
