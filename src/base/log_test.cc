// What a terminal gets: the tests start themselves with stderr on one.
#include "base/log.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace yolov3 {
namespace {

// Says one status and nothing else; started by the tests below.
TEST(LogChild, DISABLED_SaysAStatus) { log_status(std::string(38, 'x') + "\u00e4yz"); }

// What a terminal of that kind and width is sent by the child.
std::string sent_to(const char* kind, unsigned short columns) {
  winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, &size);
  if (child == 0) {
    ::setenv("TERM", kind, 1);
    const char* nowhere = "/dev/null";
    if (std::freopen(nowhere, "w", stdout) == nullptr) ::_exit(1);  // what googletest says
    ::execl("/proc/self/exe", "log_test", "--gtest_filter=LogChild.*", "--gtest_also_run_disabled_tests", nullptr);
    ::_exit(1);
  }
  std::string all;
  char bytes[256];
  for (ssize_t got = 0; (got = ::read(terminal, bytes, sizeof(bytes))) > 0;)
    all.append(bytes, static_cast<size_t>(got));
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(terminal);
  EXPECT_EQ(status, 0);
  return all;
}

TEST(Log, AStatusStaysOnItsLine) {
  EXPECT_EQ(sent_to("xterm", 80), "\r\033[K" + std::string(38, 'x') + "\u00e4yz");
  EXPECT_EQ(sent_to("xterm", 40), "\r\033[K" + std::string(38, 'x') + "\u00e4") << "39 letters, one of two bytes";
}

TEST(Log, ATerminalThatCannotClearALineGetsNone) { EXPECT_EQ(sent_to("dumb", 80), ""); }

}  // namespace
}  // namespace yolov3
