// How large a picture may be: checked on what a header claims, before anything is allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/error.h"

namespace yolov3 {

constexpr int64_t kMaxImageSide = 65500;               // libjpeg's own limit
constexpr int64_t kMaxImagePixels = int64_t{1} << 28;  // 768 MB of RGB

inline void check_image_size(const std::string& name, int64_t width, int64_t height) {
  check(width > 0 && height > 0, "{}: not an image: its header says {} x {} pixels", name, width, height);
  check(width <= kMaxImageSide && height <= kMaxImageSide && width * height <= kMaxImagePixels,
        "{}: too large: {} x {} pixels, the limit is {} a side and {} in all; make it smaller", name, width, height,
        kMaxImageSide, kMaxImagePixels);
}

// A header that claims more than the best compression could have put into the file is refused before allocation.
inline void check_claim(const std::string& name, const char* kind, uint64_t least_bytes, size_t file_bytes) {
  check(least_bytes <= file_bytes, "{}: truncated {}: the size in its header needs at least {} bytes, the file has {}",
        name, kind, least_bytes, file_bytes);
}

// LZW, deflate, run lengths and lossless WebP put a flat picture of any size into a few bytes, so what such a file
// claims can be bounded by custom only: up to 16 million pixels pass, more need a byte for each 2048.
constexpr int64_t kMaxFlatPixels = int64_t{1} << 24;
constexpr int64_t kMaxPixelsOfAByte = 2048;

inline void check_flat_claim(const std::string& name, int64_t width, int64_t height, size_t file_bytes) {
  check(width * height <= kMaxFlatPixels || width * height / kMaxPixelsOfAByte <= static_cast<int64_t>(file_bytes),
        "{}: too large: {} x {} pixels in a file of {} bytes; over {} pixels need a byte for each {}", name, width,
        height, file_bytes, kMaxFlatPixels, kMaxPixelsOfAByte);
}

}  // namespace yolov3
