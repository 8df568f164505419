// The ten digits as strokes, and strokes as ink. Only + - * / and sqrt: the same bits on every machine.
#pragma once

#include <cstdint>
#include <vector>

#include "base/box.h"

namespace yolov3 {

struct Segment {
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};

// The middle lines of a digit's strokes, y downwards, inside [0,0.6] x [0,1].
const std::vector<Segment>& digit_strokes(int digit);

// Ink of a shape on the pixels from (x, y) on: 0 none, 255 full.
struct InkMask {
  int x = 0, y = 0, width = 0, height = 0;
  std::vector<uint8_t> ink;  // height x width
  uint8_t at(int column, int row) const {
    return ink[static_cast<size_t>(row) * static_cast<size_t>(width) + static_cast<size_t>(column)];
  }
};

// Round strokes of `radius_px` along the segments, given in pixels; one pixel of soft edge.
InkMask stroke_ink(const std::vector<Segment>& segments, double radius_px);

// The box that the strokes touch exactly.
Box stroke_box(const std::vector<Segment>& segments, double radius_px);

}  // namespace yolov3
