#include "train/ranks.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "train/rank_group.h"

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;
using std::chrono::milliseconds;

// Of --rank-timeout: after this share of it a wait is given up, so that the rest is left to find out who it was.
constexpr double kWaitShare = 0.8;
constexpr double kBeatShare = 0.04;  // between two signs of life; at most a second
constexpr double kLingerSeconds = 10;

std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }
std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
std::string key_of(const char* kind, int rank) { return fmt::format("{}/{}", kind, rank); }
double seconds_since(Clock::time_point start) { return Seconds(Clock::now() - start).count(); }
void sleep_seconds(double seconds) { std::this_thread::sleep_for(Seconds(seconds)); }

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

torch::Tensor flat_view(const torch::Tensor& dense) { return dense.detach().as_strided({dense.numel()}, {1}); }

struct Beat {
  int64_t beats = -1, calls = 0;
};

}  // namespace

// The keys in the store: here/R where and who a rank is; beat/R its signs of life and how many calls it has made;
// left/R why it ended, with an error; over: some left/R is there; bye/R it ended well; meet/N/R it has come there.
struct Ranks::Inside {
  RankPlace place;
  double timeout_s;
  RankStore store, beat_store;
  RankGroup quick, large;  // two, so that small sums never wait for large ones
  std::vector<RankWork> pending;
  std::vector<std::string> names;  // of each rank: machine and process

  std::atomic<int64_t> calls = 0;
  std::atomic<bool> someone_left = false;
  int64_t meetings = 0;
  bool unanswered = false;  // a call to the store has not come back
  bool lost = false;        // threads may hang in calls that never return: nothing is taken apart any more

  std::mutex mutex;  // guards stopping
  std::condition_variable wake;
  bool stopping = false;
  std::thread beats;

  Inside(const RankPlace& at, double seconds) : place(at), timeout_s(seconds) {}

  milliseconds wait_ms() const { return milliseconds(static_cast<int64_t>(1000 * kWaitShare * timeout_s)); }
  double period() const { return std::clamp(kBeatShare * timeout_s, 0.02, 1.0); }
  RankStore open_store(bool server) const;
  void greet();
  void beat_until_stopped();
  void stop_beating();

  template <class Call>
  bool within(double seconds, Call call);
  Beat beat_of(int rank) const;
  std::vector<std::string> left() const;
  std::string who_is_lost(const std::string& reason);
  std::string ask_store(const std::string& reason);
  [[noreturn]] void give_up(const std::string& reason);
  template <class Call>
  void guarded(Call call);
  void wait_for(const RankWork& work, bool on_streams = false);
  std::string name(int rank) const;
};

std::string Ranks::Inside::name(int rank) const {
  const auto r = static_cast<size_t>(rank);
  return r < names.size() ? fmt::format("rank {} ({})", rank, names[r]) : fmt::format("rank {}", rank);
}

// --- The beginning ----------------------------------------------------------------------------------------------------

RankStore Ranks::Inside::open_store(bool server) const {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(place.port);
  options.isServer = server;
  options.waitWorkers = false;
  options.timeout = milliseconds(static_cast<int64_t>(1000 * timeout_s));
  try {
    return c10::make_intrusive<c10d::TCPStore>(place.host, options);
  } catch (const std::exception& error) {
    fail("rank {} of {}: {} {}:{} within {}: {}", place.rank, place.ranks,
         server ? "cannot be met at" : "rank 0 is not to be reached at", place.host, place.port,
         human_seconds(timeout_s), first_line(error.what()));
  }
}

// Who is here, and that they are of one mind on how many they are.
void Ranks::Inside::greet() {
  const std::string mine = key_of("here", place.rank);
  check(store->add(mine + "/count", 1) == 1, "rank {} of {} at {}:{}: another process is that rank already", place.rank,
        place.ranks, place.host, place.port);
  store->set(mine, bytes_of(fmt::format("{} {} process {}", place.ranks, host_name(), ::getpid())));
  const auto start = Clock::now();
  std::vector<int> missing(static_cast<size_t>(place.ranks));
  for (int rank = 0; rank < place.ranks; ++rank) missing[static_cast<size_t>(rank)] = rank;
  while (true) {
    bool answered = true;
    try {
      std::erase_if(missing, [&](int rank) { return store->check({key_of("here", rank)}); });
    } catch (const std::exception&) {  // rank 0, which came first, has given up first
      answered = false;
    }
    if (missing.empty()) break;
    check(answered && seconds_since(start) < timeout_s,
          "rank {} of {}: {} did not come to {}:{} within {} (--rank-timeout)", place.rank, place.ranks,
          list_of(missing), place.host, place.port, human_seconds(timeout_s));
    sleep_seconds(0.02);
  }
  for (int rank = 0; rank < place.ranks; ++rank) {
    const std::string text = text_of(store->get(key_of("here", rank)));
    const size_t blank = text.find(' ');
    names.push_back(text.substr(blank + 1));
    check(text.substr(0, blank) == std::to_string(place.ranks), "{} was started as one of {} ranks, rank {} of {}",
          name(rank), text.substr(0, blank), place.rank, place.ranks);
  }
}

void Ranks::Inside::beat_until_stopped() {
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
}

void Ranks::Inside::stop_beating() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  wake.notify_all();
  if (!beats.joinable()) return;
  lost ? beats.detach() : beats.join();
}

Ranks::Ranks() = default;

Ranks::Ranks(const RankPlace& place, double timeout_s, torch::Device device) : rank_(place.rank), size_(place.ranks) {
  check(size_ >= 1 && rank_ >= 0 && rank_ < size_, "rank {} of {}: expected 0 to {}", rank_, size_, size_ - 1);
  if (size_ == 1) return;
  inside_ = std::make_unique<Inside>(place, timeout_s);
  Inside& in = *inside_;
  in.store = in.open_store(rank_ == 0);
  in.greet();
  in.beat_store = in.open_store(false);
  in.beats = std::thread(&Inside::beat_until_stopped, &in);
  try {
    in.quick = make_gloo_group(c10::make_intrusive<c10d::PrefixStore>("quick", in.store), place, in.wait_ms());
    const auto store = c10::make_intrusive<c10d::PrefixStore>("large", in.store);
    const auto make_large = device.is_cpu() ? make_gloo_group : make_nccl_group;
    in.large = make_large(store, place, in.wait_ms());
  } catch (const std::exception& error) {
    const std::string reason = first_line(error.what());
    in.stop_beating();
    fail("rank {} of {}: the ranks met, but cannot be connected: {}", rank_, size_, reason);
  }
}

Ranks::~Ranks() {
  if (!inside_) return;
  inside_->stop_beating();
  if (inside_->lost) static_cast<void>(inside_.release());
}

// --- When something goes wrong ----------------------------------------------------------------------------------------

// Makes a call that may never return; false when it has not within the time.
template <class Call>
bool Ranks::Inside::within(double seconds, Call call) {
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
  if (future.wait_for(Seconds(seconds)) != std::future_status::ready) {
    lost = unanswered = true;
    return false;
  }
  future.get();
  return true;
}

Beat Ranks::Inside::beat_of(int rank) const {
  const std::string key = key_of("beat", rank);
  if (!store->check({key})) return {};
  const std::string text = text_of(store->get(key));
  const size_t blank = text.find(' ');
  return {parse_integer(text.substr(0, blank)).value_or(-1), parse_integer(text.substr(blank + 1)).value_or(0)};
}

// Why each rank ended; empty for those that did not.
std::vector<std::string> Ranks::Inside::left() const {
  std::vector<std::string> reasons(static_cast<size_t>(place.ranks));
  for (int rank = 0; rank < place.ranks; ++rank) {
    const std::string key = key_of("left", rank);
    if (store->check({key})) reasons[static_cast<size_t>(rank)] = text_of(store->get(key));
  }
  return reasons;
}

// A reason begins with ! where it is the rank's own, not that another one was lost.
std::string Ranks::Inside::ask_store(const std::string& reason) {
  std::vector<Beat> before;
  std::string hearsay;
  for (int rank = 0; rank < place.ranks; ++rank) before.push_back(beat_of(rank));
  for (int look = 0; look < 4; ++look) {
    if (look > 0) sleep_seconds(period());
    const std::vector<std::string> reasons = left();
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

std::string Ranks::Inside::who_is_lost(const std::string& reason) {
  auto answer = std::make_shared<std::string>();
  const std::string zero =
      fmt::format("{} does not answer: killed, stopped or cut off ({}:{})", name(0), place.host, place.port);
  try {
    const bool answered = within(6 * period() + 1, [this, answer, reason] { *answer = ask_store(reason); });
    return answered ? *answer : zero;
  } catch (const std::exception&) {
    return zero;
  }
}

void Ranks::Inside::give_up(const std::string& reason) {
  const std::string lost_rank = who_is_lost(reason);
  lost = true;
  throw RankLost(lost_rank);
}

template <class Call>
void Ranks::Inside::guarded(Call call) {
  if (lost) throw RankLost("the other ranks are lost");
  try {
    call();
  } catch (const RankLost&) {
    throw;
  } catch (const std::exception& error) {
    give_up(first_line(error.what()));
  }
}

// --- Calls ------------------------------------------------------------------------------------------------------------

void Ranks::Inside::wait_for(const RankWork& work, bool on_streams) {
  if (on_streams) {
    work->wait();
    return;
  }
  const auto look = milliseconds(200);
  while (true) {
    try {
      work->wait(look);
      return;
    } catch (const std::exception&) {
      if (work->isCompleted()) {
        if (work->isSuccess()) return;
        throw;
      }
    }
    if (someone_left) fail("another rank ended");
  }
}

void Ranks::sum(std::span<double> numbers) {
  if (alone()) return;
  sum(torch::from_blob(numbers.data(), {static_cast<int64_t>(numbers.size())}, torch::kFloat64));
}

void Ranks::sum(const torch::Tensor& numbers) {
  if (alone() || numbers.numel() == 0) return;
  const torch::Tensor flat = flat_view(numbers), own = flat.clone();  // what is given up may be written to later
  inside_->guarded([&] {
    ++inside_->calls;
    inside_->wait_for(inside_->quick.sum(own));
  });
  flat.copy_(own);
}

void Ranks::begin_sum(const torch::Tensor& flat) {
  if (alone()) return;
  inside_->guarded([&] {
    ++inside_->calls;
    inside_->pending.push_back(inside_->large.sum(flat));
  });
}

void Ranks::finish_sums() {
  if (alone()) return;
  inside_->guarded([&] {
    for (const RankWork& work : inside_->pending) inside_->wait_for(work, inside_->large.on_streams);
    inside_->pending.clear();
  });
}

void Ranks::copy_from_first(const torch::Tensor& numbers) {
  if (alone() || numbers.numel() == 0) return;
  inside_->guarded([&] {
    ++inside_->calls;
    inside_->wait_for(inside_->large.copy_from_first(flat_view(numbers)), inside_->large.on_streams);
  });
}

void Ranks::meet(const std::string& what) {
  if (alone()) return;
  Inside& in = *inside_;
  in.guarded([&] {
    const std::string place = fmt::format("meet/{}", ++in.meetings);
    const double patience = kWaitShare * in.timeout_s;
    struct Missing {
      int rank;
      int64_t beats = -1;
      Clock::time_point seen = Clock::now();
    };
    auto missing = std::make_shared<std::vector<Missing>>();
    for (int rank = 0; rank < size_; ++rank) missing->push_back({rank});
    const auto set_mine = [&in, place] { in.store->set(key_of(place.c_str(), in.place.rank), {1}); };
    check(in.within(patience, set_mine), "no answer");
    // Errors are thrown and found by guarded(): the one who asks finds out who it was.
    const auto look = [&in, missing, place] {
      std::erase_if(*missing, [&](const Missing& m) { return in.store->check({key_of(place.c_str(), m.rank)}); });
      for (Missing& m : *missing) {
        const int64_t beats = in.beat_of(m.rank).beats;
        if (beats != m.beats) m = {m.rank, beats};
      }
    };
    const auto start = Clock::now();
    double told = 0, pause = 0.001;
    while (true) {
      check(in.within(patience, look), "no answer");
      if (missing->empty()) break;
      for (const Missing& m : *missing) check(seconds_since(m.seen) < patience, "rank {} is silent", m.rank);
      if (in.someone_left) fail("another rank ended");
      if (seconds_since(start) - told > in.timeout_s) {
        told = seconds_since(start);
        log_warning("waiting for {} since {} ({})", in.name((*missing)[0].rank), human_seconds(told), what);
      }
      sleep_seconds(pause);
      pause = std::min(2 * pause, 0.05);
    }
    if (in.meetings > 2) in.store->deleteKey(key_of(fmt::format("meet/{}", in.meetings - 2).c_str(), rank_));
  });
}

std::string Ranks::text_from_first(const std::string& text, const std::string& what) {
  if (alone()) return text;
  meet(what);
  double size[1] = {first() ? static_cast<double>(text.size()) : 0.0};
  sum(size);
  const torch::Tensor bytes = torch::zeros({static_cast<int64_t>(size[0])}, torch::kUInt8);
  if (bytes.numel() == 0) return "";
  if (first()) std::copy(text.begin(), text.end(), bytes.data_ptr<uint8_t>());
  inside_->guarded([&] {
    ++inside_->calls;
    inside_->wait_for(inside_->quick.copy_from_first(bytes));
  });
  return {bytes.data_ptr<uint8_t>(), bytes.data_ptr<uint8_t>() + bytes.numel()};
}

// A sum, to which each gives its own place: one call for any number of ranks.
std::vector<std::string> Ranks::texts(const std::string& mine, const std::string& what) {
  if (alone()) return {mine};
  meet(what);
  const auto ranks = static_cast<size_t>(size_), me = static_cast<size_t>(rank_);
  std::vector<double> sizes(ranks);
  sizes[me] = static_cast<double>(mine.size());
  sum(sizes);
  size_t total = 0, begin = 0;
  for (size_t r = 0; r < ranks; ++r) {
    if (r == me) begin = total;
    total += static_cast<size_t>(sizes[r]);
  }
  std::string all(total, '\0');
  std::copy(mine.begin(), mine.end(), all.begin() + static_cast<int64_t>(begin));
  sum(torch::from_blob(all.data(), {static_cast<int64_t>(total)}, torch::kUInt8));
  std::vector<std::string> parts;
  begin = 0;
  for (size_t r = 0; r < ranks; ++r) {
    parts.push_back(all.substr(begin, static_cast<size_t>(sizes[r])));
    begin += static_cast<size_t>(sizes[r]);
  }
  return parts;
}

// --- The end ----------------------------------------------------------------------------------------------------------

void Ranks::leave() {
  if (alone()) return;
  meet("the end");
  inside_->guarded([&] {
    Inside& in = *inside_;
    if (!first()) return in.store->set(key_of("bye", rank_), {1});
    const auto start = Clock::now();  // the store goes with this process
    for (int rank = 1; rank < size_; ++rank) {
      while (!in.store->check({key_of("bye", rank)}) && seconds_since(start) < kLingerSeconds) sleep_seconds(0.005);
    }
  });
}

// Never throws: an error is on its way already.
void Ranks::leave(const std::string& error) {
  if (alone()) return;
  Inside& in = *inside_;
  const std::string reason = in.lost ? error : "!" + error;
  const bool linger = first();
  in.lost = true;
  if (in.unanswered) return;
  try {
    in.within(kLingerSeconds + 2, [&in, reason, linger] {
      in.store->set(key_of("left", in.place.rank), bytes_of(reason));
      in.store->set("over", {1});
      if (!linger) return;
      const auto start = Clock::now();
      for (int rank = 1; rank < in.place.ranks && seconds_since(start) < kLingerSeconds; ++rank) {
        const Beat beat = in.beat_of(rank);
        const auto looked = Clock::now();
        while (!in.store->check({key_of("left", rank)}) && seconds_since(start) < kLingerSeconds &&
               (in.beat_of(rank).beats != beat.beats || seconds_since(looked) < 4 * in.period())) {
          sleep_seconds(0.02);
        }
      }
    });
  } catch (const std::exception&) {  // rank 0 is gone: nobody is left to be told
  }
}

}  // namespace yolov3
