// Raw logits to boxes: the one place where sigmoid and exp are taken for using a network (training: train/loss).
//
// Source: the notes' decode, x = (sigmoid(tx) + gx) * stride, w = exp(tw) * anchor (pixels), scores by sigmoid.
#pragma once

#include <vector>

#include "base/objects.h"
#include "base/tensor.h"
#include "net/spec.h"

namespace yolov3 {

struct DecodeOptions {
  float score_threshold = 0.25f;  // of objectness * class probability
  bool multi_label = false;       // every class over the threshold, not only the best
};

// Candidates of image `image` of the batch, before NMS, box_net, unclipped. Scores are compared on the raw logit
// first, so that exp is taken only for the few cells that can pass. exp's argument is limited to kMaxExpLogit (D24).
constexpr float kMaxExpLogit = 8.0f;
std::vector<Detection> decode(const std::vector<Tensor>& raw_maps, int64_t image, const std::vector<Head>& heads,
                              const DecodeOptions& options);

// Everything, for comparisons: (A*G*G, 5+K) rows cx, cy, w, h, objectness, classes of one head, order gy, gx, anchor.
Tensor decode_dense(const Tensor& raw_map, int64_t image, const Head& head);

}  // namespace yolov3
