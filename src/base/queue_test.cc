#include "base/queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace yolov3 {
namespace {

TEST(BoundedQueue, KeepsOrderAndBound) {
  constexpr int kItems = 2000, kCapacity = 3;
  BoundedQueue<int> queue(kCapacity);
  std::atomic<int> begun = 0;
  std::thread producer([&] {
    for (int i = 0; i < kItems; ++i) {
      ++begun;
      queue.push(i);
    }
    queue.close();
  });
  for (int i = 0; i < kItems; ++i) {
    ASSERT_EQ(queue.pop(), i);
    // Taken: i + 1; in the queue: the capacity at most; and one waits for room.
    EXPECT_LE(begun, i + 1 + kCapacity + 1);
  }
  EXPECT_EQ(queue.pop(), std::nullopt);
  producer.join();
}

TEST(BoundedQueue, CloseWakesWhoWaitsForAnItem) {
  BoundedQueue<int> queue(1);
  std::optional<int> got = 7;
  std::thread consumer([&] { got = queue.pop(); });
  queue.close();
  consumer.join();
  EXPECT_EQ(got, std::nullopt);
}

TEST(BoundedQueue, CloseWakesWhoWaitsForRoomAndKeepsWhatIsIn) {
  BoundedQueue<int> queue(1);
  ASSERT_TRUE(queue.push(1));
  bool taken = true;
  std::thread producer([&] { taken = queue.push(2); });
  queue.close();
  producer.join();
  EXPECT_FALSE(taken);
  EXPECT_FALSE(queue.push(3));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(BoundedQueue, ManyThreadsLoseAndDoubleNothing) {
  constexpr int kThreads = 4, kItems = 500;
  BoundedQueue<int> queue(2);
  std::atomic<int64_t> sum = 0, count = 0;
  std::vector<std::thread> producers, consumers;
  for (int t = 0; t < kThreads; ++t) {
    producers.emplace_back([&] {
      for (int i = 1; i <= kItems; ++i) queue.push(i);
    });
    consumers.emplace_back([&] {
      while (const std::optional<int> item = queue.pop()) {
        sum += *item;
        ++count;
      }
    });
  }
  for (std::thread& thread : producers) thread.join();
  queue.close();
  for (std::thread& thread : consumers) thread.join();
  EXPECT_EQ(count, kThreads * kItems);
  EXPECT_EQ(sum, kThreads * kItems * (kItems + 1) / 2);
}

TEST(BoundedQueue, HoldsWhatCannotBeCopied) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  queue.push(std::make_unique<int>(5));
  EXPECT_EQ(**queue.pop(), 5);
}

}  // namespace
}  // namespace yolov3
