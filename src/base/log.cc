#include "base/log.h"

#include <unistd.h>

#include <cstdio>
#include <mutex>

#include "base/log_rank.h"

namespace yolov3 {
namespace {

// The terminal is one per process; so is this.
struct Terminal {
  std::mutex mutex;
  std::string status;
  int rank = 0;
};

Terminal& terminal() {
  static Terminal instance;
  return instance;
}

constexpr const char* kClearLine = "\r\033[K";

}  // namespace

bool stderr_is_terminal() {
  static const bool answer = ::isatty(STDERR_FILENO) == 1;
  return answer;
}

void log_as_rank(int rank) {
  Terminal& out = terminal();
  const std::lock_guard lock(out.mutex);
  out.rank = rank;
}

void log_line(const std::string& text) {
  Terminal& out = terminal();
  const std::lock_guard lock(out.mutex);
  if (out.rank > 0) {
    if (text.starts_with("warning: ") || text.starts_with("error: ")) {
      std::fprintf(stderr, "[rank %d] %s\n", out.rank, text.c_str());
    }
    return;
  }
  const bool redraw = !out.status.empty();
  std::fprintf(stderr, "%s%s\n%s", redraw ? kClearLine : "", text.c_str(), out.status.c_str());
  std::fflush(stderr);
}

void log_status(const std::string& text) {
  if (!stderr_is_terminal()) return;
  Terminal& out = terminal();
  const std::lock_guard lock(out.mutex);
  if (out.rank > 0) return;
  out.status = text;
  std::fprintf(stderr, "%s%s", kClearLine, text.c_str());
  std::fflush(stderr);
}

}  // namespace yolov3
