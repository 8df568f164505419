// Maps for the tests of engine/norm_passes.h: numbers are written and read one by one, by the layouts' definition.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/rng.h"
#include "engine/norm_passes.h"

namespace yolov3 {

struct Place {
  NumberType type = NumberType::f32;
  Layout layout = Layout::blocked16;
  bool slice = false;  // channels 3.. of a map with eight more
};

// All bytes that no number was written to are 0xff: fillings and neighbours are NaNs, which would spoil every sum.
class Map {
 public:
  Map(const Place& place, int64_t images, LayerShape shape) {
    LayerShape whole = shape;
    if (place.slice) whole.channels += 8;
    const MapFormat format{place.type, place.layout, 1};
    bytes_.assign(static_cast<size_t>(stored_bytes(format, images, whole)) + 64, std::byte{0xff});
    MapView all = make_view(bytes_.data(), format, images, whole);
    offset_ = place.slice ? all.at(0, 3, 0) - all.data : 0;
    view_ = place.slice ? slice_channels(all, 3, shape.channels) : all;
  }
  Map(const Place& place, int64_t images, LayerShape shape, uint64_t seed, double middle = 0.2, double spread = 2)
      : Map(place, images, shape) {
    Rng rng(seed);
    each([&](int64_t n, int64_t c, int64_t p) { put(n, c, p, middle + spread * rng.uniform(-1, 1)); });
  }
  MapView view() {  // wherever a copy of this map lies
    view_.data = bytes_.data() + offset_;
    return view_;
  }
  template <class Function>
  void each(const Function& function) const {  // function(image, channel, pixel)
    for (int64_t n = 0; n < view_.images; ++n) {
      for (int64_t c = 0; c < view_.shape.channels; ++c) {
        for (int64_t p = 0; p < view_.pixels(); ++p) function(n, c, p);
      }
    }
  }
  void put(int64_t n, int64_t c, int64_t p, double value) {
    const uint32_t bits = std::bit_cast<uint32_t>(static_cast<float>(value));
    const auto half = static_cast<uint16_t>(bits >> 16);  // cut off: any number of the type will do
    std::memcpy(view().at(n, c, p), view_.format.type == NumberType::f32 ? static_cast<const void*>(&bits) : &half,
                static_cast<size_t>(size_of(view_.format.type)));
  }
  double at(int64_t n, int64_t c, int64_t p) const {
    const std::byte* from = bytes_.data() + offset_ + view_.offset(n, c, p) * size_of(view_.format.type);
    if (view_.format.type == NumberType::f32) return *reinterpret_cast<const float*>(from);
    return std::bit_cast<float>(uint32_t{*reinterpret_cast<const uint16_t*>(from)} << 16);
  }
  // At most, when a number is stored: half a unit of its last place.
  double rounding(double value) const {
    return (view_.format.type == NumberType::bf16 ? 0x1p-8 : 0x1p-24) * std::abs(value);
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }
  // The fillings hold zeros, and all that is not the map's its 0xff.
  void expect_only_written() const {
    std::vector<std::byte> rest = bytes_;
    const size_t size = static_cast<size_t>(size_of(view_.format.type));
    const auto at = [&](int64_t n, int64_t c, int64_t p) {
      return rest.begin() + offset_ + view_.offset(n, c, p) * static_cast<int64_t>(size);
    };
    each([&](int64_t n, int64_t c, int64_t p) { std::fill_n(at(n, c, p), size, std::byte{0xff}); });
    for (int64_t n = 0; n < view_.images; ++n) {
      for (int64_t c = view_.shape.channels; c < stored_channels(view_.format.layout, view_.shape.channels); ++c) {
        for (int64_t p = 0; p < view_.pixels(); ++p) {
          ASSERT_TRUE(std::all_of(at(n, c, p), at(n, c, p) + size, [](std::byte b) { return b == std::byte{0}; }));
          std::fill_n(at(n, c, p), size, std::byte{0xff});
        }
      }
    }
    ASSERT_TRUE(std::all_of(rest.begin(), rest.end(), [](std::byte b) { return b == std::byte{0xff}; }))
        << "written beside the map";
  }

 private:
  std::vector<std::byte> bytes_;
  int64_t offset_ = 0;
  MapView view_;
};

inline ChannelAffine random_affine(int64_t channels) {
  Rng rng(77);
  ChannelAffine affine;
  for (int64_t c = 0; c < channels; ++c) {
    affine.mean.push_back(static_cast<float>(rng.uniform(-1, 1)));
    affine.scale.push_back(static_cast<float>(rng.uniform(-2, 2)));
    affine.shift.push_back(static_cast<float>(rng.uniform(-1, 1)));
  }
  return affine;
}

}  // namespace yolov3
