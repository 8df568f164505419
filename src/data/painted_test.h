// For tests of augmentations: rectangles of four colours that are found again by looking.
#pragma once

#include <algorithm>
#include <array>

#include "base/rng.h"
#include "data/augment.h"

namespace yolov3 {

// Which of R, G, B are full: no two of them, nor the pad's grey, can be taken for another.
constexpr std::array<int, 4> kPaints = {1, 2, 4, 3};

inline void fill(Image& image, const Box& box, int paint) {
  for (int y = static_cast<int>(box.y0); y < static_cast<int>(box.y1); ++y) {
    for (int x = static_cast<int>(box.x0); x < static_cast<int>(box.x1); ++x) {
      for (int c = 0; c < 3; ++c) image.pixel(x, y)[c] = (paint >> c & 1) != 0 ? 255 : 0;
    }
  }
}

// A dark picture with one rectangle, whose class is the paint's place in kPaints.
inline Sample painted_sample(int width, int height, const Box& box, int class_id) {
  Sample sample{Image(width, height, 20), {}};
  fill(sample.image, box, kPaints[static_cast<size_t>(class_id)]);
  sample.objects = {{.box = box, .class_id = class_id, .area = box.area()}};
  return sample;
}

struct Found {
  Box box{1e9f, 1e9f, -1, -1};
  int64_t pixels = 0;
};

// Pixels that are the paint by more than half.
inline Found find(const Image& image, int class_id) {
  Found found;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const uint8_t* p = image.pixel(x, y);
      const int seen = (p[0] > 137) + 2 * (p[1] > 137) + 4 * (p[2] > 137);  // half way from 20 to 255
      if (seen != kPaints[static_cast<size_t>(class_id)]) continue;
      found.box = {std::min(found.box.x0, float(x)), std::min(found.box.y0, float(y)),
                   std::max(found.box.x1, float(x + 1)), std::max(found.box.y1, float(y + 1))};
      ++found.pixels;
    }
  }
  return found;
}

inline Box random_rectangle(int width, int height, int least, Rng& rng) {
  const auto x0 = rng.integer(0, width - least), y0 = rng.integer(0, height - least);
  const auto x1 = rng.integer(x0 + least, width), y1 = rng.integer(y0 + least, height);
  return {float(x0), float(y0), float(x1), float(y1)};
}

}  // namespace yolov3
