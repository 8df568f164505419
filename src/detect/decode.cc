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

// The channels of one anchor of one image.
struct AnchorMap {
  const float* first;
  int64_t channel_stride, cell_stride, cells;
  bool interleaved() const { return channel_stride == 1; }  // a cell's classes lie together
  const float* channel(int64_t c) const { return first + c * channel_stride; }
  float at(int64_t c, int64_t cell) const { return first[c * channel_stride + cell * cell_stride]; }
};

void check_map(const RawMap& map, int64_t image, const Head& head) {
  const int64_t channels = static_cast<int64_t>(head.anchors.size()) * (5 + head.classes);
  if (map.channels != channels || map.height != head.grid_height || map.width != head.grid_width) {
    fail("raw map of the head at layer {}: expected shape {}, got {}", head.layer,
         to_string({map.images, channels, head.grid_height, head.grid_width}),
         to_string({map.images, map.channels, map.height, map.width}));
  }
  check(image >= 0 && image < map.images, "raw map of the head at layer {}: image {} of a batch of {}", head.layer,
        image, map.images);
}

AnchorMap anchor_map(const RawMap& map, int64_t image, const Head& head, size_t anchor) {
  const int64_t channel = static_cast<int64_t>(anchor) * (5 + head.classes);
  return {map.data + image * map.image_stride + channel * map.channel_stride, map.channel_stride, map.cell_stride,
          map.cells()};
}

struct CenterBox {
  float x, y, width, height;
};

CenterBox decode_box(const AnchorMap& map, const Head& head, const Anchor& anchor, int64_t cell) {
  const float shift = 0.5f * (head.scale_xy - 1);
  const auto gx = static_cast<float>(cell % head.grid_width), gy = static_cast<float>(cell / head.grid_width);
  return {(sigmoid(map.at(0, cell)) * head.scale_xy - shift + gx) * head.stride_x,
          (sigmoid(map.at(1, cell)) * head.scale_xy - shift + gy) * head.stride_y,
          bounded_exp(map.at(2, cell)) * anchor.width, bounded_exp(map.at(3, cell)) * anchor.height};
}

void find_cells(const AnchorMap& map, float threshold, std::vector<CandidateCell>& cells) {
  cells.clear();
  const float floor = logit_floor(threshold);
  const float* objectness = map.channel(4);
  for (int64_t cell = 0; cell < map.cells; ++cell, objectness += map.cell_stride) {
    if (*objectness >= floor) cells.push_back({cell, sigmoid(*objectness), -kInfinity, 0});
  }
}

// Every logit of the candidate cells' classes, in its order in memory: planes class by class, cells one after the other.
template <class Visit>
void for_each_class(const AnchorMap& map, int classes, std::span<CandidateCell> cells, Visit visit) {
  if (map.interleaved()) {
    for (CandidateCell& cell : cells) {
      const float* logits = map.channel(5) + cell.cell * map.cell_stride;
      for (int k = 0; k < classes; ++k) visit(cell, k, logits[k]);
    }
  } else {
    for (int k = 0; k < classes; ++k) {
      const float* logits = map.channel(5 + k);
      for (CandidateCell& cell : cells) visit(cell, k, logits[cell.cell * map.cell_stride]);
    }
  }
}

class AnchorDecoder {
 public:
  AnchorDecoder(const AnchorMap& map, const Head& head, const Anchor& anchor, const DecodeOptions& options,
                std::vector<Detection>& out)
      : map_(map), head_(head), anchor_(anchor), options_(options), out_(out) {}

  void best_class(std::span<CandidateCell> cells) {
    for_each_class(map_, head_.classes, cells, [](CandidateCell& cell, int k, float logit) {
      if (logit > cell.class_logit) {
        cell.class_logit = logit;
        cell.best_class = k;
      }
    });
    const float floor = logit_floor(options_.score_threshold);  // objectness is 1 at most
    for (const CandidateCell& cell : cells) {
      if (cell.class_logit >= floor) add(cell, cell.best_class, cell.class_logit);
    }
  }

  void every_class(std::span<CandidateCell> cells) {
    for (CandidateCell& cell : cells) cell.class_logit = logit_floor(options_.score_threshold / cell.objectness);
    for_each_class(map_, head_.classes, cells, [this](const CandidateCell& cell, int k, float logit) {
      if (logit >= cell.class_logit) add(cell, k, logit);
    });
  }

 private:
  void add(const CandidateCell& cell, int class_id, float class_logit) {
    const float score = cell.objectness * sigmoid(class_logit);
    if (!(score > options_.score_threshold)) return;
    const CenterBox box = decode_box(map_, head_, anchor_, cell.cell);
    out_.push_back({box_from_center(box.x, box.y, box.width, box.height), class_id, score});
  }

  const AnchorMap& map_;
  const Head& head_;
  const Anchor& anchor_;
  const DecodeOptions& options_;
  std::vector<Detection>& out_;
};

}  // namespace

void Decoder::run(std::span<const RawMap> raw_maps, int64_t image, std::span<const Head> heads,
                  const DecodeOptions& options, std::vector<Detection>& candidates) {
  check(raw_maps.size() == heads.size(), "decode: {} raw maps for {} heads", raw_maps.size(), heads.size());
  check(options.score_threshold >= 0 && options.score_threshold <= 1, "score threshold {} is not between 0 and 1",
        options.score_threshold);
  for (size_t h = 0; h < heads.size(); ++h) {
    check_map(raw_maps[h], image, heads[h]);
    for (size_t a = 0; a < heads[h].anchors.size(); ++a) {
      const AnchorMap map = anchor_map(raw_maps[h], image, heads[h], a);
      find_cells(map, options.score_threshold, cells_);
      AnchorDecoder decoder(map, heads[h], heads[h].anchors[a], options, candidates);
      options.multi_label ? decoder.every_class(cells_) : decoder.best_class(cells_);
    }
  }
}

std::vector<Detection> decode(std::span<const RawMap> raw_maps, int64_t image, const std::vector<Head>& heads,
                              const DecodeOptions& options) {
  std::vector<Detection> candidates;
  Decoder().run(raw_maps, image, heads, options, candidates);
  return candidates;
}

Tensor decode_dense(const RawMap& raw_map, int64_t image, const Head& head) {
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
      for (int64_t k = 4; k < row_size; ++k) row[k] = sigmoid(map.at(k, cell));
    }
  }
  return rows;
}

}  // namespace yolov3
