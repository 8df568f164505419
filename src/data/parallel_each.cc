#include "data/parallel_each.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/cpu.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/progress.h"

namespace yolov3 {

void parallel_each(int64_t count, int threads, const std::string& label, const std::function<void(int64_t)>& work) {
  std::atomic<int64_t> next = 0, done = 0;
  std::mutex mutex;
  std::exception_ptr error;
  int64_t error_at = count;

  const auto run = [&](Progress* progress) {
    for (int64_t i; (i = next.fetch_add(1)) < count && interrupt_signal() == 0;) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (i < error_at) {
          error_at = i;
          error = std::current_exception();
        }
        next = count;  // items before i are already taken, so the lowest error is still found
      }
      const int64_t finished = done.fetch_add(1) + 1;
      if (progress) progress->update(finished);
    }
  };

  if (threads <= 0) threads = available_cpus();
  threads = static_cast<int>(std::clamp<int64_t>(threads, 1, std::max<int64_t>(count, 1)));
  {
    std::optional<Progress> progress;
    if (!label.empty()) progress.emplace(label, count);
    std::vector<std::jthread> helpers;
    for (int t = 1; t < threads; ++t) helpers.emplace_back(run, nullptr);
    run(progress ? &*progress : nullptr);
  }
  if (error) std::rethrow_exception(error);
  check(interrupt_signal() == 0, "{}: interrupted", label.empty() ? "work" : label);
}

}  // namespace yolov3
