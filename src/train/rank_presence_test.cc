#include "train/rank_presence.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "base/interrupt.h"
#include "train/test_ranks.h"

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;
using Errors = std::vector<std::string>;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

TEST(RankPresence, AllMeetAndPart) {
  const Errors errors = as_ranks(3, [](const RankPlace& place) {
    RankPresence presence(place, 20);
    for (int i = 0; i < 5; ++i) presence.meet("here");
    presence.say_bye();
    EXPECT_FALSE(presence.lost());
  });
  EXPECT_EQ(errors, Errors(3));
}

// A connection that never comes about, as when the other machine stands still in the middle of it.
TEST(RankPresence, AConnectionThatNeverComesIsGivenUpAndTold) {
  const auto start = Clock::now();
  const Errors errors = as_ranks(2, [](const RankPlace& place) {
    RankPresence presence(place, 2);
    if (place.rank == 0) return presence.meet("never");
    presence.connect("stuck", [](const RankStore&) {
      std::this_thread::sleep_for(std::chrono::seconds(20));
      return RankGroup{};
    });
  });
  EXPECT_LT(seconds_since(start), 15) << "it was waited for";
  EXPECT_NE(errors[1].find("the ranks met, but cannot be connected: no answer"), std::string::npos) << errors[1];
  EXPECT_NE(errors[0], "");
}

TEST(RankPresence, ASignalEndsTheWaitForOthers) {
  install_interrupt_handlers();
  clear_interrupt();
  const Errors errors = as_ranks(1, [](RankPlace place) {
    place.ranks = 2;  // and nobody is rank 1
    std::thread signal([] {
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      std::raise(SIGINT);
    });
    try {
      RankPresence presence(place, 60);
    } catch (...) {
      signal.join();
      throw;
    }
    signal.join();
  });
  clear_interrupt();
  EXPECT_NE(errors[0].find("stopped by signal 2 while waiting for rank 1"), std::string::npos) << errors[0];
}

TEST(RankPresence, AnUnknownMachineIsNamed) {
  RankPlace place;
  place.rank = 1;
  place.ranks = 2;
  place.host = "no-such-host.invalid";
  try {
    RankPresence presence(place, 0.5);
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("no-such-host.invalid"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("MASTER_ADDR"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace yolov3
