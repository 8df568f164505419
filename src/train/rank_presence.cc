#include "train/rank_presence.h"

#include <netdb.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <memory>
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

class Interrupted : public Error {
 public:
  explicit Interrupted(const std::string& waiting_for)
      : Error(fmt::format("stopped by signal {} while waiting for {}", interrupt_signal(), waiting_for)) {}
};

void check_not_interrupted(const std::string& waiting_for) {
  if (interrupt_signal() != 0) throw Interrupted(waiting_for);
}

}  // namespace

// --- The beginning ----------------------------------------------------------------------------------------------------

RankPresence::RankPresence(const RankPlace& place, double timeout_s) : place_(place), timeout_s_(timeout_s) {
  store_ = open_store(place.rank == 0);
  greet();
  beat_store_ = open_store(false);
  beats_ = std::thread(&RankPresence::beat_until_stopped, this);
}

RankPresence::~RankPresence() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (beats_.joinable()) lost_ ? beats_.detach() : beats_.join();
}

double RankPresence::patience() const { return kWaitShare * timeout_s_; }
double RankPresence::period() const { return std::clamp(kBeatShare * timeout_s_, 0.02, 1.0); }

std::string RankPresence::name(int rank) const {
  const auto r = static_cast<size_t>(rank);
  return r < names_.size() ? fmt::format("rank {} ({})", rank, names_[r]) : fmt::format("rank {}", rank);
}

// A machine's name may be known a little later than its ranks start. LibTorch would complain every second.
void RankPresence::wait_for_name() const {
  const auto start = Clock::now();
  while (true) {
    addrinfo* found = nullptr;
    const int failed = ::getaddrinfo(place_.host.c_str(), nullptr, nullptr, &found);
    if (failed == 0) return ::freeaddrinfo(found);
    check_not_interrupted("rank 0");
    check(seconds_since(start) < timeout_s_, "rank {} of {}: MASTER_ADDR {}: {}", place_.rank, place_.ranks,
          place_.host, ::gai_strerror(failed));
    sleep_seconds(kLookSeconds);
  }
}

RankStore RankPresence::open_store(bool server) {
  wait_for_name();
  const auto store = std::make_shared<RankStore>();
  std::string reason = "no answer";
  try {
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(place_.port);
    options.isServer = server;
    options.waitWorkers = false;
    options.timeout = to_ms(timeout_s_);
    const auto open = [store, options, host = place_.host] {
      *store = c10::make_intrusive<c10d::TCPStore>(host, options);
    };
    if (within(timeout_s_ + kHandshakeSeconds, open, "rank 0")) return *store;
  } catch (const Interrupted&) {
    throw;
  } catch (const std::exception& error) {
    reason = first_line(error.what());
  }
  fail("rank {} of {}: {} {}:{} within {}: {}", place_.rank, place_.ranks,
       server ? "cannot be met at" : "rank 0 is not to be reached at", place_.host, place_.port,
       human_seconds(timeout_s_), reason);
}

// Who is here, and that they are of one mind on how many they are. What a call left behind uses is its own.
void RankPresence::greet() {
  const std::string here = fmt::format("rank {} of {} at {}:{}", place_.rank, place_.ranks, place_.host, place_.port);
  const auto ask = [this](const std::function<void()>& call) {
    try {
      return within(timeout_s_, call);
    } catch (const std::exception&) {  // rank 0's process is gone
      return false;
    }
  };
  const auto count = std::make_shared<int64_t>();
  const std::string mine = fmt::format("{} {} process {}", place_.ranks, host_name(), ::getpid());
  const bool told = ask([store = store_, count, mine, key = key_of("here", place_.rank)] {
    *count = store->add(key + "/count", 1);
    if (*count == 1) store->set(key, bytes_of(mine));
  });
  check(told, "{}: rank 0 is there and does not answer", here);
  check(*count == 1, "{}: another process is that rank already", here);

  const auto start = Clock::now();
  const auto found = std::make_shared<std::vector<std::string>>(static_cast<size_t>(place_.ranks));
  std::vector<int> missing(1, 0);
  while (true) {
    const bool answered = ask([store = store_, found] {
      for (size_t rank = 0; rank < found->size(); ++rank) {
        const std::string key = key_of("here", static_cast<int>(rank));
        if ((*found)[rank].empty() && store->check({key})) (*found)[rank] = text_of(store->get(key));
      }
    });
    if (answered) {
      missing.clear();
      for (int rank = 0; rank < place_.ranks; ++rank) {
        if ((*found)[static_cast<size_t>(rank)].empty()) missing.push_back(rank);
      }
    }
    if (missing.empty()) break;
    check_not_interrupted(list_of(missing));
    check(answered, "{}: {} did not come, and rank 0 does not answer any more", here, list_of(missing));
    check(seconds_since(start) < timeout_s_, "{}: {} did not come within {} (--rank-timeout)", here, list_of(missing),
          human_seconds(timeout_s_));
    sleep_seconds(0.02);
  }
  for (const std::string& text : *found) {
    const size_t blank = text.find(' ');
    names_.push_back(text.substr(blank + 1));
    check(text.substr(0, blank) == std::to_string(place_.ranks), "{} was started as one of {} ranks, rank {} of {}",
          name(static_cast<int>(names_.size()) - 1), text.substr(0, blank), place_.rank, place_.ranks);
  }
}

void RankPresence::beat_until_stopped() {
  std::unique_lock lock(mutex_);
  try {
    for (int64_t beats = 0; !stopping_; ++beats) {
      lock.unlock();
      beat_store_->set(key_of("beat", place_.rank), bytes_of(fmt::format("{} {}", beats, calls_.load())));
      if (beat_store_->check({"over"})) someone_left_ = true;
      lock.lock();
      wake_.wait_for(lock, Seconds(period()), [&] { return stopping_; });
    }
  } catch (const std::exception&) {  // rank 0 is gone: what waits for it finds out, and so does meet()
    if (!lock.owns_lock()) lock.lock();
    someone_left_ = !stopping_;
  }
}

// False where the call has not come back in time. heeding: what is waited for, where SIGINT and SIGTERM end that.
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
  while (future.wait_for(Seconds(kLookSeconds)) != std::future_status::ready) {
    if (!heeding.empty()) check_not_interrupted(heeding);
    if (seconds_since(start) > seconds) {
      lost_ = unanswered_ = true;
      return false;
    }
  }
  future.get();
  return true;
}

// --- On the way -------------------------------------------------------------------------------------------------------

RankPresence::Beat RankPresence::beat_of(int rank) const {
  const std::string key = key_of("beat", rank);
  if (!store_->check({key})) return {};
  const std::string text = text_of(store_->get(key));
  const size_t blank = text.find(' ');
  return {parse_integer(text.substr(0, blank)).value_or(-1), parse_integer(text.substr(blank + 1)).value_or(0)};
}

void RankPresence::meet(const std::string& what) {
  struct Missing {
    int rank;
    int64_t beats = -1;
    Clock::time_point seen = Clock::now();
  };
  const std::string place = fmt::format("meet/{}", ++meetings_);
  const auto missing = std::make_shared<std::vector<Missing>>();
  for (int rank = 0; rank < place_.ranks; ++rank) missing->push_back({rank});
  const auto set_mine = [this, place] { store_->set(key_of(place, place_.rank), {1}); };
  check(within(patience(), set_mine), "no answer");
  const auto look = [this, missing, place] {
    std::erase_if(*missing, [&](const Missing& m) { return store_->check({key_of(place, m.rank)}); });
    for (Missing& m : *missing) {
      const int64_t beats = beat_of(m.rank).beats;
      if (beats != m.beats) m = {m.rank, beats};
    }
  };
  const auto start = Clock::now();
  double told = 0, pause = 0.001;
  while (true) {
    check(within(patience(), look), "no answer");
    if (missing->empty()) break;
    for (const Missing& m : *missing) check(seconds_since(m.seen) < patience(), "rank {} is silent", m.rank);
    check(!someone_left_, "another rank ended");
    if (seconds_since(start) - told > timeout_s_) {
      told = seconds_since(start);
      log_warning("waiting for {} since {} ({})", name((*missing)[0].rank), human_seconds(told), what);
    }
    sleep_seconds(pause);
    pause = std::min(2 * pause, 0.05);
  }
  if (meetings_ > 2) store_->deleteKey(key_of(fmt::format("meet/{}", meetings_ - 2), place_.rank));
}

// --- When something goes wrong ----------------------------------------------------------------------------------------

// Empty for those that did not end.
std::vector<std::string> RankPresence::reasons_of_left() const {
  std::vector<std::string> reasons(static_cast<size_t>(place_.ranks));
  for (int rank = 0; rank < place_.ranks; ++rank) {
    const std::string key = key_of("left", rank);
    if (store_->check({key})) reasons[static_cast<size_t>(rank)] = text_of(store_->get(key));
  }
  return reasons;
}

// A reason begins with ! where it is the rank's own, not that another one was lost.
std::string RankPresence::ask_store(const std::string& reason) {
  std::vector<Beat> before;
  std::string hearsay;
  for (int rank = 0; rank < place_.ranks; ++rank) before.push_back(beat_of(rank));
  for (int look = 0; look < 4; ++look) {
    if (look > 0) sleep_seconds(period());
    const std::vector<std::string> reasons = reasons_of_left();
    for (int rank = 0; rank < place_.ranks; ++rank) {
      const std::string& text = reasons[static_cast<size_t>(rank)];
      if (rank == place_.rank || text.empty()) continue;
      if (text[0] == '!') return fmt::format("{} ended: {}", name(rank), text.substr(1));
      hearsay = text;
    }
  }
  std::vector<int> silent, late;
  for (int rank = 0; rank < place_.ranks; ++rank) {
    const Beat now = beat_of(rank);
    if (rank == place_.rank) continue;
    if (now.beats == before[static_cast<size_t>(rank)].beats) silent.push_back(rank);
    if (now.calls < calls_) late.push_back(rank);
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
    answered = within(6 * period() + 1, [this, answer, reason] { *answer = ask_store(first_line(reason)); });
  } catch (const std::exception&) {  // rank 0's process is gone
  }
  lost_ = true;
  return answered
             ? *answer
             : fmt::format("{} does not answer: killed, stopped or cut off ({}:{})", name(0), place_.host, place_.port);
}

// --- The end ----------------------------------------------------------------------------------------------------------

void RankPresence::say_bye() {
  if (place_.rank != 0) return store_->set(key_of("bye", place_.rank), {1});
  const auto start = Clock::now();
  for (int rank = 1; rank < place_.ranks; ++rank) {
    while (!store_->check({key_of("bye", rank)}) && seconds_since(start) < kLingerSeconds) sleep_seconds(0.005);
  }
}

// Rank 0, until each of the others has told its own reason, or gives no sign of life.
void RankPresence::wait_until_told(Clock::time_point start) const {
  for (int rank = 1; rank < place_.ranks; ++rank) {
    const Beat beat = beat_of(rank);
    const auto looked = Clock::now();
    while (seconds_since(start) < kLingerSeconds && !store_->check({key_of("left", rank)}) &&
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
    within(kLingerSeconds + 2, [this, reason] {
      store_->set(key_of("left", place_.rank), bytes_of(reason));
      store_->set("over", {1});
      if (place_.rank == 0) wait_until_told(Clock::now());
    });
  } catch (const std::exception&) {  // rank 0 is gone: nobody is left to be told
  }
}

}  // namespace yolov3
