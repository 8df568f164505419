#include "engine/map_view.h"

#include <cassert>

namespace yolov3 {

int64_t size_of(NumberType type) {
  switch (type) {
    case NumberType::f32: return 4;
    case NumberType::bf16: return 2;
    case NumberType::s8:
    case NumberType::u8: return 1;
  }
  return 0;
}

int64_t block_of(Layout layout) { return layout == Layout::blocked16 ? 16 : layout == Layout::blocked8 ? 8 : 1; }

int64_t stored_channels(Layout layout, int64_t channels) {
  const int64_t block = block_of(layout);
  return (channels + block - 1) / block * block;
}

int64_t stored_bytes(const MapFormat& format, int64_t images, const LayerShape& shape) {
  return images * stored_channels(format.layout, shape.channels) * shape.height * shape.width * size_of(format.type);
}

std::string to_string(NumberType type) {
  switch (type) {
    case NumberType::f32: return "f32";
    case NumberType::bf16: return "bf16";
    case NumberType::s8: return "int8";
    case NumberType::u8: return "uint8";
  }
  return "?";
}

std::string to_string(Layout layout) {
  switch (layout) {
    case Layout::planes: return "planes";
    case Layout::channels_last: return "channels_last";
    case Layout::blocked8: return "blocked8";
    case Layout::blocked16: return "blocked16";
  }
  return "?";
}

bool MapView::is_dense() const {
  return (images == 1 || image_stride == stored_channels(format.layout, shape.channels) * pixels()) &&
         (format.layout != Layout::channels_last || pixel_stride == shape.channels);
}

int64_t MapView::offset(int64_t n, int64_t c, int64_t pixel) const {
  switch (format.layout) {
    case Layout::planes: return n * image_stride + c * pixels() + pixel;
    case Layout::channels_last: return n * image_stride + pixel * pixel_stride + c;
    case Layout::blocked8: return n * image_stride + (c / 8 * pixels() + pixel) * 8 + c % 8;
    case Layout::blocked16: return n * image_stride + (c / 16 * pixels() + pixel) * 16 + c % 16;
  }
  return 0;
}

MapView make_view(std::byte* data, const MapFormat& format, int64_t images, const LayerShape& shape) {
  MapView view{data, format, images, shape};
  view.image_stride = stored_channels(format.layout, shape.channels) * view.pixels();
  view.pixel_stride = shape.channels;
  return view;
}

MapView slice_channels(const MapView& map, int64_t first, int64_t count) {
  assert(first % block_of(map.format.layout) == 0);
  MapView slice = map;
  slice.data = map.at(0, first, 0);
  slice.shape.channels = count;
  return slice;
}

}  // namespace yolov3
