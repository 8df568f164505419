// What a picture and the objects in it look like, in a few numbers, to find copies and strangers among many.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "data/dataset.h"
#include "image/image.h"

namespace yolov3 {

// Of an object: log of width and height as shares of the picture's sides' mean, brightness and two colour differences
// of its inner part less the picture's own, and how much its brightness varies.
struct ObjectLook {
  static constexpr size_t kFeatures = 6;
  std::array<double, kFeatures> features{};
};

struct PictureLook {
  static constexpr int kSide = 16;
  uint64_t bytes = 0;                        // of the file; 0 = drawn
  uint32_t crc = 0;                          // of its bytes
  uint64_t hash = 0;                         // is each of 8 x 8 places brighter than its right neighbour? (dHash)
  std::array<uint8_t, kSide * kSide> thumb;  // grey, averaged
  std::vector<ObjectLook> objects;           // an entry an object of the example
};

PictureLook look_at(const Image& image, int full_width, int full_height, const std::vector<Annotation>& objects);

// Of every picture, in threads. Errors: a picture cannot be read.
std::vector<PictureLook> look_at(const Dataset& dataset, int threads);

}  // namespace yolov3
