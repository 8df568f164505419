// The precision-recall curve of one class, and the average precisions taken from it.
#pragma once

#include <cstdint>
#include <vector>

namespace yolov3 {

// envelope[j-1]: the best precision at any recall from j/positives on, for each true positive j. Nothing else of the
// curve matters: between true positives precision only falls.
using Envelope = std::vector<double>;

class CurveBuilder {
 public:
  void add(bool true_positive) {  // best score first; ignored detections are not added
    ++counted_;
    if (true_positive) precisions_.push_back(precision(static_cast<double>(precisions_.size() + 1)));
  }
  Envelope envelope();  // ends the builder

 private:
  double precision(double true_positives) const;
  int64_t counted_ = 0;
  std::vector<double> precisions_;
};

double coco_average_precision(const Envelope& envelope, int64_t positives);         // 101 recall points
double voc_area_average_precision(const Envelope& envelope, int64_t positives);     // VOC2010: area under the envelope
double voc_11point_average_precision(const Envelope& envelope, int64_t positives);  // VOC2007

}  // namespace yolov3
