// Runs of channels that lie together at one pixel of maps in whatever layouts: what the passes over maps
// (engine/map_passes.h, engine/map_gradients.h) are made of. Not for Layout::planes.
//
// A slice of a blocked map ends on a block's border or where its map ends, so that the channels that fill up its last
// block are nobody else's.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>

#include "engine/map_view.h"
#include "engine/number_ops.h"

namespace yolov3 {

constexpr int64_t kPiece = 8192;  // numbers that are worth a thread's while

inline bool is_blocked(const MapView& map) { return block_of(map.format.layout) > 1; }

inline Row as_row(const MapView& map, const void* data) { return {data, map.format.type, map.format.scale}; }

// Channels that lie together at one pixel wherever a map's first channel is on a block's border.
inline int64_t common_block(const MapView& map) {
  return is_blocked(map) ? block_of(map.format.layout) : std::numeric_limits<int64_t>::max();
}

// Channels that can be taken together when copying from channel a of one map to channel b of another.
inline int64_t copy_block(const MapView& in, int64_t in_first, const MapView& out, int64_t out_first) {
  const auto block = [](const MapView& map, int64_t first) {
    return is_blocked(map) && first % block_of(map.format.layout) != 0 ? int64_t{1} : common_block(map);
  };
  return std::min(block(in, in_first), block(out, out_first));
}

// function(n, first channel, channels, pixel) for runs of channels that lie together in all maps of block `block`.
template <class Function>
void for_runs(int64_t images, int64_t channels, int64_t pixels, int64_t block, const Function& function) {
  const int64_t blocks = (channels + block - 1) / block;
#pragma omp parallel for collapse(2) schedule(static) if (images * channels * pixels > kPiece)
  for (int64_t n = 0; n < images; ++n) {
    for (int64_t pixel = 0; pixel < pixels; ++pixel) {
      for (int64_t b = 0; b < blocks; ++b) {
        function(n, b * block, std::min(block, channels - b * block), pixel);
      }
    }
  }
}

// The channels that fill up the last block.
inline void clear_rest(const MapView& out, int64_t n, int64_t pixel) {
  const int64_t stored = stored_channels(out.format.layout, out.shape.channels), channels = out.shape.channels;
  if (stored > channels) {
    std::memset(out.at(n, channels, pixel), 0, static_cast<size_t>((stored - channels) * size_of(out.format.type)));
  }
}

// Same numbers in the same order: bytes are copied.
inline bool same_bytes(const MapFormat& a, const MapFormat& b) { return a.type == b.type && a.scale == b.scale; }

inline void copy_run(const MapView& in, const std::byte* from, const MapView& out, std::byte* to, int64_t count) {
  if (same_bytes(in.format, out.format)) {
    std::memcpy(to, from, static_cast<size_t>(count * size_of(in.format.type)));
  } else {
    compute_row(as_row(in, from), {}, {}, to, out.format.type, out.format.scale, count);
  }
}

}  // namespace yolov3
