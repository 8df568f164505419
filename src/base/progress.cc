#include "base/progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/text.h"

namespace yolov3 {
namespace {

using std::chrono::duration;

constexpr double kRedrawSeconds = 0.1;
constexpr double kPlainLineSeconds = 10;

}  // namespace

Progress::Progress(std::string label, int64_t total)
    : label_(std::move(label)), total_(std::max<int64_t>(total, 1)), start_(Clock::now()), last_(start_) {}

Progress::~Progress() { log_status(""); }

void Progress::update(int64_t done, const std::string& detail) {
  const Clock::time_point now = Clock::now();
  const double since_last = duration<double>(now - last_).count();
  const int64_t tenth = done * 10 / total_;
  const bool draw = stderr_is_terminal() ? since_last >= kRedrawSeconds || done == total_
                                         : tenth > last_tenth_ && since_last >= kPlainLineSeconds;
  if (!draw) return;
  last_ = now;
  last_tenth_ = tenth;

  const double elapsed = duration<double>(now - start_).count();
  const double remaining = done > 0 ? elapsed * static_cast<double>(total_ - done) / static_cast<double>(done) : 0;
  // What matters most comes first: a narrow terminal cuts the rest off.
  const std::string line = fmt::format("{} {}/{} ETA {}{}{}", label_, done, total_, human_seconds(remaining),
                                       detail.empty() ? "" : " ", detail);
  if (stderr_is_terminal()) {
    log_status(line);
  } else {
    log_line(line);
  }
}

}  // namespace yolov3
