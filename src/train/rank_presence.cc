#include "train/rank_presence.h"

#include <netdb.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/text.h"

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;
using std::chrono::milliseconds;

// Of --rank-timeout.
constexpr double kWaitShare = 0.8;
constexpr double kBeatShare = 0.04;  // at most a second
constexpr double kLingerSeconds = 10;
constexpr double kHandshakeSeconds = 5;
constexpr double kQuietSeconds = 3;  // of waiting, before it is said
constexpr double kLookSeconds = 0.1;

std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }
std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
std::string key_of(const std::string& kind, int rank) { return fmt::format("{}/{}", kind, rank); }
double seconds_since(Clock::time_point start) { return Seconds(Clock::now() - start).count(); }
void sleep_seconds(double seconds) { std::this_thread::sleep_for(Seconds(seconds)); }
milliseconds to_ms(double seconds) { return milliseconds(static_cast<int64_t>(1000 * seconds)); }

// LibTorch appends stack traces.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string host_name() {
  char name[256] = "?";
  ::gethostname(name, sizeof(name) - 1);
  return name;
}

std::string list_of(const std::vector<int>& ranks) {
  return fmt::format("{} {}", ranks.size() == 1 ? "rank" : "ranks", fmt::join(ranks, ", "));
}

struct Beat {
  int64_t beats = -1, calls = 0;
};

}  // namespace

// What the thread of signs of life and those of calls use, which may outlive the RankPresence.
struct RankPresence::Shared {
  RankPlace place;
  double timeout_s = 0;
  RankStore store, beat_store;
  std::vector<std::string> names;  // of each rank: machine and process
  std::atomic<int64_t> calls = 0;
  std::atomic<bool> someone_left = false;

  std::mutex mutex;  // guards the two below
  std::condition_variable wake;
  bool stopping = false, stopped = true;  // the signs of life

  double period() const { return std::clamp(kBeatShare * timeout_s, 0.02, 1.0); }
  std::string here() const {
    return fmt::format("rank {} of {} at {}:{}", place.rank, place.ranks, place.host, place.port);
  }
  std::string name(int rank) const {
    const auto r = static_cast<size_t>(rank);
    return r < names.size() ? fmt::format("rank {} ({})", rank, names[r]) : fmt::format("rank {}", rank);
  }

  void beat_until_stopped();
  Beat beat_of(int rank) const;
  std::vector<std::string> reasons_of_left() const;
  std::string find_who_is_lost(const std::string& reason) const;
  void wait_for_byes() const;
  void wait_until_told() const;
};

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
  bool told = false;
  while (future.wait_for(Seconds(kLookSeconds)) != std::future_status::ready) {
    const bool interrupted = !heeding.empty() && interrupt_signal() != 0;
    if (interrupted || seconds_since(start) > seconds) {
      lost_ = unanswered_ = true;
      check(!interrupted, "stopped by {} while waiting for {}", interrupt_name(), heeding);
      return false;
    }
    if (!heeding.empty() && !told && seconds_since(start) > kQuietSeconds) {
      told = true;
      log_info("waiting for {} at {}:{}", heeding, shared_->place.host, shared_->place.port);
    }
  }
  future.get();
  return true;
}

// --- The beginning ----------------------------------------------------------------------------------------------------

RankPresence::RankPresence(const RankPlace& place, double timeout_s) : shared_(std::make_shared<Shared>()) {
  shared_->place = place;
  shared_->timeout_s = timeout_s;
  open_store();
  greet();
  shared_->stopped = false;
  std::thread([shared = shared_] { shared->beat_until_stopped(); }).detach();
}

RankPresence::~RankPresence() { stop(); }

void RankPresence::stop() {
  std::unique_lock lock(shared_->mutex);
  shared_->stopping = true;
  shared_->wake.notify_all();
  // It ends at once, unless its call does not come back.
  shared_->wake.wait_for(lock, Seconds(lost_ ? kLookSeconds : 1), [this] { return shared_->stopped; });
}

double RankPresence::patience() const { return kWaitShare * shared_->timeout_s; }
void RankPresence::count_call() { ++shared_->calls; }
bool RankPresence::someone_left() const { return shared_->someone_left; }

// A machine's name may be known a little later than its ranks start. LibTorch would complain every second.
std::optional<std::string> why_unknown(const RankPlace& place) {
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(place.host.c_str(), nullptr, nullptr, &found);
  if (failed == 0) ::freeaddrinfo(found);
  if (failed == 0) return std::nullopt;
  return failed == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(failed);
}

void RankPresence::open_store() {
  const RankPlace& place = shared_->place;
  const bool server = place.rank == 0;
  const double timeout_s = shared_->timeout_s;
  const auto open = [shared = shared_, server] {
    const auto start = Clock::now();
    while (const std::optional<std::string> reason = why_unknown(shared->place)) {
      check(seconds_since(start) < shared->timeout_s, "{}", *reason);
      sleep_seconds(kLookSeconds);
    }
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(shared->place.port);
    options.isServer = server;
    options.waitWorkers = false;
    options.timeout = to_ms(shared->timeout_s);
    shared->store = c10::make_intrusive<c10d::TCPStore>(shared->place.host, options);
    options.isServer = false;
    shared->beat_store = c10::make_intrusive<c10d::TCPStore>(shared->place.host, options);
  };
  std::string reason = fmt::format("no answer in {}", human_seconds(timeout_s));
  try {
    if (within(2 * timeout_s + kHandshakeSeconds, open, "rank 0")) return;
  } catch (const std::exception& error) {
    if (interrupt_signal() != 0) throw;
    reason = first_line(error.what());
  }
  fail("rank {} of {}: {} {}:{} (MASTER_ADDR, MASTER_PORT): {}", place.rank, place.ranks,
       server ? "cannot be met at" : "rank 0 is not to be reached at", place.host, place.port, reason);
}

// Who is here, and that they are of one mind on how many they are.
void RankPresence::greet() {
  const RankPlace& place = shared_->place;
  const std::string here = shared_->here();
  const auto ask = [this](const std::function<void()>& call) {
    try {
      return within(shared_->timeout_s, call, "rank 0");
    } catch (const std::exception&) {  // rank 0's process is gone
      if (interrupt_signal() != 0) throw;
      return false;
    }
  };
  const auto count = std::make_shared<int64_t>();
  const std::string mine = fmt::format("{} {} process {}", place.ranks, host_name(), ::getpid());
  const bool told = ask([shared = shared_, count, mine, key = key_of("here", place.rank)] {
    *count = shared->store->add(key + "/count", 1);
    if (*count == 1) shared->store->set(key, bytes_of(mine));
  });
  check(told, "{}: rank 0 is there and does not answer", here);
  check(*count == 1, "{}: another process is that rank already", here);

  const auto start = Clock::now();
  const auto found = std::make_shared<std::vector<std::string>>(static_cast<size_t>(place.ranks));
  std::vector<int> missing(1, 0);
  bool waiting_told = false;
  while (true) {
    const bool answered = ask([shared = shared_, found] {
      for (size_t rank = 0; rank < found->size(); ++rank) {
        const std::string key = key_of("here", static_cast<int>(rank));
        if ((*found)[rank].empty() && shared->store->check({key})) (*found)[rank] = text_of(shared->store->get(key));
      }
    });
    if (answered) {
      missing.clear();
      for (int rank = 0; rank < place.ranks; ++rank) {
        if ((*found)[static_cast<size_t>(rank)].empty()) missing.push_back(rank);
      }
    }
    if (missing.empty()) break;
    check(interrupt_signal() == 0, "stopped by {} while waiting for {}", interrupt_name(), list_of(missing));
    check(answered, "{}: {} did not come, and rank 0 does not answer any more", here, list_of(missing));
    check(seconds_since(start) < shared_->timeout_s, "{}: {} did not come within {} (--rank-timeout)", here,
          list_of(missing), human_seconds(shared_->timeout_s));
    if (!waiting_told && seconds_since(start) > kQuietSeconds) {
      waiting_told = true;
      log_info("waiting for {} at {}:{}", list_of(missing), place.host, place.port);
    }
    sleep_seconds(0.02);
  }
  for (const std::string& text : *found) {
    const size_t blank = text.find(' ');
    shared_->names.push_back(text.substr(blank + 1));
    check(text.substr(0, blank) == std::to_string(place.ranks), "{} was started as one of {} ranks, rank {} of {}",
          shared_->name(static_cast<int>(shared_->names.size()) - 1), text.substr(0, blank), place.rank, place.ranks);
  }
}

RankGroup RankPresence::connect(const char* name, std::function<RankGroup(const RankStore&)> make) {
  const auto group = std::make_shared<RankGroup>();
  std::string reason = "no answer";
  try {
    const auto call = [shared = shared_, group, name = std::string(name), make = std::move(make)] {
      *group = make(c10::make_intrusive<c10d::PrefixStore>(name, shared->store));
    };
    if (within(shared_->timeout_s, call, "the others' connections")) return *group;
  } catch (const std::exception& error) {
    reason = first_line(error.what());
  }
  if (interrupt_signal() == 0) reason = fmt::format("the ranks met, but cannot be connected: {}", reason);
  tell_why(reason);
  fail("{}: {}", shared_->here(), reason);
}

void RankPresence::Shared::beat_until_stopped() {
  std::unique_lock lock(mutex);
  try {
    for (int64_t beats = 0; !stopping; ++beats) {
      lock.unlock();
      beat_store->set(key_of("beat", place.rank), bytes_of(fmt::format("{} {}", beats, calls.load())));
      if (beat_store->check({"over"})) someone_left = true;
      lock.lock();
      wake.wait_for(lock, Seconds(period()), [&] { return stopping; });
    }
  } catch (const std::exception&) {  // rank 0 is gone: what waits for it finds out, and so does meet()
    if (!lock.owns_lock()) lock.lock();
    someone_left = !stopping;
  }
  stopped = true;
  wake.notify_all();
}

// --- On the way -------------------------------------------------------------------------------------------------------

Beat RankPresence::Shared::beat_of(int rank) const {
  const std::string key = key_of("beat", rank);
  if (!store->check({key})) return {};
  const std::string text = text_of(store->get(key));
  const size_t blank = text.find(' ');
  return {parse_integer(text.substr(0, blank)).value_or(-1), parse_integer(text.substr(blank + 1)).value_or(0)};
}

void RankPresence::meet(const std::string& what) {
  struct Missing {
    int rank;
    int64_t beats = -1;
    Clock::time_point seen = Clock::now();
  };
  const int64_t meeting = ++meetings_;
  const std::string place = fmt::format("meet/{}", meeting);
  const auto missing = std::make_shared<std::vector<Missing>>();
  for (int rank = 0; rank < shared_->place.ranks; ++rank) missing->push_back({rank});
  const auto come = [shared = shared_, place, meeting] {
    shared->store->set(key_of(place, shared->place.rank), {1});
    // Whoever has come to this meeting has left the one before the last.
    if (meeting > 2) shared->store->deleteKey(key_of(fmt::format("meet/{}", meeting - 2), shared->place.rank));
  };
  check(within(patience(), come), "no answer");
  const auto look = [shared = shared_, missing, place] {
    std::erase_if(*missing, [&](const Missing& m) { return shared->store->check({key_of(place, m.rank)}); });
    for (Missing& m : *missing) {
      const int64_t beats = shared->beat_of(m.rank).beats;
      if (beats != m.beats) m = {m.rank, beats};
    }
  };
  const auto start = Clock::now();
  double told = 0, pause = 0.001;
  while (true) {
    check(within(patience(), look), "no answer");
    if (missing->empty()) break;
    for (const Missing& m : *missing) check(seconds_since(m.seen) < patience(), "rank {} is silent", m.rank);
    check(!someone_left(), "another rank ended");
    if (seconds_since(start) - told > shared_->timeout_s) {
      told = seconds_since(start);
      log_warning("waiting for {} since {} ({})", shared_->name((*missing)[0].rank), human_seconds(told), what);
    }
    sleep_seconds(pause);
    pause = std::min(2 * pause, 0.05);
  }
}

// --- When something goes wrong ----------------------------------------------------------------------------------------

// Empty for those that did not end.
std::vector<std::string> RankPresence::Shared::reasons_of_left() const {
  std::vector<std::string> reasons(static_cast<size_t>(place.ranks));
  for (int rank = 0; rank < place.ranks; ++rank) {
    const std::string key = key_of("left", rank);
    if (store->check({key})) reasons[static_cast<size_t>(rank)] = text_of(store->get(key));
  }
  return reasons;
}

// A reason begins with ! where it is the rank's own, not that another one was lost.
std::string RankPresence::Shared::find_who_is_lost(const std::string& reason) const {
  std::vector<Beat> before;
  std::string hearsay;
  for (int rank = 0; rank < place.ranks; ++rank) before.push_back(beat_of(rank));
  for (int look = 0; look < 4; ++look) {
    if (look > 0) sleep_seconds(period());
    const std::vector<std::string> reasons = reasons_of_left();
    for (int rank = 0; rank < place.ranks; ++rank) {
      const std::string& text = reasons[static_cast<size_t>(rank)];
      if (rank == place.rank || text.empty()) continue;
      if (text[0] == '!') return fmt::format("{} ended: {}", name(rank), text.substr(1));
      hearsay = text;
    }
  }
  std::vector<int> silent, late;
  for (int rank = 0; rank < place.ranks; ++rank) {
    const Beat now = beat_of(rank);
    if (rank == place.rank) continue;
    if (now.beats == before[static_cast<size_t>(rank)].beats) silent.push_back(rank);
    if (now.calls < calls) late.push_back(rank);
  }
  if (!hearsay.empty()) return hearsay;
  if (!silent.empty()) {
    return fmt::format("{} gives no sign of life: killed, stopped or cut off{}", name(silent[0]),
                       silent.size() > 1 ? fmt::format(" (of these: {})", list_of(silent)) : "");
  }
  if (!late.empty()) {
    return fmt::format("{} stalls: it is alive, but has not come to where the others wait{}", name(late[0]),
                       late.size() > 1 ? fmt::format(" (of these: {})", list_of(late)) : "");
  }
  return fmt::format("the ranks lost each other: {}", reason);
}

std::string RankPresence::who_is_lost(const std::string& reason) {
  const auto answer = std::make_shared<std::string>();
  bool answered = false;
  try {
    const auto ask = [shared = shared_, answer, reason] { *answer = shared->find_who_is_lost(first_line(reason)); };
    answered = !unanswered_ && within(6 * shared_->period() + 1, ask);
  } catch (const std::exception&) {  // rank 0's process is gone
  }
  lost_ = true;
  return answered ? *answer
                  : fmt::format("{} does not answer: killed, stopped or cut off ({}:{})", shared_->name(0),
                                shared_->place.host, shared_->place.port);
}

// --- The end ----------------------------------------------------------------------------------------------------------

void RankPresence::Shared::wait_for_byes() const {
  const auto start = Clock::now();
  for (int rank = 1; rank < place.ranks; ++rank) {
    while (!store->check({key_of("bye", rank)}) && seconds_since(start) < kLingerSeconds) sleep_seconds(0.005);
  }
}

void RankPresence::say_bye() {
  const auto call = [shared = shared_] {
    if (shared->place.rank == 0) return shared->wait_for_byes();
    shared->store->set(key_of("bye", shared->place.rank), {1});
  };
  check(within(kLingerSeconds + 2, call), "no answer");
}

// Rank 0, until each of the others has told its own reason, or gives no sign of life.
void RankPresence::Shared::wait_until_told() const {
  const auto start = Clock::now();
  for (int rank = 1; rank < place.ranks; ++rank) {
    const Beat beat = beat_of(rank);
    const auto looked = Clock::now();
    while (seconds_since(start) < kLingerSeconds && !store->check({key_of("left", rank)}) &&
           (beat_of(rank).beats != beat.beats || seconds_since(looked) < 4 * period())) {
      sleep_seconds(0.02);
    }
  }
}

void RankPresence::tell_why(const std::string& error) {
  const std::string reason = lost_ ? error : "!" + error;
  lost_ = true;
  if (unanswered_) return;
  try {
    within(kLingerSeconds + 2, [shared = shared_, reason] {
      shared->store->set(key_of("left", shared->place.rank), bytes_of(reason));
      shared->store->set("over", {1});
      if (shared->place.rank == 0) shared->wait_until_told();
    });
  } catch (const std::exception&) {  // rank 0 is gone: nobody is left to be told
  }
}

}  // namespace yolov3
