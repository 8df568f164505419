#include "eval/metrics.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "base/error.h"
#include "eval/coco_figures.h"
#include "eval/curve.h"
#include "eval/matching.h"

namespace yolov3 {
namespace {

// The threshold with the best F1; of equals the highest. Detections of one score stand or fall together.
void find_best_threshold(const VocClass& judged, ClassMetrics& out) {
  int64_t right = 0;
  for (size_t i = 0; i < judged.detections.size(); ++i) {
    right += judged.detections[i].true_positive ? 1 : 0;
    if (i + 1 < judged.detections.size() && judged.detections[i + 1].score == judged.detections[i].score) continue;
    const auto kept = static_cast<double>(i + 1), positives = static_cast<double>(judged.positives);
    const double f1 = 2 * static_cast<double>(right) / (kept + positives);
    if (f1 <= out.f1) continue;
    out.f1 = f1;
    out.precision = static_cast<double>(right) / kept;
    out.recall = static_cast<double>(right) / positives;
    out.threshold = judged.detections[i].score;
  }
}

void add_voc_figures(VocClass& judged, ClassMetrics& out) {
  const auto better = [](const VocDetection& a, const VocDetection& b) { return a.score > b.score; };
  std::stable_sort(judged.detections.begin(), judged.detections.end(), better);
  if (judged.positives == 0) return;
  CurveBuilder curve;
  for (const VocDetection& d : judged.detections) curve.add(d.true_positive);
  const Envelope envelope = curve.envelope();
  out.voc_area = voc_area_average_precision(envelope, judged.positives);
  out.voc_11point = voc_11point_average_precision(envelope, judged.positives);
  find_best_threshold(judged, out);
}

// The run of boxes of class_id at the front of `boxes`, which it is taken from.
template <class T>
std::span<const T> take_class(std::span<const T>& boxes, int class_id) {
  size_t count = 0;
  while (count < boxes.size() && boxes[count].class_id == class_id) ++count;
  const std::span<const T> taken = boxes.first(count);
  boxes = boxes.subspan(count);
  return taken;
}

void check_box(const ExactBox& box, int class_id, int class_count, const char* what) {
  check(class_id >= 0 && class_id < class_count, "{} of class {}, but there are {} classes", what, class_id,
        class_count);
  check(std::isfinite(box.x) && std::isfinite(box.y) && std::isfinite(box.area()),
        "{} box x {} y {} width {} height {} is not finite", what, box.x, box.y, box.width, box.height);
}

void add_overall_figures(Metrics& metrics) {
  Mean area, points, precision, recall;
  for (const ClassMetrics& c : metrics.classes) {
    metrics.objects += c.objects;
    if (c.objects == 0) continue;
    area.add(*c.voc_area);
    points.add(*c.voc_11point);
    precision.add(c.precision);
    recall.add(c.recall);
  }
  metrics.voc_area = area.value();
  metrics.voc_11point = points.value();
  metrics.precision = precision.value().value_or(0);
  metrics.recall = recall.value().value_or(0);
}

}  // namespace

Evaluator::Evaluator(int class_count) : class_count_(class_count) {
  check(class_count > 0, "an evaluation needs at least one class");
}

void Evaluator::add(const std::vector<Annotation>& truth, const std::vector<Detection>& detections) {
  std::vector<TruthBox> exact_truth;
  std::vector<ScoredBox> exact_detections;
  exact_truth.reserve(truth.size());
  exact_detections.reserve(detections.size());
  for (const Annotation& a : truth) exact_truth.push_back(exact(a));
  for (const Detection& d : detections) exact_detections.push_back(exact(d));
  add_exact(std::move(exact_truth), std::move(exact_detections));
}

void Evaluator::add_exact(std::vector<TruthBox> truth, std::vector<ScoredBox> detections) {
  for (const TruthBox& t : truth) check_box(t.box, t.class_id, class_count_, "truth");
  for (const ScoredBox& d : detections) {
    check_box(d.box, d.class_id, class_count_, "detection");
    check(std::isfinite(d.score), "detection score {} is not finite", d.score);
  }
  std::stable_sort(truth.begin(), truth.end(),
                   [](const TruthBox& a, const TruthBox& b) { return a.class_id < b.class_id; });
  std::stable_sort(detections.begin(), detections.end(), [](const ScoredBox& a, const ScoredBox& b) {
    return a.class_id != b.class_id ? a.class_id < b.class_id : a.score > b.score;
  });
  pictures_.push_back({std::move(truth), std::move(detections)});
}

Findings Evaluator::find(const FindingsOptions& options, std::span<const double> pixels) const {
  check(pixels.empty() || pixels.size() == pictures_.size(), "{} scales for {} pictures", pixels.size(),
        pictures_.size());
  FindingsBuilder builder(class_count_, options);
  for (size_t i = 0; i < pictures_.size(); ++i) {
    builder.add(pictures_[i].truth, pictures_[i].detections, pixels.empty() ? 1.0 : pixels[i]);
  }
  return builder.finish();
}

Metrics Evaluator::compute() const {
  Metrics metrics;
  metrics.images = static_cast<int64_t>(pictures_.size());
  metrics.classes.resize(static_cast<size_t>(class_count_));

  // 1. Match every picture, class by class.
  std::vector<CocoClass> coco(metrics.classes.size());
  std::vector<VocClass> voc(metrics.classes.size());
  for (const Picture& picture : pictures_) {
    metrics.detections += static_cast<int64_t>(picture.detections.size());
    std::span<const TruthBox> truth = picture.truth;
    std::span<const ScoredBox> detections = picture.detections;
    while (!truth.empty() || !detections.empty()) {
      const int id = std::min(truth.empty() ? class_count_ : truth[0].class_id,
                              detections.empty() ? class_count_ : detections[0].class_id);
      const auto k = static_cast<size_t>(id);
      const auto class_truth = take_class(truth, id);
      const auto class_detections = take_class(detections, id);
      const int64_t before = voc[k].positives;
      match_coco(class_truth, class_detections, coco[k]);
      match_voc(class_truth, class_detections, voc[k]);
      metrics.classes[k].images += voc[k].positives > before ? 1 : 0;
    }
  }

  // 2. The figures of each class, and their means.
  CocoMeans means;
  for (size_t k = 0; k < metrics.classes.size(); ++k) {
    ClassMetrics& out = metrics.classes[k];
    out.objects = voc[k].positives;
    const CocoClassFigures figures = coco_class_figures(coco[k]);
    means.add(coco[k], figures);
    if (coco[k].positives[kAllAreas] > 0) {
      out.ap = figures.mean_precision(kAllAreas);
      out.ap50 = figures.precision[kAllAreas][0];
    }
    add_voc_figures(voc[k], out);
    out.curves = class_curves(coco[k], voc[k]);
    metrics.reliability.add(voc[k]);
  }
  metrics.coco = means.figures();
  add_overall_figures(metrics);
  return metrics;
}

}  // namespace yolov3
