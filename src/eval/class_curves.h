// What one class's figures are points of: precision, recall and F1 against the score, and precision against recall.
//
// Counts against the score follow match_voc() (IoU 0.5), as precision, recall and F1 of ClassMetrics do: the highest
// point of f1() is ClassMetrics::f1 but for the grid of 0.01. Precision against recall follows match_coco() at IoU 0.5:
// the mean of its 101 points is COCO's AP50.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "eval/matching.h"

namespace yolov3 {

constexpr size_t kCurvePoints = 101;  // 0.00, 0.01, ... 1.00 of score or recall

struct ClassCurves {
  int64_t objects = 0;
  // Detections with a score of at least i / 100 that found an object, and that did not.
  std::array<int64_t, kCurvePoints> right{}, wrong{};
  // The best precision at any recall from i / 100 on (COCO's envelope), 0 beyond what is reached. Empty without truth.
  std::vector<double> precision_at_recall;

  double precision(size_t point) const;  // NaN where nothing is found
  double recall(size_t point) const;     // NaN without truth
  double f1(size_t point) const;         // NaN without truth
};

// `coco` and `voc` sorted best score first.
ClassCurves class_curves(const CocoClass& coco, const VocClass& voc);

// Means over the classes that have truth, each counting the same; precision over those that find anything there. NaN,
// and an empty precision_at_recall, where there is nothing to take the mean of.
struct MeanCurves {
  std::array<double, kCurvePoints> precision{}, recall{}, f1{};
  std::vector<double> precision_at_recall;
  size_t best = 0;  // the point of the highest f1; of equals the highest score
};
MeanCurves mean_curves(std::span<const ClassCurves> classes);

// Is a score of 0.8 right 8 times of 10? Detections of all classes by score, [0,0.05), [0.05,0.1), ... [0.95,1].
struct Reliability {
  static constexpr size_t kBins = 20;
  struct Bin {
    int64_t detections = 0, right = 0;
    double score_sum = 0;
  };
  std::array<Bin, kBins> bins{};

  void add(const VocClass& voc);
  // Mean of |share that is right - mean score| over the bins from 0.25 on, each weighted by its detections; 0 without
  // any. Below lies what no one uses, and so much of it that it would be the mean.
  // Source: Kueppers et al. 2020, "Multivariate Confidence Reliability for Object Detection", D-ECE of the score alone.
  double expected_error() const;
};

}  // namespace yolov3
