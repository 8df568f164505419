#include "eval/class_curves.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "eval/coco_figures.h"
#include "eval/curve.h"

namespace yolov3 {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr size_t kFirstJudgedBin = 5;  // 0.25

double share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : kNone;
}

double at(size_t point) { return static_cast<double>(point) / (kCurvePoints - 1); }

std::vector<double> precision_at_recall(const CocoClass& coco) {
  const int64_t positives = coco.positives[kAllAreas];
  if (positives == 0) return {};
  CurveBuilder curve;
  for (const CocoDetection& d : coco.detections) {
    if ((d.ignored[kAllAreas] & 1) == 0) curve.add((d.matched[kAllAreas] & 1) != 0);
  }
  const Envelope envelope = curve.envelope();
  std::vector<double> points(kCurvePoints, 0.0);
  size_t j = 1;  // as in coco_average_precision()
  for (size_t i = 0; i < kCurvePoints; ++i) {
    const double recall = i + 1 == kCurvePoints ? 1.0 : static_cast<double>(i) * 0.01;
    while (j <= envelope.size() && static_cast<double>(j) / static_cast<double>(positives) < recall) ++j;
    if (j > envelope.size()) break;
    points[i] = envelope[j - 1];
  }
  return points;
}

// The mean of what is a number, by `value` of each class with truth.
template <class Value>
double mean_of(std::span<const ClassCurves> classes, const Value& value) {
  Mean mean;
  for (const ClassCurves& one : classes) {
    const double number = one.objects > 0 ? value(one) : kNone;
    if (!std::isnan(number)) mean.add(number);
  }
  return mean.value().value_or(kNone);
}

}  // namespace

double ClassCurves::precision(size_t point) const { return share(right[point], right[point] + wrong[point]); }
double ClassCurves::recall(size_t point) const { return share(right[point], objects); }
double ClassCurves::f1(size_t point) const {
  return objects > 0 ? share(2 * right[point], right[point] + wrong[point] + objects) : kNone;
}

ClassCurves class_curves(const CocoClass& coco, const VocClass& voc) {
  ClassCurves curves;
  curves.objects = voc.positives;
  curves.precision_at_recall = precision_at_recall(coco);
  int64_t right = 0, wrong = 0;
  size_t next = 0;
  for (size_t i = kCurvePoints; i-- > 0;) {
    for (; next < voc.detections.size() && voc.detections[next].score >= at(i); ++next) {
      ++(voc.detections[next].true_positive ? right : wrong);
    }
    curves.right[i] = right;
    curves.wrong[i] = wrong;
  }
  return curves;
}

MeanCurves mean_curves(std::span<const ClassCurves> classes) {
  MeanCurves mean;
  for (size_t i = 0; i < kCurvePoints; ++i) {
    mean.precision[i] = mean_of(classes, [&](const ClassCurves& one) { return one.precision(i); });
    mean.recall[i] = mean_of(classes, [&](const ClassCurves& one) { return one.recall(i); });
    mean.f1[i] = mean_of(classes, [&](const ClassCurves& one) { return one.f1(i); });
    if (mean.f1[i] >= mean.f1[mean.best]) mean.best = i;
  }
  const auto any_truth = [](const ClassCurves& one) { return !one.precision_at_recall.empty(); };
  if (!std::ranges::any_of(classes, any_truth)) return mean;
  for (size_t i = 0; i < kCurvePoints; ++i) {
    mean.precision_at_recall.push_back(mean_of(classes, [&](const ClassCurves& one) {
      return one.precision_at_recall.empty() ? kNone : one.precision_at_recall[i];
    }));
  }
  return mean;
}

void Reliability::add(const VocClass& voc) {
  for (const VocDetection& d : voc.detections) {
    Bin& bin = bins[static_cast<size_t>(std::clamp(d.score * kBins, 0.0, kBins - 1.0))];
    ++bin.detections;
    bin.right += d.true_positive ? 1 : 0;
    bin.score_sum += d.score;
  }
}

double Reliability::expected_error() const {
  double sum = 0;
  int64_t detections = 0;
  for (size_t i = kFirstJudgedBin; i < kBins; ++i) {
    sum += std::abs(static_cast<double>(bins[i].right) - bins[i].score_sum);
    detections += bins[i].detections;
  }
  return detections > 0 ? sum / static_cast<double>(detections) : 0;
}

}  // namespace yolov3
