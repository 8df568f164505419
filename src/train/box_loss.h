// How well boxes agree with the true ones, with gradients.
//
// Shape: rows of centre boxes cx, cy, w, h (P,4), or shapes that broadcast to one; element by element. Units: any, the
// same for both. Finite, with finite gradients, for empty boxes too: divisions are by max(x, tiny), never with an added
// eps.
#pragma once

#include <torch/torch.h>

#include "train/options.h"

namespace yolov3 {

torch::Tensor iou_centers(const torch::Tensor& a, const torch::Tensor& b);   // intersection over union, [0,1]
torch::Tensor giou_centers(const torch::Tensor& a, const torch::Tensor& b);  // arXiv 1902.09630, algorithm 1, [-1,1]
// IoU - d^2/c^2: d between the centres, c the diagonal of the box around both; (-1,1]. arXiv 1911.08287.
torch::Tensor diou_centers(const torch::Tensor& a, const torch::Tensor& b);
// DIoU - alpha v: v = 4/pi^2 (atan(w_b/h_b) - atan(w_a/h_a))^2, alpha = v / (1 - IoU + v) without gradient. The same
// paper; its code leaves the denominator w^2 + h^2 out of the gradient of v, here it is exact.
torch::Tensor ciou_centers(const torch::Tensor& a, const torch::Tensor& b);

// By kind. Errors: mse, which is no overlap.
torch::Tensor overlap_centers(BoxLoss kind, const torch::Tensor& a, const torch::Tensor& b);

// BoxLoss::mse, 0 where the logits say the target. Darknet's gradients: sigmoid(t) - target for x and y, t - target for
// w and h (delta_yolo_box, yolo_layer.c). The function that has them is the cross entropy above its least value, and
// half the square. logits: P,4 tx ty tw th; targets: P,4 offset in the cell (0 to 1) twice, ln(size / anchor) twice.
// Gives P.
torch::Tensor coordinate_loss(const torch::Tensor& logits, const torch::Tensor& targets);

}  // namespace yolov3
