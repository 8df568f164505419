// Lines: runs of channels (engine/map_runs.h) of pixels that follow one another, as floats. A pass that computes takes
// lines that stay in the first-level cache from the maps it reads, in whatever format, and gives its results likewise.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <vector>

#include "engine/map_gradients.h"
#include "engine/map_runs.h"

namespace yolov3 {

constexpr int64_t kLine = 1024;  // numbers of a line: they stay in the first-level cache

// Channels [first, first + count) of pixels [pixel, pixel + pixels) of one image, pixel by pixel.
struct Line {
  int64_t n, first, count, pixel, pixels;
  int64_t size() const { return count * pixels; }
};

// Channels that lie together in all of the maps, at most `limit`.
inline int64_t line_channels(std::initializer_list<const MapView*> maps, int64_t limit = kLine) {
  int64_t block = limit;
  for (const MapView* map : maps) block = std::min({block, map->shape.channels, common_block(*map)});
  return block;
}

// Whether the line's numbers lie together in memory.
inline bool is_together(const MapView& map, const Line& line) {
  return line.pixels == 1 || line.count == (is_blocked(map) ? block_of(map.format.layout) : map.pixel_stride);
}

// The line as floats: where it is, or widened into `buffer`.
inline const float* take(const MapView& map, const Line& line, float* buffer) {
  const std::byte* data = map.at(line.n, line.first, line.pixel);
  if (is_together(map, line)) {
    if (map.format.type == NumberType::f32) return reinterpret_cast<const float*>(data);
    to_floats(as_row(map, data), buffer, line.size());
    return buffer;
  }
  for (int64_t p = 0; p < line.pixels; ++p) {
    to_floats(as_row(map, map.at(line.n, line.first, line.pixel + p)), buffer + p * line.count, line.count);
  }
  return buffer;
}

// Writes a row or adds it to what is there.
inline void give_row(const Row& row, std::byte* data, const MapFormat& format, int64_t count, Into into) {
  const Row there{into == Into::sum ? data : nullptr, format.type, format.scale};
  compute_row(row, there, {}, data, format.type, format.scale, count);
}

// Channels that fill up the last block become zero.
inline void give(const float* values, const MapView& to, const Line& line, Into into) {
  if (is_together(to, line)) {
    give_row({values}, to.at(line.n, line.first, line.pixel), to.format, line.size(), into);
  } else {
    for (int64_t p = 0; p < line.pixels; ++p) {
      give_row({values + p * line.count}, to.at(line.n, line.first, line.pixel + p), to.format, line.count, into);
    }
  }
  if (line.first + line.count < to.shape.channels) return;
  for (int64_t p = 0; p < line.pixels; ++p) clear_rest(to, line.n, line.pixel + p);
}

// function(line, scratch) for lines of `channels` channels that make up the map, each within one of its rows, in the
// order of blocked maps' memory, which is that of channels_last when a line has all channels. scratch: `floats` of the
// thread's own.
template <class Function>
void for_lines(const MapView& map, int64_t channels, int64_t floats, const Function& function) {
  const int64_t blocks = (map.shape.channels + channels - 1) / channels, width = map.shape.width;
  const int64_t step = std::max<int64_t>(1, kLine / channels);
#pragma omp parallel if (map.images * map.shape.size() > kPiece)
  {
    std::vector<float> scratch(static_cast<size_t>(floats));
#pragma omp for collapse(3) schedule(static)
    for (int64_t n = 0; n < map.images; ++n) {
      for (int64_t b = 0; b < blocks; ++b) {
        for (int64_t y = 0; y < map.shape.height; ++y) {
          const int64_t first = b * channels, count = std::min(channels, map.shape.channels - first);
          for (int64_t x = 0; x < width; x += step) {
            function(Line{n, first, count, y * width + x, std::min(step, width - x)}, scratch.data());
          }
        }
      }
    }
  }
}

}  // namespace yolov3
