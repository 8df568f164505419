// A picture: 8-bit RGB, rows from the top, pixels interleaved, no padding between rows.
#pragma once

#include <cstdint>
#include <vector>

namespace yolov3 {

struct Image {
  int width = 0, height = 0;
  std::vector<uint8_t> rgb;  // height x width x 3

  Image() = default;
  Image(int w, int h, uint8_t value = 0)
      : width(w), height(h), rgb(static_cast<size_t>(w) * static_cast<size_t>(h) * 3, value) {}

  bool empty() const { return rgb.empty(); }
  uint8_t* pixel(int x, int y) {
    return rgb.data() + 3 * (static_cast<size_t>(y) * static_cast<size_t>(width) + static_cast<size_t>(x));
  }
  const uint8_t* pixel(int x, int y) const {
    return rgb.data() + 3 * (static_cast<size_t>(y) * static_cast<size_t>(width) + static_cast<size_t>(x));
  }
  bool operator==(const Image&) const = default;
};

}  // namespace yolov3
