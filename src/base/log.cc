#include "base/log.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string_view>

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

// The last column stays free: some terminals begin the next line there.
size_t columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2) return 79;
  return size.ws_col - size_t{1};
}

std::string cut_to_columns(const std::string& text, size_t columns) {
  size_t letters = 0, bytes = 0;
  for (; bytes < text.size(); ++bytes) {
    const bool begins = (static_cast<unsigned char>(text[bytes]) & 0xC0) != 0x80;  // a letter of UTF-8
    if (begins && ++letters > columns) break;
  }
  return text.substr(0, bytes);
}

}  // namespace

// One that can clear a line.
bool stderr_is_terminal() {
  static const bool answer = [] {
    const char* name = std::getenv("TERM");
    return ::isatty(STDERR_FILENO) == 1 && (name == nullptr || std::string_view(name) != "dumb");
  }();
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
  out.status = cut_to_columns(text, columns());  // a line that wraps cannot be cleared
  std::fprintf(stderr, "%s%s", kClearLine, out.status.c_str());
  std::fflush(stderr);
}

}  // namespace yolov3
