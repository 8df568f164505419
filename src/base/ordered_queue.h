// Work that several threads do at once and whose results are taken in order: a thread claims the next number, works, and
// puts its result under that number. No more than `capacity` numbers are out at a time (claimed and not yet popped), so
// that one slow piece of work holds the others back instead of filling the memory.
// Threads: any, for every call.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace yolov3 {

template <class T>
class OrderedQueue {
 public:
  // Numbers are 0, 1, ... below `count`.
  explicit OrderedQueue(size_t capacity, size_t count = SIZE_MAX) : slots_(capacity), count_(count) {}

  // Waits for room. Nothing when all numbers were given or the queue was closed. Who has a number must put() it.
  std::optional<size_t> claim() {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return closed_ || claimed_ == count_ || claimed_ - popped_ < slots_.size(); });
    if (closed_ || claimed_ == count_) return std::nullopt;
    return claimed_++;
  }

  // Never waits: the claim has made the room.
  void put(size_t number, T item) {
    const std::lock_guard lock(mutex_);
    slots_[number % slots_.size()] = std::move(item);
    filled_.notify_all();
  }

  // Waits for the item whose turn it is. Nothing when there is none to come: all were popped, or all that had been
  // claimed when the queue was closed.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    filled_.wait(lock, [&] { return ended() || next_slot().has_value(); });
    if (ended()) return std::nullopt;
    std::optional<T> item = std::exchange(next_slot(), std::nullopt);
    ++popped_;
    room_.notify_all();
    if (ended()) filled_.notify_all();
    return item;
  }

  // No more claims.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    room_.notify_all();
    filled_.notify_all();
  }

 private:
  bool ended() const { return popped_ == count_ || (closed_ && popped_ == claimed_); }
  std::optional<T>& next_slot() { return slots_[popped_ % slots_.size()]; }

  std::mutex mutex_;
  std::condition_variable room_, filled_;
  std::vector<std::optional<T>> slots_;  // number n waits in slot n % capacity
  const size_t count_;
  size_t claimed_ = 0, popped_ = 0;
  bool closed_ = false;
};

}  // namespace yolov3
