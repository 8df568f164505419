#include "detect/nms.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/error.h"

namespace yolov3 {
namespace {

// Boxes that stay, as columns, so that the loop over them compiles to vector code.
class KeptBoxes {
 public:
  // Whether any kept box has IoU > threshold with `box`. In blocks: no branch inside, an early end between.
  bool suppress(const Box& box, float threshold) const {
    constexpr size_t kBlock = 64;
    const float area = box.area();
    for (size_t begin = 0; begin < x0_.size(); begin += kBlock) {
      const size_t end = std::min(begin + kBlock, x0_.size());
      int over = 0;
      for (size_t i = begin; i < end; ++i) {
        const float width = std::max(0.0f, std::min(x1_[i], box.x1) - std::max(x0_[i], box.x0));
        const float height = std::max(0.0f, std::min(y1_[i], box.y1) - std::max(y0_[i], box.y0));
        const float inter = width * height;
        over |= inter > threshold * (area_[i] + area - inter) ? 1 : 0;
      }
      if (over != 0) return true;
    }
    return false;
  }

  void add(const Box& box) {
    x0_.push_back(box.x0);
    y0_.push_back(box.y0);
    x1_.push_back(box.x1);
    y1_.push_back(box.y1);
    area_.push_back(box.area());
  }

 private:
  std::vector<float> x0_, y0_, x1_, y1_, area_;
};

// Highest score first; ties by class, then position. At most `limit`.
std::vector<size_t> best_first(const std::vector<Detection>& candidates, size_t limit) {
  std::vector<size_t> order;
  order.reserve(candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (!std::isnan(candidates[i].score)) order.push_back(i);
  }
  const auto better = [&](size_t a, size_t b) {
    if (candidates[a].score != candidates[b].score) return candidates[a].score > candidates[b].score;
    if (candidates[a].class_id != candidates[b].class_id) return candidates[a].class_id < candidates[b].class_id;
    return a < b;
  };
  if (order.size() > limit) {
    std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(limit), order.end(), better);
    order.resize(limit);
  }
  std::sort(order.begin(), order.end(), better);
  return order;
}

}  // namespace

std::vector<Detection> non_maximum_suppression(std::vector<Detection> candidates, const NmsOptions& options) {
  check(options.iou_threshold >= 0 && options.iou_threshold <= 1, "NMS IoU threshold {} is not between 0 and 1",
        options.iou_threshold);
  check(options.max_candidates > 0, "NMS max_candidates {} is not positive", options.max_candidates);
  check(options.max_detections >= 0, "NMS max_detections {} is negative; 0 keeps all", options.max_detections);
  const size_t most = options.max_detections > 0 ? static_cast<size_t>(options.max_detections) : candidates.size();

  // One pass over all classes, best first, that ends when enough are kept: at most max_candidates x max_detections
  // comparisons.
  std::unordered_map<int, KeptBoxes> kept_of_class;
  std::vector<Detection> kept;
  for (const size_t i : best_first(candidates, static_cast<size_t>(options.max_candidates))) {
    if (kept.size() >= most) break;
    const Detection& candidate = candidates[i];
    KeptBoxes& rivals = kept_of_class[options.agnostic ? 0 : candidate.class_id];
    if (rivals.suppress(candidate.box, options.iou_threshold)) continue;
    rivals.add(candidate.box);
    kept.push_back(candidate);
  }
  return kept;
}

}  // namespace yolov3
