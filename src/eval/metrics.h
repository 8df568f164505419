// How good detections are: COCO's twelve figures and Pascal VOC's average precision, in one pass over the pictures.
//
// Frame: box_image. Source: pycocotools' COCOeval (101 recall points, 100 detections a picture and class, ten IoU
// thresholds, crowd regions ignored, area ranges by the annotation's own area) and VOC2007/2010 (11 points, area under
// the curve, `difficult` ignored), IoU without the +1. COCO, which knows no difficult objects, ignores them here too.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/objects.h"
#include "eval/class_curves.h"
#include "eval/exact.h"
#include "eval/findings.h"

namespace yolov3 {

struct CocoFigures {  // nothing where there is no truth to judge by (pycocotools' -1)
  std::optional<double> ap, ap50, ap75, ap_small, ap_medium, ap_large;
  std::optional<double> ar1, ar10, ar100, ar_small, ar_medium, ar_large;
};

struct ClassMetrics {
  int64_t objects = 0;                          // neither difficult nor crowd
  std::optional<double> ap, ap50;               // COCO's
  std::optional<double> voc_area, voc_11point;  // VOC's, at IoU 0.5
  // At IoU 0.5 and the score threshold with the best F1.
  double precision = 0, recall = 0, f1 = 0, threshold = 0;
  int64_t images = 0;  // pictures with such objects
  ClassCurves curves;
};

struct Metrics {
  int64_t images = 0, objects = 0, detections = 0;
  CocoFigures coco;
  std::optional<double> voc_area, voc_11point;  // means over classes that have truth
  double precision = 0, recall = 0;             // means over classes with truth, at each class's best threshold
  std::vector<ClassMetrics> classes;
  Reliability reliability;
};

class Evaluator {
 public:
  explicit Evaluator(int class_count);

  // One picture, each once. Truth and detections in the same frame; detections in any order. The order of pictures
  // (COCO: by image id) decides between detections of equal score.
  // Errors: a class out of range, a score or box that is not finite.
  void add(const std::vector<Annotation>& truth, const std::vector<Detection>& detections);

  // The same in double (eval/exact.h). A template, so that add({}, {}) means the one above.
  template <std::same_as<TruthBox> T, std::same_as<ScoredBox> D>
  void add(std::vector<T> truth, std::vector<D> detections) {
    add_exact(std::move(truth), std::move(detections));
  }

  Metrics compute() const;

  // What is wrong at one working point. pixels: of the network's input for one of each picture; empty = 1 for all.
  Findings find(const FindingsOptions& options = {}, std::span<const double> pixels = {}) const;

 private:
  struct Picture {  // both sorted by class, detections of a class best first
    std::vector<TruthBox> truth;
    std::vector<ScoredBox> detections;
  };
  void add_exact(std::vector<TruthBox> truth, std::vector<ScoredBox> detections);

  int class_count_;
  std::vector<Picture> pictures_;
};

}  // namespace yolov3
