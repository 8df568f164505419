#include "train/loss.h"

#include <limits>

#include "base/error.h"
#include "detect/decode.h"

namespace yolov3 {
namespace {

using torch::indexing::Slice;

// Cells x true boxes that the ignore mask compares at once, to bound the memory.
constexpr int64_t kIgnoreChunk = int64_t{1} << 22;

torch::Tensor divide_safely(const torch::Tensor& numerator, const torch::Tensor& denominator) {
  const double tiny = denominator.scalar_type() == torch::kFloat64 ? std::numeric_limits<double>::min()
                                                                   : std::numeric_limits<float>::min();
  return numerator / denominator.clamp_min(tiny);
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

// Where a head's positives are and what they should be, on the device and in the type of its raw map.
struct PositiveCells {
  torch::Tensor image, anchor, gy, gx;  // (P) int64
  torch::Tensor box;                    // (P,4) centre boxes of their objects
  torch::Tensor class_id;               // (P) int64
};

PositiveCells positive_cells(int head, const std::vector<std::vector<Annotation>>& objects, const Targets& targets,
                             const torch::TensorOptions& like) {
  std::vector<int64_t> image, anchor, gy, gx, class_id;
  std::vector<double> box;
  for (const Assignment& positive : targets.positives) {
    if (positive.head != head) continue;
    const Annotation& object = objects[static_cast<size_t>(positive.image)][static_cast<size_t>(positive.object)];
    image.push_back(positive.image);
    anchor.push_back(positive.anchor);
    gy.push_back(positive.gy);
    gx.push_back(positive.gx);
    class_id.push_back(object.class_id);
    const double x0 = object.box.x0, y0 = object.box.y0, x1 = object.box.x1, y1 = object.box.y1;
    box.insert(box.end(), {(x0 + x1) * 0.5, (y0 + y1) * 0.5, x1 - x0, y1 - y0});
  }
  const auto integers = [&](const std::vector<int64_t>& values) {
    return torch::tensor(values, torch::kInt64).to(like.device());
  };
  return {integers(image),
          integers(anchor),
          integers(gy),
          integers(gx),
          torch::tensor(box, torch::kFloat64).view({-1, 4}).to(like),
          integers(class_id)};
}

torch::Tensor anchor_sizes(const Head& head, const torch::TensorOptions& like) {  // A,2 pixels
  std::vector<double> sizes;
  for (const Anchor& anchor : head.anchors) sizes.insert(sizes.end(), {anchor.width, anchor.height});
  return torch::tensor(sizes, torch::kFloat64).view({-1, 2}).to(like);
}

// The decode of the notes over any leading dimensions: xy = (sigmoid(t) + cell) * stride, wh = exp(t) * anchor.
torch::Tensor decode_boxes(const torch::Tensor& tx, const torch::Tensor& ty, const torch::Tensor& tw,
                           const torch::Tensor& th, const torch::Tensor& gx, const torch::Tensor& gy,
                           const torch::Tensor& anchor_w, const torch::Tensor& anchor_h, const Head& head) {
  const double s = head.scale_xy, shift = 0.5 * (s - 1);
  return torch::stack({(tx.sigmoid() * s - shift + gx) * head.stride_x, (ty.sigmoid() * s - shift + gy) * head.stride_y,
                       tw.clamp_max(kMaxExpLogit).exp() * anchor_w, th.clamp_max(kMaxExpLogit).exp() * anchor_h},
                      -1);
}

// Background cells (N,A,G,G) whose predicted box overlaps a true box of this head by at least ignore_iou.
torch::Tensor ignore_mask(const torch::Tensor& raw, const Head& head,
                          const std::vector<std::vector<Annotation>>& objects,
                          const std::vector<std::vector<int>>& true_objects, double ignore_iou) {
  const torch::NoGradGuard no_grad;
  const auto like = raw.options();
  const int64_t anchors = raw.size(1), grid_h = raw.size(3), grid_w = raw.size(4);
  const torch::Tensor gx = torch::arange(grid_w, like).view({1, 1, grid_w});
  const torch::Tensor gy = torch::arange(grid_h, like).view({1, grid_h, 1});
  const torch::Tensor sizes = anchor_sizes(head, like).view({anchors, 2, 1, 1});
  torch::Tensor mask = torch::zeros({raw.size(0), anchors, grid_h, grid_w}, like.dtype(torch::kBool));
  for (int64_t n = 0; n < raw.size(0); ++n) {
    const std::vector<int>& indices = true_objects[static_cast<size_t>(n)];
    if (indices.empty()) continue;
    const torch::Tensor t = raw[n];  // A,5+K,G,G
    const torch::Tensor cells = decode_boxes(t.select(1, 0), t.select(1, 1), t.select(1, 2), t.select(1, 3), gx, gy,
                                             sizes.select(1, 0), sizes.select(1, 1), head)
                                    .view({-1, 1, 4});  // A*G*G,1,4
    std::vector<double> boxes;
    for (const int index : indices) {
      const Box& box = objects[static_cast<size_t>(n)][static_cast<size_t>(index)].box;
      const double x0 = box.x0, y0 = box.y0, x1 = box.x1, y1 = box.y1;
      boxes.insert(boxes.end(), {(x0 + x1) * 0.5, (y0 + y1) * 0.5, x1 - x0, y1 - y0});
    }
    const torch::Tensor truth = torch::tensor(boxes, torch::kFloat64).view({1, -1, 4}).to(like);
    const int64_t step = std::max<int64_t>(1, kIgnoreChunk / cells.size(0));
    torch::Tensor spared = torch::zeros({cells.size(0)}, like.dtype(torch::kBool));
    for (int64_t first = 0; first < truth.size(1); first += step) {
      const torch::Tensor part = truth.narrow(1, first, std::min(step, truth.size(1) - first));
      spared.logical_or_((iou_centers(cells, part) >= ignore_iou).any(1));
    }
    mask[n] = spared.view({anchors, grid_h, grid_w});
  }
  return mask;
}

// log(1 + exp(-|x|)) + max(x, 0) - x*z: cross entropy of logit x against target z, never infinite.
torch::Tensor cross_entropy(const torch::Tensor& logits, const torch::Tensor& target) {
  return torch::binary_cross_entropy_with_logits(logits, target, {}, {}, at::Reduction::None);
}

torch::Tensor giou_part(const torch::Tensor& at_positives, const PositiveCells& cells, const Head& head) {
  const auto like = at_positives.options();
  const torch::Tensor sizes = anchor_sizes(head, like).index_select(0, cells.anchor);
  const torch::Tensor predicted = decode_boxes(at_positives.select(1, 0), at_positives.select(1, 1),
                                               at_positives.select(1, 2), at_positives.select(1, 3), cells.gx.to(like),
                                               cells.gy.to(like), sizes.select(1, 0), sizes.select(1, 1), head);
  const double input_area = static_cast<double>(head.stride_x) * head.grid_width * head.stride_y * head.grid_height;
  const torch::Tensor weight = 2.0 - cells.box.select(1, 2) * cells.box.select(1, 3) / input_area;
  return (weight * (1.0 - giou_centers(predicted, cells.box))).sum();
}

torch::Tensor prob_part(const torch::Tensor& at_positives, const PositiveCells& cells, const Head& head,
                        double smoothing, const std::vector<double>& class_weights) {
  const torch::Tensor logits = at_positives.index({Slice(), Slice(5, torch::indexing::None)});  // P,K
  const torch::Tensor one_hot = torch::zeros_like(logits).scatter_(1, cells.class_id.unsqueeze(1), 1.0);
  const torch::Tensor losses = cross_entropy(logits, one_hot * (1.0 - smoothing) + smoothing / head.classes);
  if (class_weights.empty()) return losses.sum();
  const torch::Tensor weights = torch::tensor(class_weights, torch::kFloat64).to(losses.options());  // K
  return (losses * weights.index_select(0, cells.class_id).unsqueeze(1)).sum();
}

HeadLoss head_loss(const torch::Tensor& raw_map, int index, const Head& head,
                   const std::vector<std::vector<Annotation>>& objects, const Targets& targets,
                   const LossOptions& options) {
  const int64_t anchors = static_cast<int64_t>(head.anchors.size()), batch = raw_map.size(0);
  const torch::Tensor raw =
      raw_map.contiguous().view({batch, anchors, 5 + head.classes, raw_map.size(2), raw_map.size(3)});
  const auto like = raw.options();
  const PositiveCells cells = positive_cells(index, objects, targets, like);

  HeadLoss loss;
  loss.positives = cells.image.size(0);
  const torch::Tensor at_positives = raw.index({cells.image, cells.anchor, Slice(), cells.gy, cells.gx});  // P,5+K
  loss.parts.giou = giou_part(at_positives, cells, head) / batch;
  loss.parts.prob = prob_part(at_positives, cells, head, options.label_smoothing, options.class_weights) / batch;

  const torch::Tensor logits = raw.select(2, 4);  // N,A,G,G
  const torch::Tensor responsible =
      torch::zeros(logits.sizes(), like)
          .index_put_({cells.image, cells.anchor, cells.gy, cells.gx}, torch::ones({}, like));
  loss.ignored =
      ignore_mask(raw.detach(), head, objects, targets.true_objects[static_cast<size_t>(index)], options.ignore_iou)
          .logical_and_(responsible == 0);
  const torch::Tensor focal = (responsible - logits.sigmoid()).pow(2);
  const torch::Tensor counted = loss.ignored.logical_not().to(like.dtype());
  loss.parts.conf = (counted * focal * cross_entropy(logits, responsible)).sum() / batch;
  return loss;
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

YoloLoss yolo_loss(const std::vector<torch::Tensor>& raw_maps, const std::vector<Head>& heads,
                   const std::vector<std::vector<Annotation>>& objects_net, const Targets& targets,
                   const LossOptions& options) {
  check(raw_maps.size() == heads.size(), "{} raw maps for {} heads", raw_maps.size(), heads.size());
  YoloLoss loss;
  for (size_t h = 0; h < heads.size(); ++h) {
    loss.heads.push_back(head_loss(raw_maps[h], static_cast<int>(h), heads[h], objects_net, targets, options));
  }
  const auto zero = torch::zeros({}, raw_maps[0].options());
  loss.parts = {zero, zero, zero};
  for (const HeadLoss& head : loss.heads) {
    loss.parts.giou = loss.parts.giou + options.box_gain * head.parts.giou;
    loss.parts.conf = loss.parts.conf + options.obj_gain * head.parts.conf;
    loss.parts.prob = loss.parts.prob + options.cls_gain * head.parts.prob;
  }
  return loss;
}

}  // namespace yolov3
