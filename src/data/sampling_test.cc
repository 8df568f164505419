#include "data/sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"

namespace yolov3 {
namespace {

// A picture for each entry, holding these classes.
Dataset pictures_of(const std::vector<std::vector<int>>& classes) {
  Dataset dataset;
  dataset.names = {"common", "rare", "rarest"};
  for (const std::vector<int>& list : classes) {
    Example example;
    for (const int k : list) example.objects.push_back({.box = {0, 0, 5, 5}, .class_id = k});
    dataset.examples.push_back(example);
  }
  return dataset;
}

// Common in 8 pictures, rare in 2, rarest in 1; one background.
Dataset uneven() { return pictures_of({{0}, {0, 0, 0}, {0}, {0}, {0}, {0}, {0, 1}, {1, 0}, {2}, {}}); }

TEST(Sampling, WeightsByHand) {
  const PictureSampler half(uneven(), 0.5), whole(uneven(), 1);
  const std::vector<double> want_half{1, 1, 1, 1, 1, 1, 2, 2, std::sqrt(8.0), 1};
  const std::vector<double> want_whole{1, 1, 1, 1, 1, 1, 4, 4, 8, 1};
  ASSERT_EQ(half.weights().size(), 10u);
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_DOUBLE_EQ(half.weights()[i], want_half[i]) << i;
    EXPECT_DOUBLE_EQ(whole.weights()[i], want_whole[i]) << i;
  }
  EXPECT_TRUE(PictureSampler(uneven(), 0).weights().empty());
  EXPECT_THROW(PictureSampler(uneven(), -1), Error);
}

TEST(Sampling, ACrowdRegionIsNoObject) {
  Dataset dataset = uneven();
  dataset.examples[8].objects[0].crowd = true;
  EXPECT_DOUBLE_EQ(PictureSampler(dataset, 1).weights()[8], 1);
  EXPECT_EQ(objects_of_classes(dataset), (std::vector<int64_t>{10, 2, 0}));
}

TEST(Sampling, WithoutWeightsEachPictureOnce) {
  const PictureSampler sampler(uneven(), 0);
  const std::vector<EpochPlace> in_order = sampler.epoch(false, Rng(1));
  ASSERT_EQ(in_order.size(), 10u);
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ(in_order[i], (EpochPlace{static_cast<int64_t>(i), i}));
  std::vector<EpochPlace> shuffled = sampler.epoch(true, Rng(1));
  EXPECT_NE(shuffled, in_order);
  std::ranges::sort(shuffled, {}, &EpochPlace::example);
  EXPECT_EQ(shuffled, in_order);
}

// 10 places shared by weights that sum to 23: 10/23 of the weight each, rounded down or up.
TEST(Sampling, EachPictureComesAsOftenAsItsShareSays) {
  const PictureSampler sampler(uneven(), 1);
  std::map<int64_t, int64_t> all;
  constexpr int kEpochs = 4000;
  for (uint64_t epoch = 0; epoch < kEpochs; ++epoch) {
    const std::vector<EpochPlace> places = sampler.epoch(true, Rng(3, epoch));
    ASSERT_EQ(places.size(), 10u);
    std::map<int64_t, int64_t> times;
    std::set<uint64_t> streams;
    for (const EpochPlace& place : places) {
      ++times[place.example], ++all[place.example];
      streams.insert(place.stream);
    }
    EXPECT_EQ(streams.size(), 10u) << "two places are augmented alike";
    for (size_t i = 0; i < 10; ++i) {
      const double share = 10 * sampler.weights()[i] / 23;
      const auto count = static_cast<double>(times[static_cast<int64_t>(i)]);
      ASSERT_GE(count, std::floor(share)) << "picture " << i;
      ASSERT_LE(count, std::ceil(share)) << "picture " << i;
      if (count == 0) continue;
      EXPECT_TRUE(streams.contains(i)) << "its first place has the stream that it has without weights";
    }
  }
  for (size_t i = 0; i < 10; ++i) {  // over many epochs the share itself; a count varies by at most 1/2 of a place
    EXPECT_NEAR(static_cast<double>(all[static_cast<int64_t>(i)]) / kEpochs, 10 * sampler.weights()[i] / 23,
                5 * 0.5 / std::sqrt(double{kEpochs}));
  }
}

TEST(Sampling, TheSameRngGivesTheSameEpochAndAnotherAnother) {
  const PictureSampler sampler(uneven(), 0.5);
  EXPECT_EQ(sampler.epoch(true, Rng(5, 1)), sampler.epoch(true, Rng(5, 1)));
  EXPECT_NE(sampler.epoch(true, Rng(5, 1)), sampler.epoch(true, Rng(5, 2)));
  EXPECT_TRUE(PictureSampler(pictures_of({}), 1).epoch(true, Rng(1)).empty());
}

TEST(Sampling, SinglePicturesAreDrawnByWeight) {
  const PictureSampler weighted(uneven(), 1), even(uneven(), 0);
  constexpr int kDraws = 23000;
  std::map<int64_t, int> by_weight, evenly;
  Rng rng(7);
  for (int i = 0; i < kDraws; ++i) ++by_weight[weighted.draw(rng)], ++evenly[even.draw(rng)];
  for (int64_t i = 0; i < 10; ++i) {
    const double p = weighted.weights()[static_cast<size_t>(i)] / 23;
    EXPECT_NEAR(by_weight[i], kDraws * p, 5 * std::sqrt(kDraws * p * (1 - p))) << i;
    EXPECT_NEAR(evenly[i], kDraws * 0.1, 5 * std::sqrt(kDraws * 0.09)) << i;
  }
}

TEST(Sampling, TheWeightsAreToldInWords) {
  EXPECT_EQ(describe_weights(PictureSampler(uneven(), 0)), "");
  // Weights 1 to 8, mean 2.3; three are at least that.
  EXPECT_EQ(describe_weights(PictureSampler(uneven(), 1)),
            "image weights: a picture comes 0.43 to 3.48 times an epoch; 3 of 10 come at least once in each");
}

}  // namespace
}  // namespace yolov3
