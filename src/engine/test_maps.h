// Maps with memory of their own, for tests of what is done with maps.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/rng.h"
#include "base/tensor.h"
#include "engine/map_passes.h"

namespace yolov3 {

// Whole numbers that every type holds exactly: passes that only move or compare numbers must be exact.
inline Tensor whole_numbers(const Shape& shape, uint64_t seed) {
  Tensor tensor(shape);
  Rng rng(seed);
  for (float& value : tensor.values()) value = std::floor(static_cast<float>(rng.uniform(-100, 101)));
  return tensor;
}

// A map in some format, with its memory; filled with rubbish first, and a guard behind it.
class StoredMap {
 public:
  StoredMap(MapFormat format, int64_t images, LayerShape shape)
      : bytes_(static_cast<size_t>(stored_bytes(format, images, shape)) + kGuard, std::byte{0x5a}),
        view_(make_view(bytes_.data(), format, images, shape)) {}
  StoredMap(MapFormat format, const Tensor& planes)
      : StoredMap(format, planes.dim(0), {planes.dim(1), planes.dim(2), planes.dim(3)}) {
    planes_to_map(planes.data(), view_);
  }
  const MapView& view() const { return view_; }
  Tensor planes() const { return planes_of(view_); }
  static Tensor planes_of(const MapView& view) {
    Tensor tensor({view.images, view.shape.channels, view.shape.height, view.shape.width});
    map_to_planes(view, tensor.data());
    return tensor;
  }
  bool guard_holds() const {
    return std::all_of(bytes_.end() - kGuard, bytes_.end(), [](std::byte b) { return b == std::byte{0x5a}; });
  }
  // oneDNN relies on it.
  bool filling_is_zero() const {
    for (int64_t n = 0; n < view_.images; ++n) {
      for (int64_t c = view_.shape.channels; c < stored_channels(view_.format.layout, view_.shape.channels); ++c) {
        for (int64_t p = 0; p < view_.pixels(); ++p) {
          for (int64_t b = 0; b < size_of(view_.format.type); ++b) {
            if (view_.at(n, c, p)[b] != std::byte{0}) return false;
          }
        }
      }
    }
    return true;
  }

 private:
  static constexpr size_t kGuard = 64;
  std::vector<std::byte> bytes_;
  MapView view_;
};

}  // namespace yolov3
