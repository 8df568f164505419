#include "train/rank_record.h"

#include <netdb.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "base/error.h"
#include "base/text.h"

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr double kBeatShare = 0.04;   // of --rank-timeout; at most a second
constexpr double kNameSeconds = 0.1;  // between two questions for a machine's name

std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }
std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
std::string key_of(const char* kind, int rank) { return fmt::format("{}/{}", kind, rank); }
std::string meeting_key(int64_t meeting, int rank) { return fmt::format("meet/{}/{}", meeting, rank); }
double seconds_since(Clock::time_point start) { return Seconds(Clock::now() - start).count(); }
void sleep_seconds(double seconds) { std::this_thread::sleep_for(Seconds(seconds)); }

std::string host_name() {
  char name[256] = "?";
  ::gethostname(name, sizeof(name) - 1);
  return name;
}

std::optional<std::string> why_unknown(const std::string& host) {
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), nullptr, nullptr, &found);
  if (failed == EAI_SYSTEM) return std::strerror(errno);
  if (failed != 0) return ::gai_strerror(failed);
  ::freeaddrinfo(found);
  return std::nullopt;
}

struct Beat {
  int64_t beats = -1, calls = 0;
};

Beat beat_of(const RankStore& store, int rank) {
  const std::string key = key_of("beat", rank);
  if (!store->check({key})) return {};
  const std::string text = text_of(store->get(key));
  const size_t blank = text.find(' ');
  return {parse_integer(text.substr(0, blank)).value_or(-1), parse_integer(text.substr(blank + 1)).value_or(0)};
}

// "rank 1 (...) gives no sign of life (of these: ranks 1, 2)"; empty where there are none.
std::string told_of(const std::vector<int>& ranks, const RankRecord& record, const char* what) {
  if (ranks.empty()) return "";
  return fmt::format("{} {}{}", record.name(ranks[0]), what,
                     ranks.size() > 1 ? fmt::format(" (of these: {})", list_of(ranks)) : "");
}

}  // namespace

std::string list_of(const std::vector<int>& ranks) {
  return fmt::format("{} {}", ranks.size() == 1 ? "rank" : "ranks", fmt::join(ranks, ", "));
}

double RankRecord::period() const { return std::clamp(kBeatShare * timeout_s, 0.02, 1.0); }

std::string RankRecord::name(int rank) const {
  const auto r = static_cast<size_t>(rank);
  return r < names.size() ? fmt::format("rank {} ({})", rank, names[r]) : fmt::format("rank {}", rank);
}

// --- The beginning ----------------------------------------------------------------------------------------------------

void RankRecord::open() {
  // A machine's name may be known a little later than its ranks start. LibTorch would complain every second.
  const auto start = Clock::now();
  while (const std::optional<std::string> reason = why_unknown(place.host)) {
    check(seconds_since(start) < timeout_s, "{}", *reason);
    sleep_seconds(kNameSeconds);
  }
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(place.port);
  options.isServer = place.rank == 0;
  options.waitWorkers = false;
  options.timeout = std::chrono::milliseconds(static_cast<int64_t>(1000 * timeout_s));
  store = c10::make_intrusive<c10d::TCPStore>(place.host, options);
  options.isServer = false;
  beat_store = c10::make_intrusive<c10d::TCPStore>(place.host, options);
}

bool RankRecord::sign_in() {
  const std::string key = key_of("here", place.rank);
  if (store->add(key + "/count", 1) != 1) return false;
  store->set(key, bytes_of(fmt::format("{} {} process {}", place.ranks, host_name(), ::getpid())));
  return true;
}

void RankRecord::read_who_is_here(std::vector<std::string>& found) const {
  for (size_t rank = 0; rank < found.size(); ++rank) {
    const std::string key = key_of("here", static_cast<int>(rank));
    if (found[rank].empty() && store->check({key})) found[rank] = text_of(store->get(key));
  }
}

// --- On the way -------------------------------------------------------------------------------------------------------

void RankRecord::beat_until_stopped() {
  std::unique_lock lock(mutex);
  try {
    for (int64_t beats = 0; !stopping; ++beats) {
      lock.unlock();
      beat_store->set(key_of("beat", place.rank), bytes_of(fmt::format("{} {}", beats, calls.load())));
      if (beat_store->check({"over"})) someone_left = true;
      lock.lock();
      wake.wait_for(lock, Seconds(period()), [&] { return stopping; });
    }
  } catch (const std::exception&) {  // rank 0 is gone: what waits for it finds out, and so does a meeting
    if (!lock.owns_lock()) lock.lock();
    someone_left = !stopping;
  }
  stopped = true;
  wake.notify_all();
}

int64_t RankRecord::beats_of(int rank) const { return beat_of(store, rank).beats; }

void RankRecord::come_to(int64_t meeting) {
  store->set(meeting_key(meeting, place.rank), {1});
  // Whoever has come to this meeting has left the one before the last.
  if (meeting > 2) store->deleteKey(meeting_key(meeting - 2, place.rank));
}

bool RankRecord::has_come(int rank, int64_t meeting) const { return store->check({meeting_key(meeting, rank)}); }

// --- When something goes wrong ----------------------------------------------------------------------------------------

std::string RankRecord::who_is_lost(const std::string& reason) const {
  std::vector<Beat> before;
  for (int rank = 0; rank < place.ranks; ++rank) before.push_back(beat_of(store, rank));
  std::string hearsay;
  for (int look = 0; look < 4; ++look) {
    if (look > 0) sleep_seconds(period());
    for (int rank = 0; rank < place.ranks; ++rank) {
      const std::string key = key_of("left", rank);
      if (rank == place.rank || !store->check({key})) continue;
      const std::string text = text_of(store->get(key));
      if (text.starts_with("!")) return fmt::format("{} ended: {}", name(rank), text.substr(1));
      hearsay = text;
    }
  }
  std::vector<int> silent, late;
  for (int rank = 0; rank < place.ranks; ++rank) {
    if (rank == place.rank) continue;
    const Beat now = beat_of(store, rank);
    if (now.beats == before[static_cast<size_t>(rank)].beats) silent.push_back(rank);
    if (now.calls < calls) late.push_back(rank);
  }
  for (const std::string& answer :
       {hearsay, told_of(silent, *this, "gives no sign of life: killed, stopped or cut off"),
        told_of(late, *this, "stalls: it is alive, but has not come to where the others wait")}) {
    if (!answer.empty()) return answer;
  }
  return fmt::format("the ranks lost each other: {}", reason);
}

// --- The end ----------------------------------------------------------------------------------------------------------

void RankRecord::part() {
  if (place.rank != 0) return store->set(key_of("bye", place.rank), {1});
  const auto start = Clock::now();
  for (int rank = 1; rank < place.ranks; ++rank) {
    while (!store->check({key_of("bye", rank)}) && seconds_since(start) < kRankLingerSeconds) sleep_seconds(0.005);
  }
}

void RankRecord::tell_why_left(const std::string& reason) {
  store->set(key_of("left", place.rank), bytes_of(reason));
  store->set("over", {1});
  if (place.rank != 0) return;
  // Until each of the others has told its own reason, or gives no sign of life.
  const auto start = Clock::now();
  for (int rank = 1; rank < place.ranks; ++rank) {
    const int64_t beats = beats_of(rank);
    const auto looked = Clock::now();
    while (seconds_since(start) < kRankLingerSeconds && !store->check({key_of("left", rank)}) &&
           (beats_of(rank) != beats || seconds_since(looked) < 4 * period())) {
      sleep_seconds(0.02);
    }
  }
}

}  // namespace yolov3
