#include "base/ordered_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

namespace yolov3 {
namespace {

TEST(OrderedQueue, GivesBackInTheOrderOfTheNumbers) {
  OrderedQueue<char> queue(3, 4);
  EXPECT_EQ(queue.claim(), 0u);
  EXPECT_EQ(queue.claim(), 1u);
  EXPECT_EQ(queue.claim(), 2u);
  queue.put(2, 'c');
  queue.put(0, 'a');
  EXPECT_EQ(queue.pop(), 'a');
  queue.put(1, 'b');
  EXPECT_EQ(queue.claim(), 3u);
  EXPECT_EQ(queue.claim(), std::nullopt) << "there are four";
  EXPECT_EQ(queue.pop(), 'b');
  EXPECT_EQ(queue.pop(), 'c');
  queue.put(3, 'd');
  EXPECT_EQ(queue.pop(), 'd');
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(OrderedQueue, WhatWasClaimedBeforeTheEndStillComes) {
  OrderedQueue<int> queue(2);
  ASSERT_EQ(queue.claim(), 0u);
  queue.close();
  EXPECT_EQ(queue.claim(), std::nullopt);
  std::optional<int> first, second = 7;
  std::thread taker([&] {
    first = queue.pop();
    second = queue.pop();
  });
  queue.put(0, 5);
  taker.join();
  EXPECT_EQ(first, 5);
  EXPECT_EQ(second, std::nullopt);
}

TEST(OrderedQueue, CloseWakesWhoWaits) {
  OrderedQueue<int> full(1), empty(1);
  ASSERT_EQ(full.claim(), 0u);
  std::optional<size_t> claimed = 7;
  std::optional<int> popped = 7;
  std::thread claimer([&] { claimed = full.claim(); });
  std::thread popper([&] { popped = empty.pop(); });
  full.close();
  empty.close();
  claimer.join();
  popper.join();
  EXPECT_EQ(claimed, std::nullopt);
  EXPECT_EQ(popped, std::nullopt);
}

TEST(OrderedQueue, ManyThreadsKeepOrderAndBound) {
  constexpr size_t kItems = 3000, kCapacity = 5, kThreads = 4;
  OrderedQueue<std::unique_ptr<size_t>> queue(kCapacity, kItems);
  std::atomic<size_t> begun = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      while (const std::optional<size_t> number = queue.claim()) {
        ++begun;
        if (*number % 3 == t % 3) std::this_thread::yield();
        queue.put(*number, std::make_unique<size_t>(*number));
      }
    });
  }
  for (size_t i = 0; i < kItems; ++i) {
    const auto item = queue.pop();
    ASSERT_TRUE(item);
    EXPECT_EQ(**item, i);
    EXPECT_LE(begun, i + 1 + kCapacity);
  }
  EXPECT_FALSE(queue.pop());
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace yolov3
