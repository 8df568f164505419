#include "detect/nms.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace yolov3 {
namespace {

void check_options(const NmsOptions& options) {
  check(options.iou_threshold >= 0 && options.iou_threshold <= 1, "NMS IoU threshold {} is not between 0 and 1",
        options.iou_threshold);
  check(options.max_candidates > 0, "NMS max_candidates {} is not positive", options.max_candidates);
  check(options.max_detections >= 0, "NMS max_detections {} is negative; 0 keeps all", options.max_detections);
}

// Whether any of the boxes [first, last) has IoU > threshold with `box`. In blocks: no branch inside, an early end
// between.
bool suppressed(const Box& box, const BoxColumns& boxes, size_t first, size_t last, float threshold) {
  constexpr size_t kBlock = 64;
  const float area = box.area();
  const float *x0 = boxes.x0.data(), *y0 = boxes.y0.data(), *x1 = boxes.x1.data(), *y1 = boxes.y1.data();
  const float* areas = boxes.area.data();
  for (size_t begin = first; begin < last; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, last);
    int over = 0;
    for (size_t i = begin; i < end; ++i) {
      const float width = std::max(0.0f, std::min(x1[i], box.x1) - std::max(x0[i], box.x0));
      const float height = std::max(0.0f, std::min(y1[i], box.y1) - std::max(y0[i], box.y0));
      const float inter = width * height;
      over |= inter > threshold * (areas[i] + area - inter) ? 1 : 0;
    }
    if (over != 0) return true;
  }
  return false;
}

}  // namespace

void BoxColumns::resize(size_t count) {
  for (std::vector<float>* column : {&x0, &y0, &x1, &y1, &area}) column->resize(count);
}

void BoxColumns::set(size_t i, const Box& box) {
  x0[i] = box.x0;
  y0[i] = box.y0;
  x1[i] = box.x1;
  y1[i] = box.y1;
  area[i] = box.area();
}

void Nms::rank(std::span<const Detection> candidates, size_t limit) {
  ranked_.clear();
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (!std::isnan(candidates[i].score)) ranked_.push_back({candidates[i].score, candidates[i].class_id, i});
  }
  const auto better = [](const Ranked& a, const Ranked& b) {
    if (a.score != b.score) return a.score > b.score;
    if (a.class_id != b.class_id) return a.class_id < b.class_id;
    return a.position < b.position;
  };
  if (ranked_.size() > limit) {
    std::nth_element(ranked_.begin(), ranked_.begin() + static_cast<std::ptrdiff_t>(limit), ranked_.end(), better);
    ranked_.resize(limit);
  }
  std::sort(ranked_.begin(), ranked_.end(), better);
}

// A range of columns for each class, as long as it has candidates.
void Nms::lay_out_classes() {
  ranges_.clear();
  for (const Ranked& candidate : ranked_) {
    check(candidate.class_id >= 0, "NMS: class {} is negative", candidate.class_id);
    const auto k = static_cast<size_t>(candidate.class_id);
    if (k >= ranges_.size()) ranges_.resize(k + 1);
    ++ranges_[k].last;  // its count, until the places are known below
  }
  size_t first = 0;
  for (ClassRange& range : ranges_) {
    const size_t count = range.last;
    range.first = range.last = first;
    first += count;
  }
  kept_.resize(ranked_.size());
}

void Nms::run(std::span<const Detection> candidates, const NmsOptions& options, std::vector<Detection>& kept) {
  check_options(options);
  const size_t most = options.max_detections > 0 ? static_cast<size_t>(options.max_detections) : candidates.size();
  rank(candidates, static_cast<size_t>(options.max_candidates));
  lay_out_classes();

  // One pass over all classes, best first, that ends when enough are kept.
  kept.clear();
  size_t all = 0;  // kept of all classes, where they are one
  for (const Ranked& ranked : ranked_) {
    if (kept.size() >= most) break;
    const Detection& candidate = candidates[ranked.position];
    ClassRange& range = ranges_[static_cast<size_t>(ranked.class_id)];
    const size_t first = options.agnostic ? 0 : range.first;
    size_t& last = options.agnostic ? all : range.last;
    if (suppressed(candidate.box, kept_, first, last, options.iou_threshold)) continue;
    kept_.set(last++, candidate.box);
    kept.push_back(candidate);
  }
}

std::vector<Detection> non_maximum_suppression(const std::vector<Detection>& candidates, const NmsOptions& options) {
  std::vector<Detection> kept;
  Nms().run(candidates, options, kept);
  return kept;
}

}  // namespace yolov3
