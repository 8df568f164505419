#include "eval/matching.h"

#include <algorithm>
#include <numeric>

namespace yolov3 {
namespace {

constexpr double kVocIou = 0.5;

// numpy's linspace(.5, .95, 10), to the bit.
double iou_threshold(int t) { return t == kCocoThresholds - 1 ? 0.95 : t * ((0.95 - 0.5) / 9) + 0.5; }

bool outside_range(double area, int range) {
  constexpr double kRanges[kCocoAreas][2] = {{0, 1e10}, {0, 32 * 32}, {32 * 32, 96 * 96}, {96 * 96, 1e10}};
  return area < kRanges[range][0] || area > kRanges[range][1];
}

// Truth of one area range: objects that count first, ignored ones after.
struct RangedTruth {
  std::vector<size_t> order;
  size_t counted = 0;
};

RangedTruth range_truth(std::span<const TruthBox> truth, int range) {
  RangedTruth ranged;
  ranged.order.resize(truth.size());
  std::iota(ranged.order.begin(), ranged.order.end(), size_t{0});
  const auto middle = std::stable_partition(ranged.order.begin(), ranged.order.end(), [&](size_t i) {
    return !truth[i].ignored() && !outside_range(truth[i].area, range);
  });
  ranged.counted = static_cast<size_t>(middle - ranged.order.begin());
  return ranged;
}

// Index into ranged.order of the object that a detection finds, or order.size(). Ties go to the later object.
size_t find_object(const RangedTruth& ranged, std::span<const TruthBox> truth, const double* overlaps,
                   const std::vector<bool>& taken, double threshold) {
  size_t found = ranged.order.size();
  double best = std::min(threshold, 1 - 1e-10);
  for (size_t i = 0; i < ranged.order.size(); ++i) {
    if (i == ranged.counted && found < ranged.counted) break;  // one that counts is better than any ignored one
    const size_t object = ranged.order[i];
    if (taken[i] && !truth[object].ignored()) continue;  // ignored regions may be found again and again
    if (overlaps[object] < best) continue;
    best = overlaps[object];
    found = i;
  }
  return found;
}

void match_range(std::span<const TruthBox> truth, std::span<const ScoredBox> detections,
                 const std::vector<double>& overlaps, int range, CocoDetection* out) {
  const RangedTruth ranged = range_truth(truth, range);
  for (int t = 0; t < kCocoThresholds; ++t) {
    const auto bit = static_cast<uint16_t>(1u << t);
    std::vector<bool> taken(truth.size());
    for (size_t d = 0; d < detections.size(); ++d) {
      const size_t found = find_object(ranged, truth, overlaps.data() + d * truth.size(), taken, iou_threshold(t));
      if (found < truth.size()) {
        taken[found] = true;
        out[d].matched[range] |= bit;
        if (found >= ranged.counted) out[d].ignored[range] |= bit;
      } else if (outside_range(detections[d].box.area(), range)) {
        out[d].ignored[range] |= bit;
      }
    }
  }
}

}  // namespace

void match_coco(std::span<const TruthBox> truth, std::span<const ScoredBox> detections, CocoClass& out) {
  for (int range = 0; range < kCocoAreas; ++range) {
    for (const TruthBox& object : truth) {
      if (!object.ignored() && !outside_range(object.area, range)) ++out.positives[range];
    }
  }
  detections = detections.first(std::min<size_t>(detections.size(), kCocoMaxDetections));
  const size_t first = out.detections.size();
  std::vector<double> overlaps;
  overlaps.reserve(truth.size() * detections.size());
  for (size_t d = 0; d < detections.size(); ++d) {
    out.detections.push_back({detections[d].score, static_cast<int>(d), {}, {}});
    for (const TruthBox& object : truth) overlaps.push_back(overlap(detections[d].box, object));
  }
  for (int range = 0; range < kCocoAreas; ++range) {
    match_range(truth, detections, overlaps, range, out.detections.data() + first);
  }
}

void match_voc(std::span<const TruthBox> truth, std::span<const ScoredBox> detections, VocClass& out) {
  for (const TruthBox& object : truth) out.positives += object.ignored() ? 0 : 1;
  std::vector<bool> taken(truth.size());
  for (const ScoredBox& detection : detections) {
    size_t nearest = truth.size();
    double best = 0;
    bool in_crowd = false;
    for (size_t i = 0; i < truth.size(); ++i) {
      const double shared = overlap(detection.box, truth[i]);
      if (truth[i].crowd) {
        in_crowd |= shared >= kVocIou;
      } else if (shared > best) {
        best = shared;
        nearest = i;
      }
    }
    const bool near = best >= kVocIou;
    if (near && truth[nearest].difficult) continue;
    const bool right = near && !taken[nearest];
    if (right) taken[nearest] = true;
    if (right || !in_crowd) out.detections.push_back({detection.score, right});
  }
}

}  // namespace yolov3
