#include "train/box_loss.h"

#include <numbers>

#include "base/error.h"

namespace yolov3 {
namespace {

// Pixels: shorter sides count as this long where a box's proportions are asked for. Its square is a normal float32.
constexpr double kShortestSide = 1e-12;

// Smaller areas, of px^2, divide as this one does: its inverse times the sides of any box is still a finite slope.
constexpr double kSmallestArea = 1e-12;

torch::Tensor divide_safely(const torch::Tensor& numerator, const torch::Tensor& denominator) {
  return numerator / denominator.clamp_min(kSmallestArea);
}

struct Corners {
  torch::Tensor x0, y0, x1, y1;
};

Corners corners(const torch::Tensor& centers) {
  const torch::Tensor half_w = centers.select(-1, 2) * 0.5, half_h = centers.select(-1, 3) * 0.5;
  const torch::Tensor cx = centers.select(-1, 0), cy = centers.select(-1, 1);
  return {cx - half_w, cy - half_h, cx + half_w, cy + half_h};
}

struct Overlap {
  torch::Tensor intersection, united;
};

Overlap overlap(const Corners& a, const Corners& b) {
  const torch::Tensor w = (torch::minimum(a.x1, b.x1) - torch::maximum(a.x0, b.x0)).clamp_min(0);
  const torch::Tensor h = (torch::minimum(a.y1, b.y1) - torch::maximum(a.y0, b.y0)).clamp_min(0);
  const torch::Tensor area_a = (a.x1 - a.x0) * (a.y1 - a.y0), area_b = (b.x1 - b.x0) * (b.y1 - b.y0);
  const torch::Tensor intersection = w * h;
  return {intersection, area_a + area_b - intersection};
}

// d^2 / c^2
torch::Tensor distance_share(const torch::Tensor& a, const torch::Tensor& b) {
  const Corners p = corners(a), q = corners(b);
  const torch::Tensor distance =
      (a.select(-1, 0) - b.select(-1, 0)).square() + (a.select(-1, 1) - b.select(-1, 1)).square();
  const torch::Tensor diagonal = (torch::maximum(p.x1, q.x1) - torch::minimum(p.x0, q.x0)).square() +
                                 (torch::maximum(p.y1, q.y1) - torch::minimum(p.y0, q.y0)).square();
  return divide_safely(distance, diagonal);
}

// atan(w / h)
torch::Tensor proportion_angle(const torch::Tensor& centers) {
  return torch::atan2(centers.select(-1, 2).clamp_min(kShortestSide), centers.select(-1, 3).clamp_min(kShortestSide));
}

}  // namespace

torch::Tensor iou_centers(const torch::Tensor& a, const torch::Tensor& b) {
  const Overlap shared = overlap(corners(a), corners(b));
  return divide_safely(shared.intersection, shared.united);
}

torch::Tensor giou_centers(const torch::Tensor& a, const torch::Tensor& b) {
  const Corners p = corners(a), q = corners(b);
  const Overlap shared = overlap(p, q);
  const torch::Tensor enclosing = (torch::maximum(p.x1, q.x1) - torch::minimum(p.x0, q.x0)).clamp_min(0) *
                                  (torch::maximum(p.y1, q.y1) - torch::minimum(p.y0, q.y0)).clamp_min(0);
  return divide_safely(shared.intersection, shared.united) - divide_safely(enclosing - shared.united, enclosing);
}

torch::Tensor diou_centers(const torch::Tensor& a, const torch::Tensor& b) {
  return iou_centers(a, b) - distance_share(a, b);
}

torch::Tensor ciou_centers(const torch::Tensor& a, const torch::Tensor& b) {
  const torch::Tensor iou = iou_centers(a, b);
  const torch::Tensor v =
      4 / (std::numbers::pi * std::numbers::pi) * (proportion_angle(b) - proportion_angle(a)).square();
  const torch::Tensor fixed_v = v.detach();
  const torch::Tensor alpha = divide_safely(fixed_v, 1 - iou.detach() + fixed_v);
  return iou - distance_share(a, b) - alpha * v;
}

torch::Tensor overlap_centers(BoxLoss kind, const torch::Tensor& a, const torch::Tensor& b) {
  switch (kind) {
    case BoxLoss::giou: return giou_centers(a, b);
    case BoxLoss::iou: return iou_centers(a, b);
    case BoxLoss::diou: return diou_centers(a, b);
    case BoxLoss::ciou: return ciou_centers(a, b);
    case BoxLoss::mse: break;
  }
  fail("the squared error of coordinates is no overlap of boxes");
}

torch::Tensor coordinate_loss(const torch::Tensor& logits, const torch::Tensor& targets) {
  const torch::Tensor place = targets.narrow(-1, 0, 2), size = targets.narrow(-1, 2, 2);
  const torch::Tensor least = torch::xlogy(place, place) + torch::xlogy(1 - place, 1 - place);  // minus the entropy
  const torch::Tensor place_loss =
      torch::binary_cross_entropy_with_logits(logits.narrow(-1, 0, 2), place, {}, {}, at::Reduction::None) + least;
  const torch::Tensor size_loss = 0.5 * (logits.narrow(-1, 2, 2) - size).square();
  return place_loss.sum(-1) + size_loss.sum(-1);
}

}  // namespace yolov3
