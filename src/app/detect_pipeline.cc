#include "app/detect_pipeline.h"

#include <omp.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/ordered_queue.h"
#include "base/queue.h"

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Broken pictures that may ride in one batch, beside its whole ones.
constexpr size_t kBrokenInBatch = 64;

struct PipelineBatch {
  std::vector<PipelinePicture> pictures;  // in order
  std::exception_ptr error;               // the detector's
};

// Batches that may be at detectors or wait for an earlier one: enough for every detector to go on meanwhile.
size_t batches_under_way(size_t detectors) { return 2 * detectors; }

class Pipeline {
 public:
  Pipeline(size_t count, std::span<Detector* const> detectors, const PipelineOptions& options,
           const PipelineSteps& steps)
      : detectors_(detectors),
        options_(options),
        steps_(steps),
        loaded_(options.ahead, count),
        found_(batches_under_way(detectors.size())),
        drawings_(options.writers) {}
  ~Pipeline() { end(); }

  PipelineTimes run() {
    for (size_t i = 0; i < options_.loaders; ++i) start([this] { load_pictures(); });
    for (Detector* detector : detectors_) start([this, detector] { run_batches(*detector); });
    if (steps_.write) {
      for (size_t i = 0; i < options_.writers; ++i) start([this] { write_pictures(); });
    }
    std::exception_ptr error;
    try {
      while (std::optional<PipelineBatch> batch = found_.pop()) collect(*batch);
    } catch (...) {
      error = std::current_exception();
    }
    end();  // what was found is written before the error is told
    if (!error) error = failure_;
    if (error) std::rethrow_exception(error);
    return times_;
  }

 private:
  // A thread whose error ends the run.
  template <class Work>
  void start(Work work) {
    threads_.emplace_back([this, work] {
      try {
        work();
      } catch (...) {
        fail_with(std::current_exception());
      }
    });
  }

  void load_pictures() {
    double seconds = 0;
    while (const std::optional<size_t> index = loaded_.claim()) {
      const Clock::time_point start = Clock::now();
      PipelinePicture loaded;
      loaded.index = *index;
      try {
        loaded.picture = steps_.load(*index);
      } catch (...) {
        loaded.error = std::current_exception();
      }
      seconds += seconds_since(start);
      loaded_.put(*index, std::move(loaded));
    }
    add_time(times_.load_seconds, seconds);
  }

  void run_batches(Detector& detector) {
    omp_set_num_threads(options_.detector_threads);
    std::vector<LoadedImage> pictures;
    std::vector<std::vector<Detection>> found;
    PipelineBatch batch;
    while (const std::optional<size_t> number = next_batch(batch)) {
      try {
        detect(detector, batch.pictures, pictures, found);
      } catch (...) {
        batch.error = std::current_exception();
        stop_ = true;  // the others end with the batches they have
      }
      found_.put(*number, std::exchange(batch, {}));
    }
  }

  // One detector at a time takes the next pictures, so that batches do not depend on who is how fast.
  std::optional<size_t> next_batch(PipelineBatch& batch) {
    const std::lock_guard lock(forming_);
    const auto most = static_cast<size_t>(options_.batch);
    const size_t most_bytes = options_.batch_bytes / detectors_.size();
    size_t whole = 0, bytes = 0;
    while (whole < most && bytes < most_bytes && batch.pictures.size() - whole < kBrokenInBatch) {
      if (stop_ || interrupt_signal() != 0) break;
      std::optional<PipelinePicture> next = loaded_.pop();
      if (!next) break;
      whole += next->error ? 0 : 1;
      bytes += next->picture.image.rgb.size();
      batch.pictures.push_back(std::move(*next));
    }
    if (!batch.pictures.empty()) return found_.claim();
    found_.close();
    return std::nullopt;
  }

  // `pictures` and `found`: memory to work with.
  void detect(Detector& detector, std::vector<PipelinePicture>& batch, std::vector<LoadedImage>& pictures,
              std::vector<std::vector<Detection>>& found) {
    pictures.clear();
    for (PipelinePicture& p : batch) {
      if (!p.error) pictures.push_back(std::move(p.picture));
    }
    detector.detect_into(pictures, found);
    size_t next = 0;
    for (PipelinePicture& p : batch) {
      if (p.error) continue;
      p.picture = std::move(pictures[next]);
      p.found = found[next++];
      const bool whole =
          p.picture.image.width == p.picture.full_width && p.picture.image.height == p.picture.full_height;
      if (!steps_.write || !whole) p.picture.image = {};
    }
  }

  void collect(PipelineBatch& batch) {
    if (batch.error) std::rethrow_exception(batch.error);
    for (PipelinePicture& picture : batch.pictures) {
      if (picture.error) {
        tell_broken(picture);
        continue;
      }
      steps_.collect(picture);
      if (steps_.write && !drawings_.push(std::move(picture))) rethrow_failure();
    }
  }

  [[noreturn]] void rethrow_failure() {
    const std::lock_guard lock(shared_);
    std::rethrow_exception(failure_);
  }

  void tell_broken(const PipelinePicture& picture) {
    try {
      std::rethrow_exception(picture.error);
    } catch (const std::exception& error) {
      steps_.broken(picture.index, error.what());
    }
  }

  void write_pictures() {
    double seconds = 0;
    while (std::optional<PipelinePicture> picture = drawings_.pop()) {
      const Clock::time_point start = Clock::now();
      steps_.write(*picture);
      seconds += seconds_since(start);
    }
    add_time(times_.write_seconds, seconds);
  }

  void add_time(double& total, double seconds) {
    const std::lock_guard lock(shared_);
    total += seconds;
  }

  void fail_with(std::exception_ptr error) {
    {
      const std::lock_guard lock(shared_);
      if (!failure_) failure_ = std::move(error);
    }
    stop();
  }

  // Nobody begins anything new; what is under way comes to its end.
  void stop() {
    stop_ = true;
    loaded_.close();
    found_.close();
    drawings_.close();
  }

  void end() {
    stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  const std::span<Detector* const> detectors_;
  const PipelineOptions options_;
  const PipelineSteps& steps_;
  OrderedQueue<PipelinePicture> loaded_;
  OrderedQueue<PipelineBatch> found_;
  BoundedQueue<PipelinePicture> drawings_;
  std::atomic<bool> stop_ = false;
  std::mutex forming_;
  std::mutex shared_;  // of the two below
  PipelineTimes times_;
  std::exception_ptr failure_;  // of a thread, beside those that batches carry
  std::vector<std::thread> threads_;
};

}  // namespace

PipelineTimes run_pipeline(size_t count, std::span<Detector* const> detectors, const PipelineOptions& options,
                           const PipelineSteps& steps) {
  check(!detectors.empty() && options.batch > 0 && options.loaders > 0 && options.writers > 0 && options.ahead > 0,
        "a pipeline needs detectors, loaders, writers, room and a batch");
  return Pipeline(count, detectors, options, steps).run();
}

size_t most_pictures(size_t detectors, const PipelineOptions& options) {
  // Loaded; in the batch that is being formed, in those under way, in the one being collected; waiting to be written
  // and being written.
  return options.ahead + static_cast<size_t>(options.batch) * (1 + batches_under_way(detectors) + 1) +
         2 * options.writers;
}

}  // namespace yolov3
