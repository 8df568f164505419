// Anchors for a data set: how well given ones fit its boxes, and which would fit better.
//
// A box and an anchor are compared by their sizes alone, both centred on one point. Units: pixels of the network input.
// Source: k-means with the distance 1 - IoU, arXiv 1612.08242 section 2; seeding as k-means++ (Arthur and
// Vassilvitskii 2007) with that distance squared.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/objects.h"
#include "detect/assign.h"
#include "net/spec.h"

namespace yolov3 {

double size_iou(const Anchor& a, const Anchor& b);

struct AnchorFit {
  double mean_iou = 0;   // of each box with the anchor most like it
  double recall = 0;     // best possible recall: boxes that an anchor overlaps by more than positive_iou
  double recall_50 = 0;  // ... by more than a half
};

// Errors: no sizes, no anchors.
AnchorFit anchor_fit(std::span<const Anchor> sizes, std::span<const Anchor> anchors, double positive_iou);

struct ClusterOptions {
  int clusters = 9;
  int restarts = 20;         // from other seeds; the best result counts
  int max_iterations = 300;  // of one start
  uint64_t seed = 0;
  size_t max_sizes = 100'000;  // of more, as many are drawn by the seed: anchors are the same to a thousandth
};

// Smallest area first. The same for any number of threads. Errors: fewer different sizes than clusters.
std::vector<Anchor> cluster_anchors(std::span<const Anchor> sizes, const ClusterOptions& options);

// What assign makes of a data set's objects.
struct ScaleTargets {
  int64_t objects = 0;  // that the scale answers for
  int64_t targets = 0;  // cells' anchors that answer, after overwriting
};
struct AnchorTargets {
  std::vector<ScaleTargets> scales;  // small objects first
  int64_t overwritten = 0;           // targets that an object wanted and another one has
  int64_t lost = 0;                  // objects that are left without any target
};
AnchorTargets count_targets(const std::vector<std::vector<Annotation>>& objects_net, const std::vector<Head>& heads,
                            const AssignOptions& options = {});

// The heads with these anchors instead, smallest to the first head: as many each as before, or the same number for all.
// Errors: a count that the heads cannot share.
std::vector<Head> heads_with_anchors(std::vector<Head> heads, std::span<const Anchor> anchors);

// The network with these anchors. Errors: another count a head, which would be another network.
NetworkSpec with_anchors(NetworkSpec spec, std::span<const Anchor> anchors);

}  // namespace yolov3
