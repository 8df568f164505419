#include "data/loader.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <thread>

#include "base/error.h"

namespace yolov3 {
namespace {

// Indices of Rng(seed, epoch, index) that no example has.
constexpr uint64_t kOrderStream = uint64_t{1} << 63;
constexpr uint64_t kSizeStream = uint64_t{1} << 62;  // + the group of batches

void check_options(const LoaderOptions& options) {
  check(options.batch >= 1, "the batch size must be at least 1, not {}", options.batch);
  check(options.ranks >= 1 && options.rank >= 0 && options.rank < options.ranks, "rank {} of {}: expected 0 to {}",
        options.rank, options.ranks, options.ranks - 1);
  check(options.batch >= options.ranks, "a batch of {} cannot be shared by {} ranks", options.batch, options.ranks);
  check(options.width >= 1 && options.height >= 1, "the network input must be at least 1x1, not {}x{}", options.width,
        options.height);
  check(options.multi_scale_every >= 1, "multi_scale_every must be at least 1, not {}", options.multi_scale_every);
  for (const int size : options.multi_scale) check(size >= 1, "a multi-scale size must be at least 1, not {}", size);
  check(options.workers >= 0, "the number of loader workers must be at least 0, not {}", options.workers);
  check(options.prefetch >= 1, "the number of prefetched batches must be at least 1, not {}", options.prefetch);
  check(options.min_box_px >= 0, "min_box_px must be at least 0, not {}", options.min_box_px);
  check(options.strong_epochs >= 0, "the epochs with strong augmentation must be at least 0, not {}",
        options.strong_epochs);
  check_augment_options(options.augment);
}

LoaderOptions without_strong(LoaderOptions options) {
  options.augment = without_strong(options.augment);
  return options;
}

}  // namespace

// Batches in the making wait in a queue, in order. A task is the next unclaimed sample of the queue; when all are
// claimed and there is room, a new batch joins. What the mutex guards is named below; a worker writes its own sample's
// place in a batch without it, and counts it done under it.
struct Loader::Impl {
  struct Pending {
    Batch batch;
    std::vector<uint64_t> streams;  // of each example's Rng
    uint64_t epoch = 0;
    int width = 0, height = 0;
    int claimed = 0, done = 0;
    int failed = -1;  // lowest sample that failed, so that the same error is thrown for any worker count
    std::exception_ptr error;
    std::once_flag allocated;  // by the first worker that needs the tensor, not under the mutex
    int size() const { return static_cast<int>(batch.examples.size()); }
  };
  using Clock = std::chrono::steady_clock;

  const Dataset& dataset;
  const LoaderOptions options, mild_options;
  const PictureSampler sampler;
  const int64_t example_count, batch_count;

  std::mutex mutex;  // guards all below but wait and workers
  std::condition_variable work, ready;
  std::deque<std::shared_ptr<Pending>> queue;
  std::vector<EpochPlace> order;
  int64_t epoch = -1, next_batch = batch_count;  // nothing to do before start_epoch
  bool stopping = false;

  Clock::duration wait{};
  std::vector<std::thread> workers;

  Impl(const Dataset& data, const LoaderOptions& loader_options)
      : dataset(data),
        options(loader_options),
        mild_options(without_strong(loader_options)),
        sampler(data, loader_options.image_weights),
        example_count(static_cast<int64_t>(data.examples.size())),
        batch_count((example_count + loader_options.batch - 1) / loader_options.batch) {}

  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    work.notify_all();
    for (std::thread& worker : workers) worker.join();
  }

  void begin_batch();
  std::shared_ptr<Pending> claim(int& index);
  std::exception_ptr prepare(Pending& pending, int index) const;
  void run(Pending& pending, int index);
  void work_until_stopped();
};

// Mutex held.
void Loader::Impl::begin_batch() {
  auto pending = std::make_shared<Pending>();
  pending->epoch = static_cast<uint64_t>(epoch);
  pending->width = options.width;
  pending->height = options.height;
  if (!options.multi_scale.empty()) {
    Rng rng(options.seed, pending->epoch, kSizeStream + static_cast<uint64_t>(next_batch / options.multi_scale_every));
    const int64_t choice = rng.integer(0, static_cast<int64_t>(options.multi_scale.size()) - 1);
    pending->width = pending->height = options.multi_scale[static_cast<size_t>(choice)];
  }
  const int64_t first = next_batch * options.batch, end = std::min(first + options.batch, example_count);
  Batch& batch = pending->batch;
  batch.whole = end - first;
  int64_t mine = first + batch.whole * options.rank / options.ranks;
  int64_t next_rank = first + batch.whole * (options.rank + 1) / options.ranks;
  batch.counts = mine < next_rank;
  if (!batch.counts) {
    mine = first;
    next_rank = first + 1;
  }
  for (int64_t i = mine; i < next_rank; ++i) {
    batch.examples.push_back(order[static_cast<size_t>(i)].example);
    pending->streams.push_back(order[static_cast<size_t>(i)].stream);
  }
  batch.objects_net.resize(batch.examples.size());
  batch.letterboxes.resize(batch.examples.size());
  batch.image_sizes.resize(batch.examples.size());
  queue.push_back(std::move(pending));
  ++next_batch;
}

// Mutex held. The batch of the next sample to prepare, or null when there is nothing to do now.
std::shared_ptr<Loader::Impl::Pending> Loader::Impl::claim(int& index) {
  auto open = std::ranges::find_if(queue, [](const auto& pending) { return pending->claimed < pending->size(); });
  if (open == queue.end()) {
    if (next_batch >= batch_count || queue.size() >= static_cast<size_t>(options.prefetch)) return nullptr;
    begin_batch();
    open = std::prev(queue.end());
  }
  index = (*open)->claimed++;
  return *open;
}

// Without the mutex. What went wrong, or null.
std::exception_ptr Loader::Impl::prepare(Pending& pending, int index) const {
  Batch& batch = pending.batch;
  const auto i = static_cast<size_t>(index);
  const Example& example = dataset.examples[static_cast<size_t>(batch.examples[i])];
  try {
    std::call_once(pending.allocated, [&] {
      batch.images = Tensor({pending.size(), 3, pending.height, pending.width});
    });
    const int64_t image_elements = batch.images.size() / pending.size();
    const bool strong = static_cast<int64_t>(pending.epoch) < options.strong_epochs;
    PreparedSample prepared = prepare_sample(
        dataset, sampler, batch.examples[i], strong ? options : mild_options, pending.width, pending.height,
        Rng(options.seed, pending.epoch, pending.streams[i]), batch.images.data() + index * image_elements);
    batch.objects_net[i] = std::move(prepared.objects_net);
    batch.letterboxes[i] = prepared.letterbox;
    batch.image_sizes[i] = {prepared.image_width, prepared.image_height};
  } catch (const Error&) {
    return std::current_exception();  // prepare_sample names the picture
  } catch (const std::exception& error) {
    return std::make_exception_ptr(Error(with_picture(error.what(), example)));
  }
  return nullptr;
}

// Without the mutex.
void Loader::Impl::run(Pending& pending, int index) {
  std::exception_ptr error = prepare(pending, index);
  const std::lock_guard lock(mutex);
  if (error && (!pending.error || index < pending.failed)) {
    pending.error = std::move(error);
    pending.failed = index;
  }
  if (++pending.done == pending.size()) ready.notify_all();
}

// Decoding, augmentation and letterbox use no threads of their own: as many cores are busy as there are workers.
void Loader::Impl::work_until_stopped() {
  std::unique_lock lock(mutex);
  while (!stopping) {
    int index = 0;
    if (const std::shared_ptr<Pending> pending = claim(index)) {
      lock.unlock();
      run(*pending, index);
      lock.lock();
    } else {
      work.wait(lock);
    }
  }
}

Loader::Loader(const Dataset& dataset, const LoaderOptions& options) {
  check_options(options);
  impl_ = std::make_unique<Impl>(dataset, options);
  for (int i = 0; i < options.workers; ++i) impl_->workers.emplace_back(&Impl::work_until_stopped, impl_.get());
}

Loader::~Loader() = default;

int64_t Loader::batches_per_epoch() const { return impl_->batch_count; }

void Loader::start_epoch(int64_t epoch, int64_t first_batch) {
  check(epoch >= 0, "an epoch must be at least 0, not {}", epoch);
  check(first_batch >= 0 && first_batch <= impl_->batch_count, "batch {} is not in an epoch of {} batches", first_batch,
        impl_->batch_count);
  std::vector<EpochPlace> order = impl_->sampler.epoch(
      impl_->options.shuffle, Rng(impl_->options.seed, static_cast<uint64_t>(epoch), kOrderStream));
  impl_->wait = {};
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->queue.clear();  // samples that workers are at are finished into batches that nobody sees
    impl_->order = std::move(order);
    impl_->epoch = epoch;
    impl_->next_batch = first_batch;
  }
  impl_->work.notify_all();
}

std::optional<Batch> Loader::next() {
  const auto begin = Impl::Clock::now();
  std::unique_lock lock(impl_->mutex);
  check(impl_->epoch >= 0, "a loader gives batches only after start_epoch");
  auto& queue = impl_->queue;
  if (queue.empty() && impl_->next_batch >= impl_->batch_count) return std::nullopt;
  while (queue.empty() || queue.front()->done < queue.front()->size()) {
    if (!impl_->workers.empty()) {
      impl_->ready.wait(lock);
      continue;
    }
    int index = 0;
    const std::shared_ptr<Impl::Pending> pending = impl_->claim(index);
    lock.unlock();
    impl_->run(*pending, index);
    lock.lock();
  }
  const std::shared_ptr<Impl::Pending> pending = std::move(queue.front());
  queue.pop_front();
  lock.unlock();
  impl_->work.notify_all();
  impl_->wait += Impl::Clock::now() - begin;
  if (pending->error) std::rethrow_exception(pending->error);
  return std::move(pending->batch);
}

double Loader::wait_seconds() const { return std::chrono::duration<double>(impl_->wait).count(); }

}  // namespace yolov3
