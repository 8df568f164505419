// Pictures and boxes to batches, ahead of time, in worker threads.
//
// The batches are the same bytes for any number of workers: order, sizes and augmentation come from
// Rng(seed, epoch, index) alone, and batches are handed out in order. Workers share out single samples, first batch
// first, so that the first batch of an epoch is ready as soon as it can be and a large picture holds up only itself.
//
// Frame: boxes leave in the network's pixels; image_from_net with the batch's letterbox gives pixels of the original
// picture, whatever size was decoded (with augmentation: pixels of the augmented picture).
// Ranks: the shares of all ranks, put together in their order, are the batches of one rank alone.
// Errors: Error, naming picture and origin, from next(). Threads: one thread drives a Loader; its workers are inside.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "data/augment.h"
#include "data/batch.h"
#include "data/dataset.h"
#include "data/prepare.h"

namespace yolov3 {

struct LoaderOptions {
  int batch = 8;
  int rank = 0,
      ranks = 1;  // of each batch this rank's share alone is loaded: whole * rank / ranks up to the next rank's
  int width = 416, height = 416;  // of the network input
  std::vector<int> multi_scale;   // square sizes, one drawn every multi_scale_every batches, for width x height
  int multi_scale_every = 10;
  bool shuffle = false;    // anew each epoch
  bool augmented = false;  // apply `augment`
  AugmentOptions augment;
  int64_t strong_epochs =
      std::numeric_limits<int64_t>::max();  // epochs with strong augmentation; the later are without
  double image_weights = 0;                 // pictures with rare classes come more often: PictureSampler's rarity
  bool letterbox = true;                    // false: stretch
  bool exact_decode = false;                // never decode JPEGs at reduced size
  int workers = 2;                          // threads; 0 = load inside next()
  int prefetch = 4;                         // batches begun or finished that may wait, the bound of the memory
  uint64_t seed = 0;
  float min_box_px = 1.0f;  // boxes narrower or lower in the network's pixels after clipping are left out
};

class Loader {
 public:
  // The data set must outlive the loader. Errors: options out of range.
  Loader(const Dataset& dataset, const LoaderOptions& options);
  ~Loader();  // waits for the samples that the workers are at, no longer
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  int64_t batches_per_epoch() const;  // the last may be smaller; nothing is dropped, nothing taken twice

  // Begins an epoch at batch `first_batch`, discarding what was prefetched. The batches from there on are those that
  // the epoch would have had without the interruption.
  void start_epoch(int64_t epoch, int64_t first_batch = 0);

  // The next batch of the epoch, or nothing after the last. Errors of workers are thrown here, naming the picture, in
  // place of the batch that it belongs to; the call after that gives the batch after that.
  std::optional<Batch> next();

  double wait_seconds() const;  // spent in next() in this epoch: the loader's share of the time

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace yolov3
