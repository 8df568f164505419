#include "detect/anchors.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "base/rng.h"
#include "net/models.h"

namespace yolov3 {
namespace {

TEST(Anchors, SizesOverlapAsIfCentred) {
  EXPECT_DOUBLE_EQ(size_iou({10, 10}, {10, 20}), 0.5);
  EXPECT_DOUBLE_EQ(size_iou({10, 20}, {20, 10}), 100.0 / 300);
  EXPECT_DOUBLE_EQ(size_iou({7, 3}, {7, 3}), 1);
}

// 10x10 overlaps 10x20 by 1/2 and 40x40 by 1/16; 40x20 overlaps 10x20 by 200/800 and 40x40 by 800/1600.
TEST(Anchors, FitByHand) {
  const std::vector<Anchor> sizes = {{10, 10}, {40, 20}, {10, 20}, {100, 100}}, anchors = {{10, 20}, {40, 40}};
  const AnchorFit fit = anchor_fit(sizes, anchors, 0.3);
  EXPECT_DOUBLE_EQ(fit.mean_iou, (0.5 + 0.5 + 1 + 0.16) / 4);
  EXPECT_DOUBLE_EQ(fit.recall, 0.75);
  EXPECT_DOUBLE_EQ(fit.recall_50, 0.25);  // more than a half, not a half
  EXPECT_THROW(anchor_fit({}, anchors, 0.3), Error);
}

TEST(Anchors, ThreeHeapsGiveTheirMeans) {
  std::vector<Anchor> sizes;
  for (const float d : {-1.0f, 0.0f, 1.0f}) {
    sizes.push_back({200 + d, 180 - d});
    sizes.push_back({20 + d, 20});
    sizes.push_back({60, 110 + d});
  }
  EXPECT_EQ(cluster_anchors(sizes, {.clusters = 3}), (std::vector<Anchor>{{20, 20}, {60, 110}, {200, 180}}));
}

// All 2^11 ways to divide twelve boxes in two, each with the means as centres: no result of k-means can be better, and
// of many starts one is that good.
TEST(Anchors, FindsTheBestDivisionOfAFewBoxes) {
  std::vector<Anchor> sizes;
  Rng rng(4);
  for (int i = 0; i < 12; ++i) {
    sizes.push_back({static_cast<float>(rng.uniform(5, 100)), static_cast<float>(rng.uniform(5, 100))});
  }
  double best = 0;
  for (unsigned division = 1; division < (1u << 11); ++division) {
    double width[2] = {}, height[2] = {}, count[2] = {};
    for (unsigned i = 0; i < 12; ++i) {
      const unsigned side = division >> i & 1;
      width[side] += sizes[i].width;
      height[side] += sizes[i].height;
      ++count[side];
    }
    double sum = 0;
    for (const Anchor& size : sizes) {
      double most = 0;
      for (int side = 0; side < 2; ++side) {
        const double w = width[side] / count[side], h = height[side] / count[side];
        const double inter = std::min<double>(size.width, w) * std::min<double>(size.height, h);
        most = std::max(most, inter / (double{size.width} * size.height + w * h - inter));
      }
      sum += most;
    }
    best = std::max(best, sum / 12);
  }
  const double found = anchor_fit(sizes, cluster_anchors(sizes, {.clusters = 2, .restarts = 50}), 0.3).mean_iou;
  EXPECT_GT(found, best - 0.01);  // k-means stops where no box wants to change sides, which may be just beside
  EXPECT_LT(found, best + 0.03);  // its own first centres are boxes, not means, and count too
}

TEST(Anchors, TheSeedDecides) {
  std::vector<Anchor> sizes;
  Rng rng(1);
  for (int i = 0; i < 300; ++i) {
    sizes.push_back({static_cast<float>(rng.uniform(5, 300)), static_cast<float>(rng.uniform(5, 300))});
  }
  const std::vector<Anchor> first = cluster_anchors(sizes, {.restarts = 3, .seed = 7});
  EXPECT_EQ(first, cluster_anchors(sizes, {.restarts = 3, .seed = 7}));
  EXPECT_NE(first, cluster_anchors(sizes, {.restarts = 3, .seed = 8}));
  EXPECT_TRUE(std::ranges::is_sorted(first, {}, [](const Anchor& a) { return a.width * a.height; }));
  // More starts are never worse, and nine anchors of its own fit better than one.
  EXPECT_GE(anchor_fit(sizes, cluster_anchors(sizes, {.restarts = 20, .seed = 7}), 0.3).mean_iou,
            anchor_fit(sizes, first, 0.3).mean_iou);
  EXPECT_GT(anchor_fit(sizes, first, 0.3).mean_iou,
            anchor_fit(sizes, cluster_anchors(sizes, {.clusters = 1}), 0.3).mean_iou);
}

TEST(Anchors, TooFewSizesAreRefused) {
  const std::vector<Anchor> sizes = {{10, 10}, {10, 10}, {20, 10}};
  EXPECT_THROW(cluster_anchors(sizes, {.clusters = 3}), Error);
  EXPECT_THROW(cluster_anchors({}, {.clusters = 1}), Error);
  EXPECT_EQ(cluster_anchors(sizes, {.clusters = 2}), (std::vector<Anchor>{{10, 10}, {20, 10}}));
}

// Two 10x13 boxes in the middle of cell (5,5) of stride 8: the second takes the first's only target.
TEST(Anchors, TargetsAreCountedAsTheyAreAssigned) {
  const std::vector<Head> all = heads(yolov3({.classes = 1}));
  const Annotation small{{39, 37.5f, 49, 50.5f}}, large{{20, 20, 393, 346}};  // 10x13 and 373x326, exactly
  const AnchorTargets counts = count_targets({{small, small}, {}, {large}}, all);
  EXPECT_EQ(counts.scales[0].objects, 2);
  EXPECT_EQ(counts.scales[0].targets, 1);
  EXPECT_EQ(counts.scales[1].objects, 0);
  EXPECT_EQ(counts.scales[2].objects, 1);
  EXPECT_EQ(counts.scales[2].targets, 1);
  EXPECT_EQ(counts.overwritten, 1);
  EXPECT_EQ(counts.lost, 1);
}

TEST(Anchors, ANetworkTakesNewAnchors) {
  const NetworkSpec spec = yolov3({.classes = 2});
  std::vector<Anchor> anchors;
  for (int i = 1; i <= 9; ++i) anchors.push_back({static_cast<float>(10 * i), static_cast<float>(11 * i)});
  const NetworkSpec changed = with_anchors(spec, anchors);
  EXPECT_EQ(changed, yolov3({.classes = 2, .anchors = anchors}));
  EXPECT_EQ(heads(changed)[0].anchors, (std::vector<Anchor>{{10, 11}, {20, 22}, {30, 33}}));
  anchors.resize(6);
  EXPECT_EQ(heads_with_anchors(heads(spec), anchors)[2].anchors, (std::vector<Anchor>{{50, 55}, {60, 66}}));
  EXPECT_THROW(with_anchors(spec, anchors), Error);
  anchors.resize(5);
  EXPECT_THROW(heads_with_anchors(heads(spec), anchors), Error);
}

// Three heaps of boxes; a tenth of them, drawn by lot, say the same, and within the limit nothing is drawn.
TEST(Anchors, OfManyBoxesSomeAreClustered) {
  std::vector<Anchor> sizes;
  Rng rng(9);
  const Anchor heaps[] = {{20, 30}, {90, 60}, {200, 240}};
  for (int i = 0; i < 30'000; ++i) {
    const Anchor& heap = heaps[i % 3];
    sizes.push_back({heap.width * static_cast<float>(rng.uniform(0.9, 1.1)),
                     heap.height * static_cast<float>(rng.uniform(0.9, 1.1))});
  }
  const std::vector<Anchor> all = cluster_anchors(sizes, {.clusters = 3, .restarts = 4});
  const std::vector<Anchor> some = cluster_anchors(sizes, {.clusters = 3, .restarts = 4, .max_sizes = 3000});
  ASSERT_EQ(some.size(), 3u);
  for (size_t a = 0; a < 3; ++a) {
    EXPECT_NEAR(some[a].width, heaps[a].width, 0.005f * heaps[a].width);  // 0.058 / sqrt(1000), nearly three times
    EXPECT_NEAR(some[a].height, heaps[a].height, 0.005f * heaps[a].height);
  }
  EXPECT_EQ(cluster_anchors(sizes, {.clusters = 3, .restarts = 4, .max_sizes = 30'000}), all);
  EXPECT_NE(some, all);
}

}  // namespace
}  // namespace yolov3
