#include "app/detect_pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <numeric>

#include "app/test_detector.h"
#include "base/error.h"
#include "base/interrupt.h"

namespace yolov3 {
namespace {

int value_of(size_t index) { return 8 + static_cast<int>(index % 100); }
LoadedImage picture_of(size_t index) { return {Image(32, 32, static_cast<uint8_t>(value_of(index))), 32, 32}; }

std::vector<size_t> numbers(size_t count) {
  std::vector<size_t> all(count);
  std::iota(all.begin(), all.end(), size_t{0});
  return all;
}

// Opens when it has been told so; a test that waits in vain fails instead of hanging.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [&] { return open_; }));
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

class DetectPipeline : public ::testing::Test {
 protected:
  DetectPipeline() {
    clear_interrupt();
    steps.load = picture_of;
    steps.broken = [this](size_t index, const std::string& why) {
      broken.push_back(index);
      reason = why;
    };
    steps.collect = [this](PipelinePicture& p) {
      collected.push_back(p.index);
      ASSERT_EQ(p.found.size(), 1u);
      EXPECT_NEAR(p.found[0].box.width(), value_of(p.index) / 4.0, 1e-3) << "the boxes of another picture";
    };
    steps.write = [this](PipelinePicture& p) {
      const std::lock_guard lock(mutex);
      written.push_back(p.index);
    };
  }

  PipelineTimes run(size_t count, size_t detectors) {
    std::vector<Detector> owned;
    for (size_t i = 0; i < detectors; ++i) {
      owned.emplace_back(small_spec(), std::make_unique<ValueEngine>(script), DetectOptions{});
    }
    std::vector<Detector*> all;
    for (Detector& detector : owned) all.push_back(&detector);
    return run_pipeline(count, all, options, steps);
  }

  std::string error_of(size_t count, size_t detectors) {
    try {
      run(count, detectors);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  std::vector<size_t> written_in_order() {
    std::sort(written.begin(), written.end());
    return written;
  }

  EngineScript script;
  PipelineOptions options;
  PipelineSteps steps;
  std::vector<size_t> broken, collected, written;
  std::string reason;
  std::mutex mutex;
};

TEST_F(DetectPipeline, EveryPictureOnceAndInOrder) {
  for (const size_t detectors : {1u, 3u}) {
    for (const int batch : {1, 4}) {
      SCOPED_TRACE(testing::Message() << detectors << " detectors, batch " << batch);
      options.batch = batch;
      options.loaders = options.writers = detectors;
      collected.clear();
      written.clear();
      script.on_picture = [](int value) {
        for (int i = 0; i < value % 7; ++i) std::this_thread::yield();
      };
      const PipelineTimes times = run(101, detectors);
      EXPECT_EQ(collected, numbers(101));
      EXPECT_EQ(written_in_order(), numbers(101));
      EXPECT_GT(times.load_seconds, 0);
      EXPECT_GT(times.write_seconds, 0);
    }
  }
  EXPECT_TRUE(broken.empty());
}

TEST_F(DetectPipeline, AFastDetectorGoesOnBesideASlowOne) {
  Gate third;
  script.on_picture = [&](int value) {
    if (value == value_of(0)) third.wait();
    if (value == value_of(3)) third.open();
  };
  run(20, 2);
  EXPECT_EQ(collected, numbers(20));
}

TEST_F(DetectPipeline, NoPicturesAreNoWork) {
  run(0, 2);
  EXPECT_TRUE(collected.empty());
  EXPECT_TRUE(script.batches.empty());
}

// The sixth picture fails while the one before it is still being worked on: that one is kept.
TEST_F(DetectPipeline, AFailingDetectorKeepsWhatWasBeforeIt) {
  Gate failed;
  script.on_picture = [&](int value) {
    if (value == value_of(4)) failed.wait();
    if (value == value_of(5)) {
      failed.open();
      fail("the engine failed");
    }
  };
  EXPECT_EQ(error_of(100, 2), "the engine failed");
  EXPECT_EQ(collected, numbers(5));
  EXPECT_EQ(written_in_order(), numbers(5));
}

TEST_F(DetectPipeline, AFailingWriterEndsTheRun) {
  steps.write = [](PipelinePicture& p) { check(p.index != 10, "no room"); };
  EXPECT_EQ(error_of(100000, 2), "no room");
  EXPECT_GE(collected.size(), 11u);
  EXPECT_LE(collected.size(), 11 + most_pictures(2, options));
  EXPECT_EQ(collected, numbers(collected.size())) << "no gaps";
}

TEST_F(DetectPipeline, AFailingCollectorEndsTheRun) {
  const auto collect = steps.collect;
  steps.collect = [&](PipelinePicture& p) {
    check(p.index != 10, "no room");
    collect(p);
  };
  EXPECT_EQ(error_of(100000, 2), "no room");
  EXPECT_EQ(collected, numbers(10));
  EXPECT_EQ(written_in_order(), numbers(10));
}

TEST_F(DetectPipeline, BrokenPicturesAreToldAndBatchesStayFull) {
  steps.load = [](size_t index) {
    check(index % 3 != 1, "picture {} is broken", index);
    return picture_of(index);
  };
  options.batch = 4;
  run(12, 1);  // 0 2 3 5 | 6 8 9 11
  EXPECT_EQ(script.batches, (std::vector<int64_t>{4, 4}));
  EXPECT_EQ(broken, (std::vector<size_t>{1, 4, 7, 10}));
  EXPECT_EQ(collected, (std::vector<size_t>{0, 2, 3, 5, 6, 8, 9, 11}));
  EXPECT_EQ(reason, "picture 10 is broken");
  steps.load = [](size_t) -> LoadedImage { fail("all are broken"); };
  broken.clear();
  run(1000, 2);
  EXPECT_EQ(broken, numbers(1000));
}

TEST_F(DetectPipeline, ABatchOfLargePicturesRunsBeforeItIsFull) {
  options.batch = 100;
  options.batch_bytes = 2 * 3 * 32 * 32;
  run(5, 1);
  EXPECT_EQ(script.batches, (std::vector<int64_t>{2, 2, 1}));
}

// The writers stand still until everything before them is full; from then on pictures come and go.
TEST_F(DetectPipeline, MemoryIsBounded) {
  options.loaders = options.writers = 2;
  const size_t bound = most_pictures(3, options);
  EXPECT_EQ(bound, 4u + 1 + 6 + 1 + 4);
  std::atomic<size_t> alive = 0, most = 0;
  Gate full;
  steps.load = [&](size_t index) {
    const size_t now = ++alive;
    for (size_t seen = most; now > seen && !most.compare_exchange_weak(seen, now);) continue;
    if (now >= bound) full.open();
    return picture_of(index);
  };
  steps.write = [&](PipelinePicture& p) {
    EXPECT_EQ(p.picture.image.width, 32);
    full.wait();
    --alive;
  };
  run(300, 3);
  EXPECT_EQ(alive, 0u);
  EXPECT_EQ(most, bound);
}

TEST_F(DetectPipeline, PixelsGoWhenTheyAreOfNoUse) {
  std::atomic<int> with_pixels = 0;
  const auto count = [&](PipelinePicture& p) { with_pixels += p.picture.image.empty() ? 0 : 1; };
  steps.collect = count;
  run(5, 1);
  EXPECT_EQ(with_pixels, 5);
  steps.write = nullptr;
  run(5, 1);
  EXPECT_EQ(with_pixels, 5) << "nothing is drawn";
  steps.write = count;
  steps.load = [](size_t) { return LoadedImage{Image(32, 32, 9), 64, 64}; };
  run(5, 1);
  EXPECT_EQ(with_pixels, 5) << "decoded at reduced size";
}

TEST_F(DetectPipeline, AnInterruptEndsItAfterThePicturesAtHand) {
  const auto collect = steps.collect;
  steps.collect = [&](PipelinePicture& p) {
    collect(p);
    if (p.index == 10) std::raise(SIGTERM);
  };
  install_interrupt_handlers();
  run(100000, 2);
  clear_interrupt();
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGINT, SIG_DFL);
  EXPECT_EQ(collected, numbers(collected.size()));
  EXPECT_EQ(written_in_order(), collected);
  EXPECT_GE(collected.size(), 11u);
  EXPECT_LE(collected.size(), 11 + most_pictures(2, options));
}

TEST_F(DetectPipeline, NeedsDetectors) { EXPECT_NE(error_of(1, 0), ""); }

}  // namespace
}  // namespace yolov3
