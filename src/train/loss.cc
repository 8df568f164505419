#include "train/loss.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/usage.h"
#include "detect/decode.h"

namespace yolov3 {
namespace {

using torch::indexing::Slice;

// Cells x true boxes that the ignore mask compares at once, to bound the memory.
constexpr int64_t kIgnoreChunk = int64_t{1} << 22;

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

// Background cells (N,A,G,G) whose predicted box overlaps one of true_objects by at least ignore_iou.
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

// The predicted boxes of the positives, centre boxes in pixels.
torch::Tensor predicted_boxes(const torch::Tensor& at_positives, const PositiveCells& cells, const Head& head) {
  const auto like = at_positives.options();
  const torch::Tensor sizes = anchor_sizes(head, like).index_select(0, cells.anchor);
  return decode_boxes(at_positives.select(1, 0), at_positives.select(1, 1), at_positives.select(1, 2),
                      at_positives.select(1, 3), cells.gx.to(like), cells.gy.to(like), sizes.select(1, 0),
                      sizes.select(1, 1), head);
}

// What coordinate_loss compares the box logits with: the inverse of the decode.
torch::Tensor coordinate_targets(const PositiveCells& cells, const Head& head, const torch::TensorOptions& like) {
  const torch::Tensor sizes = anchor_sizes(head, like).index_select(0, cells.anchor);
  const double s = head.scale_xy, shift = 0.5 * (s - 1);
  const auto place = [&](int64_t axis, const torch::Tensor& cell, double stride) {
    return ((cells.box.select(1, axis) / stride - cell.to(like) + shift) / s).clamp(0, 1);
  };
  return torch::stack(
      {place(0, cells.gx, head.stride_x), place(1, cells.gy, head.stride_y),
       (cells.box.select(1, 2) / sizes.select(1, 0)).log(), (cells.box.select(1, 3) / sizes.select(1, 1)).log()},
      1);
}

// Sum over the positives; `predicted` is of no use to BoxLoss::mse.
torch::Tensor box_part(const torch::Tensor& at_positives, const torch::Tensor& predicted, const PositiveCells& cells,
                       const Head& head, const LossOptions& options) {
  const torch::Tensor of_each =
      options.box_loss == BoxLoss::mse
          ? coordinate_loss(at_positives.narrow(1, 0, 4), coordinate_targets(cells, head, at_positives.options()))
          : 1.0 - overlap_centers(options.box_loss, predicted, cells.box);
  if (!options.small_box_weight) return of_each.sum();
  const double input_area = static_cast<double>(head.stride_x) * head.grid_width * head.stride_y * head.grid_height;
  const torch::Tensor weight = 2.0 - cells.box.select(1, 2) * cells.box.select(1, 3) / input_area;
  return (weight * of_each).sum();
}

torch::Tensor class_part(const torch::Tensor& at_positives, const PositiveCells& cells, const Head& head,
                         const LossOptions& options) {
  const torch::Tensor logits = at_positives.index({Slice(), Slice(5, torch::indexing::None)});  // P,K
  const torch::Tensor one_hot = torch::zeros_like(logits).scatter_(1, cells.class_id.unsqueeze(1), 1.0);
  const double smoothing = options.label_smoothing, classes = options.smooth_to == SmoothTo::half ? 2 : head.classes;
  const torch::Tensor losses = cross_entropy(logits, one_hot * (1.0 - smoothing) + smoothing / classes);
  if (options.class_weights.empty()) return losses.sum();
  const torch::Tensor weights = torch::tensor(options.class_weights, torch::kFloat64).to(losses.options());  // K
  return (losses * weights.index_select(0, cells.class_id).unsqueeze(1)).sum();
}

// responsible: 1 at positives, else 0; target: what the objectness should be; counted: 0 where it is left alone.
torch::Tensor objectness_part(const torch::Tensor& logits, const torch::Tensor& responsible,
                              const torch::Tensor& target, const torch::Tensor& counted, const LossOptions& options) {
  torch::Tensor weight = counted;
  if (options.focal_power != 0) {
    const torch::Tensor error = target - logits.sigmoid();
    const bool square = options.focal_power == 2;
    weight = weight * (square ? error.pow(2) : error.abs().pow(options.focal_power));
  }
  if (options.focal_balance != 0) {
    weight = weight * (responsible * options.focal_balance + (1 - responsible) * (1 - options.focal_balance));
  }
  return (weight * cross_entropy(logits, target)).sum();
}

// What a head's sums are divided by.
struct Divisors {
  double box, objectness, classes;
};

Divisors divisors(LossNorm norm, int64_t batch, int64_t positives, int64_t all_positives, int64_t cells,
                  int64_t classes) {
  const auto at_least_one = [](int64_t count) { return static_cast<double>(std::max<int64_t>(count, 1)); };
  switch (norm) {
    case LossNorm::positives: {
      const double count = at_least_one(all_positives);
      return {count, count, count};
    }
    case LossNorm::means: return {at_least_one(positives), at_least_one(cells), at_least_one(positives * classes)};
    case LossNorm::batch: break;
  }
  const auto pictures = static_cast<double>(batch);
  return {pictures, pictures, pictures};
}

HeadLoss head_loss(const torch::Tensor& raw_map, int index, const Head& head,
                   const std::vector<std::vector<Annotation>>& objects, const Targets& targets,
                   const LossOptions& options, const LossCounts& whole) {
  const int64_t anchors = static_cast<int64_t>(head.anchors.size()), batch = raw_map.size(0);
  const torch::Tensor raw =
      raw_map.contiguous().view({batch, anchors, 5 + head.classes, raw_map.size(2), raw_map.size(3)});
  const auto like = raw.options();
  const PositiveCells cells = positive_cells(index, objects, targets, like);
  const torch::Tensor logits = raw.select(2, 4);  // N,A,G,G

  HeadLoss loss;
  loss.positives = cells.image.size(0);
  const int64_t all_positives = std::accumulate(whole.positives.begin(), whole.positives.end(), int64_t{0});
  const Divisors by = divisors(options.norm, whole.pictures, whole.positives[static_cast<size_t>(index)], all_positives,
                               logits.numel() / batch * whole.pictures, head.classes);
  const torch::Tensor at_positives = raw.index({cells.image, cells.anchor, Slice(), cells.gy, cells.gx});  // P,5+K
  const torch::Tensor predicted = predicted_boxes(at_positives, cells, head);
  loss.parts.giou = box_part(at_positives, predicted, cells, head, options) / by.box;
  loss.parts.prob = class_part(at_positives, cells, head, options) / by.classes;

  const auto at_cells = [&](const torch::Tensor& values) {
    return torch::zeros(logits.sizes(), like).index_put_({cells.image, cells.anchor, cells.gy, cells.gx}, values);
  };
  const torch::Tensor responsible = at_cells(torch::ones({}, like));
  loss.ignored =
      ignore_mask(raw.detach(), head, objects, targets.ignore_objects[static_cast<size_t>(index)], options.ignore_iou)
          .logical_and_(responsible == 0);
  const torch::Tensor counted = loss.ignored.logical_not().to(like.dtype());
  const torch::Tensor target = options.objectness_target == ObjectnessTarget::iou
                                   ? at_cells(iou_centers(predicted.detach(), cells.box).clamp(0, 1))
                                   : responsible;
  loss.parts.conf = objectness_part(logits, responsible, target, counted, options) / by.objectness;
  return loss;
}

}  // namespace

LossCounts loss_counts(int64_t pictures, const Targets& targets, size_t heads) {
  LossCounts counts{pictures, std::vector<int64_t>(heads)};
  for (const Assignment& positive : targets.positives) ++counts.positives[static_cast<size_t>(positive.head)];
  return counts;
}

YoloLoss yolo_loss(const std::vector<torch::Tensor>& raw_maps, const std::vector<Head>& heads,
                   const std::vector<std::vector<Annotation>>& objects_net, const Targets& targets,
                   const LossOptions& options) {
  const int64_t pictures = raw_maps.empty() ? 0 : raw_maps[0].size(0);
  return yolo_loss(raw_maps, heads, objects_net, targets, options, loss_counts(pictures, targets, heads.size()));
}

YoloLoss yolo_loss(const std::vector<torch::Tensor>& raw_maps, const std::vector<Head>& heads,
                   const std::vector<std::vector<Annotation>>& objects_net, const Targets& targets,
                   const LossOptions& options, const LossCounts& whole) {
  check(raw_maps.size() == heads.size(), "{} raw maps for {} heads", raw_maps.size(), heads.size());
  check_head_balance(options, heads.size());
  YoloLoss loss;
  for (size_t h = 0; h < heads.size(); ++h) {
    loss.heads.push_back(head_loss(raw_maps[h], static_cast<int>(h), heads[h], objects_net, targets, options, whole));
  }
  const auto zero = torch::zeros({}, raw_maps[0].options());
  loss.parts = {zero, zero, zero};
  for (size_t h = 0; h < heads.size(); ++h) {
    const LossParts& parts = loss.heads[h].parts;
    const double balance = options.head_balance.empty() ? 1.0 : options.head_balance[h];
    loss.parts.giou = loss.parts.giou + options.box_gain * parts.giou;
    loss.parts.conf = loss.parts.conf + options.obj_gain * balance * parts.conf;
    loss.parts.prob = loss.parts.prob + options.cls_gain * parts.prob;
  }
  return loss;
}

void check_loss_options(const LossOptions& options) {
  check_usage(options.label_smoothing >= 0 && options.label_smoothing < 1,
              "--label-smoothing {}: expected 0 or more and under 1", options.label_smoothing);
  check_usage(
      options.focal_power == 0 || options.focal_power >= 1,
      "--focal-power {}: expected 0 (plain cross entropy) or at least 1: between them its slope is infinite at 0",
      options.focal_power);
  check_usage(options.focal_balance >= 0 && options.focal_balance < 1,
              "--focal-balance {}: expected 0 (off) or under 1", options.focal_balance);
  for (const double weight : options.head_balance) {
    check_usage(weight >= 0, "--head-balance {}: weights are 0 or more", fmt::join(options.head_balance, ","));
  }
}

void check_head_balance(const LossOptions& options, size_t heads) {
  check_usage(options.head_balance.empty() || options.head_balance.size() == heads,
              "--head-balance {}: {} weights for {} heads; give one a head, small objects first",
              fmt::join(options.head_balance, ","), options.head_balance.size(), heads);
}

}  // namespace yolov3
