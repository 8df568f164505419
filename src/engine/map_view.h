// Where an engine keeps one feature map, and how its numbers lie there.
//
// Shape: N,C,H,W. Element (n, c, y, x) of the layouts, p = y * W + x, in elements from `data`:
//   planes         n * image_stride + c * H*W + p                         oneDNN: nchw
//   channels_last  n * image_stride + p * pixel_stride + c                oneDNN: nhwc; pixel_stride > C in a slice
//   blocked8/16    n * image_stride + (c / B) * H*W*B + p * B + c % B     oneDNN: nChw8c, nChw16c; the channels that
//                                                                         fill up the last block hold zeros
// A slice is a run of channels inside a larger map, so that maps can be joined without a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "net/spec.h"

namespace yolov3 {

enum class NumberType { f32, bf16, s8, u8 };  // s8, u8: real value = scale * number; u8 only for the network's input
enum class Layout { planes, channels_last, blocked8, blocked16 };

struct MapFormat {
  NumberType type = NumberType::f32;
  Layout layout = Layout::planes;
  float scale = 1;  // of s8 and u8
  bool operator==(const MapFormat&) const = default;
};

int64_t size_of(NumberType type);
int64_t block_of(Layout layout);                           // channels kept together in blocked layouts, else 1
int64_t stored_channels(Layout layout, int64_t channels);  // rounded up to whole blocks
int64_t stored_bytes(const MapFormat& format, int64_t images, const LayerShape& shape);
std::string to_string(NumberType type);
std::string to_string(Layout layout);

struct MapView {
  std::byte* data = nullptr;
  MapFormat format;
  int64_t images = 0;
  LayerShape shape;
  int64_t image_stride = 0, pixel_stride = 0;  // elements; pixel_stride: channels_last only

  int64_t pixels() const { return shape.height * shape.width; }
  bool is_dense() const;  // no larger map around it
  std::byte* at(int64_t n, int64_t c, int64_t pixel) const { return data + offset(n, c, pixel) * size_of(format.type); }
  int64_t offset(int64_t n, int64_t c, int64_t pixel) const;
};

// A dense map at `data`.
MapView make_view(std::byte* data, const MapFormat& format, int64_t images, const LayerShape& shape);

// Channels [first, first + count) of a map. In blocked layouts `first` is a multiple of the block.
MapView slice_channels(const MapView& map, int64_t first, int64_t count);

}  // namespace yolov3
