#include "eval/coco_figures.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "eval/curve.h"

namespace yolov3 {
namespace {

// The share of all (object, threshold) pairs that the best `max_detections` a picture find.
double mean_recall(const CocoClass& judged, int range, int max_detections) {
  int64_t found = 0;
  for (const CocoDetection& d : judged.detections) {
    const unsigned right = d.matched[range] & ~unsigned{d.ignored[range]};
    if (d.rank < max_detections) found += std::popcount(right);
  }
  return static_cast<double>(found) / static_cast<double>(judged.positives[range] * kCocoThresholds);
}

}  // namespace

double CocoClassFigures::mean_precision(int range) const {
  return std::accumulate(precision[range].begin(), precision[range].end(), 0.0) / kCocoThresholds;
}

CocoClassFigures coco_class_figures(CocoClass& judged) {
  const auto better = [](const CocoDetection& a, const CocoDetection& b) { return a.score > b.score; };
  std::stable_sort(judged.detections.begin(), judged.detections.end(), better);
  CocoClassFigures figures;
  for (int range = 0; range < kCocoAreas; ++range) {
    if (judged.positives[range] == 0) continue;
    for (int t = 0; t < kCocoThresholds; ++t) {
      CurveBuilder curve;
      for (const CocoDetection& d : judged.detections) {
        if ((d.ignored[range] >> t & 1) == 0) curve.add((d.matched[range] >> t & 1) != 0);
      }
      figures.precision[range][t] = coco_average_precision(curve.envelope(), judged.positives[range]);
    }
    figures.recall[range] = mean_recall(judged, range, kCocoMaxDetections);
  }
  if (judged.positives[kAllAreas] > 0) {
    figures.recall1 = mean_recall(judged, kAllAreas, 1);
    figures.recall10 = mean_recall(judged, kAllAreas, 10);
  }
  return figures;
}

void CocoMeans::add(const CocoClass& judged, const CocoClassFigures& figures) {
  for (int range = 0; range < kCocoAreas; ++range) {
    if (judged.positives[range] == 0) continue;
    precision_[range].add(figures.mean_precision(range));
    recall_[range].add(figures.recall[range]);
  }
  if (judged.positives[kAllAreas] == 0) return;
  ap50_.add(figures.precision[kAllAreas][0]);
  ap75_.add(figures.precision[kAllAreas][5]);
  recall1_.add(figures.recall1);
  recall10_.add(figures.recall10);
}

CocoFigures CocoMeans::figures() const {
  return {.ap = precision_[kAllAreas].value(),
          .ap50 = ap50_.value(),
          .ap75 = ap75_.value(),
          .ap_small = precision_[kSmall].value(),
          .ap_medium = precision_[kMedium].value(),
          .ap_large = precision_[kLarge].value(),
          .ar1 = recall1_.value(),
          .ar10 = recall10_.value(),
          .ar100 = recall_[kAllAreas].value(),
          .ar_small = recall_[kSmall].value(),
          .ar_medium = recall_[kMedium].value(),
          .ar_large = recall_[kLarge].value()};
}

}  // namespace yolov3
