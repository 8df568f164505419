#include "detect/decode.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace yolov3 {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float sigmoid(float logit) { return 1.0f / (1.0f + std::exp(-logit)); }

float bounded_exp(float logit) { return std::exp(std::min(logit, kMaxExpLogit)); }

// A logit below which sigmoid is surely under `probability`. Loose by more than float rounds: the score decides.
float logit_floor(float probability) {
  if (probability <= 0) return -kInfinity;
  const double p = std::min(double{probability}, 0.9999);
  return static_cast<float>(std::log(p / (1 - p)) - 1e-3);
}

// The channels of one anchor of one image: planes of `cells` values each.
struct AnchorMap {
  const float* first;
  int64_t cells;
  const float* plane(int64_t channel) const { return first + channel * cells; }
};

void check_map(const Tensor& raw_map, int64_t image, const Head& head) {
  const Shape expected{raw_map.shape().empty() ? 1 : raw_map.dim(0),
                       static_cast<int64_t>(head.anchors.size()) * (5 + head.classes), head.grid_height,
                       head.grid_width};
  check(raw_map.shape() == expected, "raw map of the head at layer {}: expected shape {}, got {}", head.layer,
        to_string(expected), to_string(raw_map.shape()));
  check(image >= 0 && image < raw_map.dim(0), "raw map of the head at layer {}: image {} of a batch of {}", head.layer,
        image, raw_map.dim(0));
}

AnchorMap anchor_map(const Tensor& raw_map, int64_t image, const Head& head, size_t anchor) {
  const int64_t cells = head.grid_height * head.grid_width;
  const int64_t channels = 5 + head.classes;
  const int64_t planes = (image * static_cast<int64_t>(head.anchors.size()) + static_cast<int64_t>(anchor)) * channels;
  return {raw_map.data() + planes * cells, cells};
}

struct CenterBox {
  float x, y, width, height;
};

CenterBox decode_box(const AnchorMap& map, const Head& head, const Anchor& anchor, int64_t cell) {
  const float shift = 0.5f * (head.scale_xy - 1);
  const auto gx = static_cast<float>(cell % head.grid_width), gy = static_cast<float>(cell / head.grid_width);
  return {(sigmoid(map.plane(0)[cell]) * head.scale_xy - shift + gx) * head.stride_x,
          (sigmoid(map.plane(1)[cell]) * head.scale_xy - shift + gy) * head.stride_y,
          bounded_exp(map.plane(2)[cell]) * anchor.width, bounded_exp(map.plane(3)[cell]) * anchor.height};
}

// A cell whose objectness can pass.
struct Candidate {
  int64_t cell;
  float objectness;         // probability
  float best_logit = -kInfinity;
  int best_class = 0;
};

std::vector<Candidate> cells_over(const AnchorMap& map, float threshold) {
  std::vector<Candidate> candidates;
  const float floor = logit_floor(threshold);
  const float* objectness = map.plane(4);
  for (int64_t cell = 0; cell < map.cells; ++cell) {
    if (objectness[cell] >= floor) candidates.push_back({cell, sigmoid(objectness[cell])});
  }
  return candidates;
}

class AnchorDecoder {
 public:
  AnchorDecoder(const AnchorMap& map, const Head& head, const Anchor& anchor, const DecodeOptions& options,
                std::vector<Detection>& out)
      : map_(map), head_(head), anchor_(anchor), options_(options), out_(out) {}

  void run() {
    std::vector<Candidate> candidates = cells_over(map_, options_.score_threshold);
    if (options_.multi_label) {
      every_class(candidates);
    } else {
      best_class(candidates);
    }
  }

 private:
  // Class by class, so that each plane is read in its order in memory.
  void best_class(std::vector<Candidate>& candidates) {
    for (int k = 0; k < head_.classes; ++k) {
      const float* logits = map_.plane(5 + k);
      for (Candidate& candidate : candidates) {
        if (logits[candidate.cell] > candidate.best_logit) {
          candidate.best_logit = logits[candidate.cell];
          candidate.best_class = k;
        }
      }
    }
    for (const Candidate& candidate : candidates) add(candidate, candidate.best_logit, candidate.best_class);
  }

  void every_class(std::vector<Candidate>& candidates) {
    for (Candidate& candidate : candidates) {
      candidate.best_logit = logit_floor(options_.score_threshold / candidate.objectness);
    }
    for (int k = 0; k < head_.classes; ++k) {
      const float* logits = map_.plane(5 + k);
      for (const Candidate& candidate : candidates) {
        if (logits[candidate.cell] >= candidate.best_logit) add(candidate, logits[candidate.cell], k);
      }
    }
  }

  void add(const Candidate& candidate, float class_logit, int class_id) {
    const float score = candidate.objectness * sigmoid(class_logit);
    if (!(score > options_.score_threshold)) return;
    const CenterBox box = decode_box(map_, head_, anchor_, candidate.cell);
    out_.push_back({box_from_center(box.x, box.y, box.width, box.height), class_id, score});
  }

  const AnchorMap& map_;
  const Head& head_;
  const Anchor& anchor_;
  const DecodeOptions& options_;
  std::vector<Detection>& out_;
};

}  // namespace

std::vector<Detection> decode(const std::vector<Tensor>& raw_maps, int64_t image, const std::vector<Head>& heads,
                              const DecodeOptions& options) {
  check(raw_maps.size() == heads.size(), "decode: {} raw maps for {} heads", raw_maps.size(), heads.size());
  check(options.score_threshold >= 0 && options.score_threshold <= 1,
        "score threshold {} is not between 0 and 1", options.score_threshold);
  std::vector<Detection> detections;
  for (size_t h = 0; h < heads.size(); ++h) {
    check_map(raw_maps[h], image, heads[h]);
    for (size_t a = 0; a < heads[h].anchors.size(); ++a) {
      const AnchorMap map = anchor_map(raw_maps[h], image, heads[h], a);
      AnchorDecoder(map, heads[h], heads[h].anchors[a], options, detections).run();
    }
  }
  return detections;
}

Tensor decode_dense(const Tensor& raw_map, int64_t image, const Head& head) {
  check_map(raw_map, image, head);
  const auto anchors = static_cast<int64_t>(head.anchors.size());
  const int64_t row_size = 5 + head.classes;
  Tensor rows({anchors * head.grid_height * head.grid_width, row_size});
  for (int64_t a = 0; a < anchors; ++a) {
    const AnchorMap map = anchor_map(raw_map, image, head, static_cast<size_t>(a));
    for (int64_t cell = 0; cell < map.cells; ++cell) {
      float* row = rows.data() + (cell * anchors + a) * row_size;
      const CenterBox box = decode_box(map, head, head.anchors[static_cast<size_t>(a)], cell);
      row[0] = box.x;
      row[1] = box.y;
      row[2] = box.width;
      row[3] = box.height;
      for (int64_t k = 4; k < row_size; ++k) row[k] = sigmoid(map.plane(k)[cell]);
    }
  }
  return rows;
}

}  // namespace yolov3
