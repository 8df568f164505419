// Progress of anything long, with the time it will still take. On a terminal one line that is redrawn ten times a
// second at most; elsewhere a plain line at every tenth of the work, and at least ten seconds apart.
// Threads: one thread advances a Progress.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace yolov3 {

class Progress {
 public:
  Progress(std::string label, int64_t total);
  ~Progress();  // removes the line from the terminal
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(int64_t done, const std::string& detail = "");

 private:
  using Clock = std::chrono::steady_clock;
  std::string label_;
  int64_t total_;
  Clock::time_point start_, last_;
  int64_t last_tenth_ = 0;
};

}  // namespace yolov3
