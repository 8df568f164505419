// The raw logits of one head where an engine left them: a view, so that channels may lie apart (planes) or together.
//
// Shape: N,A*(5+K),G_h,G_w. Element (n, c, cell) with cell = gy * G_w + gx is at
// data[n * image_stride + c * channel_stride + cell * cell_stride].
#pragma once

#include <cstdint>
#include <vector>

#include "base/tensor.h"

namespace yolov3 {

struct RawMap {
  const float* data = nullptr;
  int64_t images = 0, channels = 0, height = 0, width = 0;
  int64_t image_stride = 0, channel_stride = 0, cell_stride = 0;

  int64_t cells() const { return height * width; }
  float at(int64_t n, int64_t c, int64_t cell) const {
    return data[n * image_stride + c * channel_stride + cell * cell_stride];
  }
};

// Views of N,C,H,W tensors, which must outlive them.
RawMap view_of(const Tensor& map);
std::vector<RawMap> views_of(const std::vector<Tensor>& maps);

}  // namespace yolov3
