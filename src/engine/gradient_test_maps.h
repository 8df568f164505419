// What the tests of engine/map_gradients.h share: maps among neighbours, every format against every other, and what each
// number should have been given.
#pragma once

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include "engine/map_gradients.h"
#include "engine/test_maps.h"

namespace yolov3 {

// Many small maps: one thread is faster. SameBitsForAnyNumberOfThreads is for the others.
class MapGradients : public testing::Test {
 protected:
  void SetUp() override { omp_set_num_threads(1); }
  void TearDown() override { omp_set_num_threads(threads_); }

 private:
  const int threads_ = omp_get_max_threads();
};

inline Tensor random_planes(int64_t images, const LayerShape& shape, uint64_t seed) {
  Tensor tensor({images, shape.channels, shape.height, shape.width});
  Rng rng(seed);
  for (float& value : tensor.values()) value = static_cast<float>(rng.uniform(-2, 2));
  return tensor;
}

// A map of random numbers: whole, or with other channels before it and, where a block ends, behind it.
class PlacedMap {
 public:
  PlacedMap(MapFormat format, int64_t images, const LayerShape& shape, bool sliced, uint64_t seed)
      : first_(sliced ? 16 : 0),
        whole_(format, random_planes(images, widened(format, shape, sliced), seed)),
        before_(whole_.planes()),
        view_(slice_channels(whole_.view(), first_, shape.channels)) {}
  const MapView& view() const { return view_; }
  Tensor planes() const { return StoredMap::planes_of(view_); }
  void set(const Tensor& planes) const { planes_to_map(planes.data(), view_); }
  // What a fresh map may hold where a blocked map's last block is filled up.
  void spoil_filling() const {
    const int64_t stored = stored_channels(view_.format.layout, view_.shape.channels);
    for (int64_t i = 0; i < view_.images * view_.pixels(); ++i) {
      for (int64_t c = view_.shape.channels; c < stored; ++c) {
        std::memset(view_.at(i / view_.pixels(), c, i % view_.pixels()), 0x5a,
                    static_cast<size_t>(size_of(view_.format.type)));
      }
    }
  }
  void expect_rest_untouched() const {
    const Tensor now = whole_.planes();
    const int64_t pixels = view_.pixels(), channels = now.dim(1);
    for (int64_t i = 0; i < now.size(); ++i) {
      const int64_t c = i / pixels % channels;
      if (c >= first_ && c < first_ + view_.shape.channels) continue;
      ASSERT_EQ(now[i], before_[i]) << "a neighbour, channel " << c;
    }
    EXPECT_TRUE(whole_.filling_is_zero());
    EXPECT_TRUE(whole_.guard_holds());
  }

 private:
  static LayerShape widened(const MapFormat& format, const LayerShape& shape, bool sliced) {
    if (!sliced) return shape;
    const bool ends_block = shape.channels % block_of(format.layout) == 0;
    return {16 + shape.channels + (ends_block ? 16 : 0), shape.height, shape.width};
  }
  int64_t first_;
  StoredMap whole_;
  Tensor before_;
  MapView view_;
};

inline std::vector<MapFormat> gradient_formats() {
  std::vector<MapFormat> all;
  for (const NumberType type : {NumberType::f32, NumberType::bf16}) {
    for (const Layout layout : {Layout::channels_last, Layout::blocked8, Layout::blocked16})
      all.push_back({type, layout});
  }
  return all;
}

struct GradientCase {
  MapFormat gradient, to;
  int64_t images, channels;
  Into into;
  bool sliced;
  PlacedMap map(const MapFormat& format, int64_t height, int64_t width, uint64_t seed) const {
    return {format, images, {channels, height, width}, sliced, seed};
  }
};

template <class Function>
void for_all(const Function& function) {
  for (const MapFormat& gradient : gradient_formats()) {
    for (const MapFormat& to : gradient_formats()) {
      std::vector<std::pair<int64_t, int64_t>> sizes = {{3, 17}, {2, 32}};  // images, channels
      if (gradient.layout == to.layout) sizes.insert(sizes.end(), {{1, 3}, {2, 8}, {1, 17}});
      for (const auto& [images, channels] : sizes) {
        for (const Into into : {Into::fresh, Into::sum}) {
          for (const bool sliced : {false, true}) {
            SCOPED_TRACE(to_string(gradient.type) + " " + to_string(gradient.layout) + " -> " + to_string(to.type) +
                         " " + to_string(to.layout) + ", images " + std::to_string(images) + ", channels " +
                         std::to_string(channels) + (into == Into::sum ? ", sum" : "") + (sliced ? ", sliced" : ""));
            function(GradientCase{gradient, to, images, channels, into, sliced});
            if (testing::Test::HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

// What should be given to each element (planes' order): terms in double, and the sum of their sizes.
struct GivenSums {
  explicit GivenSums(const Tensor& like) : values(like.values().size()), sizes(values.size()), shape(like.shape()) {}
  void add(int64_t n, int64_t c, int64_t y, int64_t x, double term) {
    const auto i = static_cast<size_t>(((n * shape[1] + c) * shape[2] + y) * shape[3] + x);
    values[i] += term;
    sizes[i] += std::abs(term);
  }
  std::vector<double> values, sizes;
  Shape shape;
};

// Runs `give` on the map and compares. Each of at most `terms` sums and products in f32 is wrong by 2^-24 of the sizes
// that went in; the target's rounding once by 2^-24 or 2^-8 of the result.
inline void expect_given(const PlacedMap& to, Into into, const GivenSums& sums, int terms,
                         const std::function<void()>& give) {
  const Tensor before = to.planes();
  if (into == Into::fresh) to.spoil_filling();
  give();
  const Tensor got = to.planes();
  double worst = 0;
  int64_t place = 0;
  for (int64_t i = 0; i < got.size(); ++i) {
    const double old = into == Into::sum ? before[i] : 0.0;
    const double want = old + sums.values[static_cast<size_t>(i)];
    const double error = (terms + 2) * 0x1p-24 * (std::abs(old) + sums.sizes[static_cast<size_t>(i)]);
    const double rounding = to.view().format.type == NumberType::bf16 ? 0x1p-8 * std::abs(want) : 0;
    const double ratio = std::abs(got[i] - want) / (error + rounding + 1e-30);
    if (!(ratio <= worst) && !std::isnan(worst)) worst = ratio, place = i;
  }
  ASSERT_LE(worst, 1) << "times the tolerance, at " << place << ": " << got[place];
  to.expect_rest_untouched();
}

template <class Function>
void for_elements(const Tensor& map, const Function& function) {
  for (int64_t i = 0; i < map.size(); ++i) {
    const int64_t x = i % map.dim(3), y = i / map.dim(3) % map.dim(2), plane = i / (map.dim(3) * map.dim(2));
    function(plane / map.dim(1), plane % map.dim(1), y, x, double{map[i]});
  }
}

}  // namespace yolov3
