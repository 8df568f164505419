#include "data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>

#include "base/error.h"
#include "data/drawn_pictures.h"
#include "data/test_loader.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

using LoaderTest = DrawnPictures;

// 23 pictures in batches of 4: the last has 3, fewer than the 4 ranks.
TEST_F(LoaderTest, TheSharesOfAllRanksAreTheBatchesOfOne) {
  const Dataset dataset = make_dataset(23);
  LoaderOptions options = small_options(2);
  options.shuffle = options.augmented = true;
  Loader alone(dataset, options);
  const std::vector<Batch> want = run_epoch(alone, 1);
  for (const int ranks : {2, 3, 4}) {
    std::vector<std::vector<Batch>> shares;
    for (int rank = 0; rank < ranks; ++rank) {
      options.rank = rank;
      options.ranks = ranks;
      Loader loader(dataset, options);
      shares.push_back(run_epoch(loader, 1));
      ASSERT_EQ(shares.back().size(), want.size());
    }
    for (size_t b = 0; b < want.size(); ++b) {
      std::vector<int64_t> examples;
      std::vector<float> numbers;
      for (const auto& share : shares) {
        EXPECT_EQ(share[b].whole, static_cast<int64_t>(want[b].examples.size()));
        EXPECT_EQ(share[b].examples.size(), static_cast<size_t>(share[b].images.dim(0)));
        if (!share[b].counts) {
          EXPECT_EQ(share[b].examples, std::vector<int64_t>{want[b].examples[0]});
          continue;
        }
        examples.insert(examples.end(), share[b].examples.begin(), share[b].examples.end());
        numbers.insert(numbers.end(), share[b].images.data(), share[b].images.data() + share[b].images.size());
      }
      EXPECT_EQ(examples, want[b].examples) << ranks << " ranks, batch " << b;
      EXPECT_TRUE(std::ranges::equal(numbers, want[b].images.values())) << ranks << " ranks, batch " << b;
    }
  }
  options.rank = 0;
  options.ranks = 5;
  EXPECT_THROW(Loader(dataset, options), Error) << "a batch of 4 for 5 ranks";
}

TEST_F(LoaderTest, TheSameBytesForAnyNumberOfWorkers) {
  const Dataset dataset = make_dataset(23);
  std::vector<Batch> want[2];
  for (const int workers : {0, 1, 4}) {
    LoaderOptions options = small_options(workers);
    options.shuffle = options.augmented = true;
    options.multi_scale = {32, 64, 96};
    options.multi_scale_every = 2;
    Loader loader(dataset, options);
    for (const int64_t epoch : {0, 1}) {
      std::vector<Batch> got = run_epoch(loader, epoch);
      if (workers == 0)
        want[epoch] = std::move(got);
      else
        expect_same(got, want[epoch], std::to_string(workers) + " workers, epoch " + std::to_string(epoch));
    }
  }
  ASSERT_EQ(want[0].size(), 6u);
  EXPECT_NE(want[0][0].examples, want[1][0].examples) << "the second epoch was not shuffled anew";
}

TEST_F(LoaderTest, ABatchHoldsWhatPrepareSampleGives) {
  const Dataset dataset = make_dataset(6);
  LoaderOptions options = small_options(2);
  options.augmented = true;
  Loader loader(dataset, options);
  for (const Batch& batch : run_epoch(loader, 3)) {
    std::vector<float> planes(3 * 64 * 64);
    for (size_t i = 0; i < batch.examples.size(); ++i) {
      const auto id = static_cast<uint64_t>(batch.examples[i]);
      const auto want = prepare_sample(dataset.examples[id], options, 64, 64, Rng(5, 3, id), planes.data());
      EXPECT_EQ(batch.objects_net[i], want.objects_net);
      EXPECT_TRUE(std::equal(planes.begin(), planes.end(), batch.images.data() + i * planes.size()));
    }
  }
}

TEST_F(LoaderTest, WithoutShuffleInOrderWithItAPermutationAnewEachEpoch) {
  const Dataset dataset = make_dataset(11);
  for (const bool shuffle : {false, true}) {
    LoaderOptions options = small_options(2);
    options.shuffle = shuffle;
    Loader loader(dataset, options);
    std::set<std::vector<int64_t>> orders;
    for (int64_t epoch = 0; epoch < 4; ++epoch) {
      std::vector<int64_t> order;
      for (const Batch& batch : run_epoch(loader, epoch)) std::ranges::copy(batch.examples, std::back_inserter(order));
      orders.insert(order);
      if (shuffle) std::ranges::sort(order);
      std::vector<int64_t> all(11);
      std::iota(all.begin(), all.end(), 0);
      EXPECT_EQ(order, all);
    }
    EXPECT_EQ(orders.size(), shuffle ? 4u : 1u);
  }
}

// D14: the original filled the last batch from the front and crashed on sets of less than half a batch.
TEST_F(LoaderTest, D14TheLastBatchIsSmallerAndTinySetsWork) {
  const struct {
    int examples, batch;
    std::vector<int64_t> sizes;
  } cases[] = {{0, 4, {}}, {1, 4, {1}}, {3, 8, {3}}, {8, 4, {4, 4}}, {9, 4, {4, 4, 1}}};
  for (const auto& c : cases) {
    const Dataset dataset = make_dataset(c.examples);
    for (const int workers : {0, 3}) {
      LoaderOptions options = small_options(workers);
      options.batch = c.batch;
      Loader loader(dataset, options);
      EXPECT_EQ(loader.batches_per_epoch(), static_cast<int64_t>(c.sizes.size()));
      std::vector<int64_t> sizes;
      for (const Batch& batch : run_epoch(loader, 0)) {
        sizes.push_back(batch.images.dim(0));
        EXPECT_EQ(batch.examples.size(), static_cast<size_t>(batch.images.dim(0)));
        EXPECT_EQ(batch.objects_net.size(), batch.examples.size());
      }
      EXPECT_EQ(sizes, c.sizes);
      EXPECT_FALSE(loader.next().has_value());
      EXPECT_GE(loader.wait_seconds(), 0.0);
    }
  }
}

TEST_F(LoaderTest, AnEpochContinuesWhereItWasLeft) {
  const Dataset dataset = make_dataset(18);
  LoaderOptions options = small_options(2);
  options.shuffle = options.augmented = true;
  options.multi_scale = {32, 64};
  options.multi_scale_every = 2;
  Loader whole(dataset, options), rest(dataset, options);
  std::vector<Batch> want = run_epoch(whole, 7);
  ASSERT_EQ(want.size(), 5u);
  for (const int64_t first : {0, 3, 5}) {
    expect_same(run_epoch(rest, 7, first), {want.begin() + first, want.end()}, "from " + std::to_string(first));
  }
  EXPECT_THROW(rest.start_epoch(7, 6), Error);
}

TEST_F(LoaderTest, MultiScaleDrawsOneSizeAGroupOfBatches) {
  const Dataset dataset = make_dataset(24);
  LoaderOptions options = small_options(0);
  options.batch = 1;
  options.multi_scale = {32, 64, 96};
  options.multi_scale_every = 3;
  Loader loader(dataset, options);
  std::set<int64_t> seen;
  std::set<std::vector<int64_t>> epochs;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    const std::vector<Batch> batches = run_epoch(loader, epoch);
    std::vector<int64_t> sizes;
    for (size_t i = 0; i < batches.size(); ++i) {
      const int64_t size = batches[i].images.dim(2);
      EXPECT_EQ(batches[i].images.dim(3), size);
      EXPECT_EQ(batches[i].letterboxes[0].net_width, size);
      if (i % 3 != 0) {
        EXPECT_EQ(size, sizes.back());
      }
      sizes.push_back(size);
    }
    seen.insert(sizes.begin(), sizes.end());
    epochs.insert(sizes);
  }
  EXPECT_EQ(seen, (std::set<int64_t>{32, 64, 96}));
  EXPECT_EQ(epochs.size(), 3u);
}

TEST_F(LoaderTest, AVanishedPictureIsAnErrorInItsPlace) {
  const Dataset dataset = make_dataset(14);
  fs::remove(dataset.examples[5].image);
  fs::remove(dataset.examples[6].image);  // the error is the first one's, whichever worker is faster
  for (const int workers : {0, 1, 4}) {
    Loader loader(dataset, small_options(workers));
    loader.start_epoch(0);
    EXPECT_EQ(loader.next()->examples, (std::vector<int64_t>{0, 1, 2, 3}));
    try {
      loader.next();
      ADD_FAILURE() << "no error with " << workers << " workers";
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find(dataset.examples[5].image.string()), std::string::npos) << message;
      EXPECT_NE(message.find("list.txt:5"), std::string::npos) << message;
    }
    EXPECT_EQ(loader.next()->examples, (std::vector<int64_t>{8, 9, 10, 11}));
    EXPECT_EQ(loader.next()->examples, (std::vector<int64_t>{12, 13}));
    EXPECT_FALSE(loader.next().has_value());
  }
}

TEST_F(LoaderTest, EndsAndStartsAnewWhileWorkersAreBusy) {
  const Dataset dataset = make_dataset(20);
  LoaderOptions options = small_options(4);
  options.augmented = options.shuffle = true;
  Loader reference(dataset, options);
  const std::vector<Batch> want = run_epoch(reference, 9);
  for (int taken = 0; taken < 12; ++taken) {
    Loader loader(dataset, options);
    for (int64_t epoch = 0; epoch < 5; ++epoch) {
      loader.start_epoch(epoch, epoch % 2);
      for (int i = 0; i < taken % 4; ++i) loader.next();
    }
    if (taken % 3 == 0) expect_same(run_epoch(loader, 9), want, "after restarts");
    if (taken % 3 == 1) loader.start_epoch(10);
  }
  const Loader never_started(dataset, options);
}

TEST_F(LoaderTest, OptionsOutOfRangeAreErrors) {
  const Dataset dataset = make_dataset(1);
  const auto refused = [&](auto change) {
    LoaderOptions options = small_options(0);
    change(options);
    EXPECT_THROW(Loader(dataset, options), Error);
  };
  refused([](LoaderOptions& o) { o.batch = 0; });
  refused([](LoaderOptions& o) { o.width = 0; });
  refused([](LoaderOptions& o) { o.multi_scale = {0}; });
  refused([](LoaderOptions& o) { o.multi_scale_every = 0; });
  refused([](LoaderOptions& o) { o.workers = -1; });
  refused([](LoaderOptions& o) { o.prefetch = 0; });
  refused([](LoaderOptions& o) { o.augment.crop = 1.5; });
  refused([](LoaderOptions& o) { o.augment.mosaic = -1; });
  refused([](LoaderOptions& o) { o.strong_epochs = -1; });
  refused([](LoaderOptions& o) { o.image_weights = -1; });
  Loader loader(dataset, small_options(0));
  EXPECT_THROW(loader.next(), Error);  // before start_epoch
}

}  // namespace
}  // namespace yolov3
