// Raw logits to boxes: the one place where sigmoid and exp are taken for using a network (training: train/loss).
//
// Source: the notes' decode, x = (sigmoid(tx) + gx) * stride, w = exp(tw) * anchor (pixels), scores by sigmoid.
// Threads: a Decoder belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/objects.h"
#include "base/tensor.h"
#include "engine/raw_map.h"
#include "net/spec.h"

namespace yolov3 {

struct DecodeOptions {
  float score_threshold = 0.25f;  // of objectness * class probability
  bool multi_label = false;       // every class over the threshold, not only the best
};

// exp's argument is limited to this (D24).
constexpr float kMaxExpLogit = 8.0f;

// A cell of one anchor whose objectness can pass.
struct CandidateCell {
  int64_t cell;
  float objectness;   // probability
  float class_logit;  // the best class's; for every class: what a class must reach
  int best_class;
};

// Keeps its working memory, so that it allocates only for more candidates than it has ever had.
class Decoder {
 public:
  // Appends the candidates of image `image` of the batch, before NMS, box_net, unclipped, in the order head, anchor and
  // then cell (or class: as the maps lie in memory). Scores are compared on the raw logit first, so that exp is taken
  // only for the few cells that can pass. Errors: maps of other shapes than the heads say.
  void run(std::span<const RawMap> raw_maps, int64_t image, std::span<const Head> heads, const DecodeOptions& options,
           std::vector<Detection>& candidates);

 private:
  std::vector<CandidateCell> cells_;
};

// The same by itself.
std::vector<Detection> decode(std::span<const RawMap> raw_maps, int64_t image, const std::vector<Head>& heads,
                              const DecodeOptions& options);

// Everything, for comparisons: (A*G*G, 5+K) rows cx, cy, w, h, objectness, classes of one head, order gy, gx, anchor.
Tensor decode_dense(const RawMap& raw_map, int64_t image, const Head& head);

}  // namespace yolov3
