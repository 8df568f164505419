#include "image/exif.h"

#include <algorithm>
#include <cstring>

#include "image/bytes.h"

namespace yolov3 {

int exif_orientation(std::string_view tiff) {
  if (tiff.starts_with(std::string_view("Exif\0\0", 6))) tiff.remove_prefix(6);
  const bool little = tiff.starts_with(std::string_view("II*\0", 4));
  if (!little && !tiff.starts_with(std::string_view("MM\0*", 4))) return 1;
  const ByteReader in(tiff, little);
  const uint64_t directory = in.u32(4);
  const uint64_t entries = in.u16(directory);
  for (uint64_t i = 0; i < entries; ++i) {
    const uint64_t entry = directory + 2 + 12 * i;
    if (!in.has(entry, 12)) return 1;
    if (in.u16(entry) != 0x0112) continue;
    const uint32_t type = in.u16(entry + 2);
    const uint32_t value = type == 3 ? in.u16(entry + 8) : type == 4 ? in.u32(entry + 8) : 1;
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

namespace {

// Where the pixel (0,0) of the upright picture lies in the stored one, and which way its x and y run there (pixels).
struct Walk {
  int64_t first, step_x, step_y;
};

Walk walk_through(int64_t w, int64_t h, int orientation) {
  switch (orientation) {
    case 2: return {w - 1, -1, w};
    case 3: return {w * h - 1, -1, -w};
    case 4: return {w * (h - 1), 1, -w};
    case 5: return {0, w, 1};
    case 6: return {w * (h - 1), -w, 1};
    case 7: return {w * h - 1, -w, -1};
    case 8: return {w - 1, w, -1};
    default: return {0, 1, w};
  }
}

}  // namespace

Image upright(Image image, int orientation) {
  if (orientation < 2 || orientation > 8 || image.empty()) return image;
  const Walk walk = walk_through(image.width, image.height, orientation);
  const bool swap = swaps_sides(orientation);
  Image out(swap ? image.height : image.width, swap ? image.width : image.height);
  constexpr int kTile = 32;  // rows and columns walk through the cache together
  for (int y0 = 0; y0 < out.height; y0 += kTile) {
    for (int x0 = 0; x0 < out.width; x0 += kTile) {
      const int y_end = std::min(y0 + kTile, out.height), x_end = std::min(x0 + kTile, out.width);
      for (int y = y0; y < y_end; ++y) {
        const uint8_t* source = image.rgb.data() + 3 * (walk.first + walk.step_x * x0 + walk.step_y * y);
        uint8_t* target = out.pixel(x0, y);
        for (int x = x0; x < x_end; ++x, source += 3 * walk.step_x, target += 3) std::memcpy(target, source, 3);
      }
    }
  }
  return out;
}

}  // namespace yolov3
