#include "engine/map_passes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.h"
#include "engine/test_maps.h"

namespace yolov3 {
namespace {

std::vector<MapFormat> formats() {
  std::vector<MapFormat> all;
  for (const NumberType type : {NumberType::f32, NumberType::bf16, NumberType::s8}) {
    for (const Layout layout : {Layout::channels_last, Layout::blocked8, Layout::blocked16})
      all.push_back({type, layout, 1});
  }
  return all;
}

const int64_t kChannels[] = {1, 5, 8, 16, 24, 37};

// function(in format, out format, channels)
template <class Function>
void for_all(const Function& function) {
  for (const MapFormat& in : formats()) {
    for (const MapFormat& out : formats()) {
      for (const int64_t channels : kChannels) {
        SCOPED_TRACE(to_string(in.type) + " " + to_string(in.layout) + " -> " + to_string(out.type) + " " +
                     to_string(out.layout) + ", channels " + std::to_string(channels));
        function(in, out, channels);
      }
    }
  }
}

void expect_map(const StoredMap& map, const Tensor& want) {
  EXPECT_EQ(map.planes(), want);
  EXPECT_TRUE(map.filling_is_zero());
  EXPECT_TRUE(map.guard_holds());
}

TEST(MapPasses, PlanesThereAndBack) {
  for (const MapFormat& format : formats()) {
    for (const int64_t channels : kChannels) {
      const Tensor planes = whole_numbers({2, channels, 3, 5}, 1);
      expect_map(StoredMap(format, planes), planes);
    }
  }
  const Tensor planes = whole_numbers({2, 3, 4, 4}, 1);
  expect_map(StoredMap({NumberType::f32, Layout::planes, 1}, planes), planes);
}

TEST(MapPasses, ConversionAndShortcut) {
  for_all([](const MapFormat& in, const MapFormat& out, int64_t channels) {
    const Tensor a = whole_numbers({2, channels, 4, 3}, 2);
    Tensor b = whole_numbers({2, channels, 4, 3}, 3), want = a;
    for (float& value : b.values()) value = std::floor(value / 8);
    const StoredMap from(in, a), other(out, b);
    StoredMap copy(out, 2, {channels, 4, 3}), sum(out, 2, {channels, 4, 3});
    compute_map(from.view(), nullptr, {}, copy.view());
    expect_map(copy, a);
    compute_map(from.view(), &other.view(), {Activation::relu, true}, sum.view());
    for (int64_t i = 0; i < want.size(); ++i) want[i] = std::max(0.0f, a[i] + b[i]);
    expect_map(sum, want);
  });
}

TEST(MapPasses, LogisticLeavesTheFillingZero) {
  const Tensor a = whole_numbers({1, 5, 2, 2}, 2);
  StoredMap map({NumberType::f32, Layout::blocked16, 1}, a);
  compute_map(map.view(), nullptr, {Activation::logistic, false}, map.view());
  EXPECT_TRUE(map.filling_is_zero());
  EXPECT_NEAR(map.planes()[0], 1 / (1 + std::exp(-a[0])), 1e-6);
}

TEST(MapPasses, ShortcutOfUnequalChannels) {
  for (const MapFormat& format : formats()) {
    for (const auto& [in_channels, addend_channels] : {std::pair{20, 7}, std::pair{7, 20}, std::pair{32, 16}}) {
      const Tensor a = whole_numbers({2, in_channels, 3, 3}, 4), b = whole_numbers({2, addend_channels, 3, 3}, 5);
      const StoredMap from(format, a), other({NumberType::f32, Layout::channels_last, 1}, b);
      StoredMap sum({NumberType::f32, format.layout, 1}, 2, {in_channels, 3, 3});
      compute_map(from.view(), &other.view(), {Activation::linear, true}, sum.view());
      Tensor want = a;
      for (int64_t n = 0; n < 2; ++n) {
        for (int64_t c = 0; c < std::min(in_channels, addend_channels); ++c) {
          for (int64_t p = 0; p < 9; ++p) want.at(n, c, p / 3, p % 3) += b.at(n, c, p / 3, p % 3);
        }
      }
      expect_map(sum, want);
    }
  }
}

// Joined channels, whole and in parts, at block borders and off them.
TEST(MapPasses, CopiedChannels) {
  for_all([](const MapFormat& in, const MapFormat& out, int64_t channels) {
    const Tensor a = whole_numbers({2, channels, 2, 3}, 6), b = whole_numbers({2, 16, 2, 3}, 7);
    const StoredMap first({in}, a), second(out, b);
    StoredMap joined(out, 2, {channels + 16, 2, 3});
    copy_channels(first.view(), 0, channels, joined.view(), 0);
    copy_channels(second.view(), 0, 16, joined.view(), channels);
    Tensor want({2, channels + 16, 2, 3});
    for (int64_t n = 0; n < 2; ++n) {
      for (int64_t c = 0; c < channels + 16; ++c) {
        for (int64_t p = 0; p < 6; ++p) {
          want.at(n, c, p / 3, p % 3) = c < channels ? a.at(n, c, p / 3, p % 3) : b.at(n, c - channels, p / 3, p % 3);
        }
      }
    }
    expect_map(joined, want);
    StoredMap part(out, 2, {8, 2, 3});
    copy_channels(second.view(), 8, 8, part.view(), 0);
    for (int64_t c = 0; c < 8; ++c) EXPECT_EQ(part.planes().at(1, c, 1, 2), b.at(1, c + 8, 1, 2));
    EXPECT_TRUE(part.filling_is_zero());
  });
}

TEST(MapPasses, UpsampledIntoASlice) {
  for_all([](const MapFormat& in, const MapFormat& out, int64_t channels) {
    if (channels % block_of(out.layout) != 0) return;  // no slice of whole blocks
    const Tensor a = whole_numbers({2, channels, 2, 3}, 8);
    const StoredMap small(in, a);
    StoredMap whole(out, 2, {channels + 16, 4, 6});
    const MapView slice = slice_channels(whole.view(), 16, channels);
    upsample_map(small.view(), 2, slice);
    const Tensor got = StoredMap::planes_of(slice);
    for (int64_t i = 0; i < got.size(); ++i) {
      const int64_t x = i % 6, y = i / 6 % 4, plane = i / 24;
      ASSERT_EQ(got[i], a[plane * 6 + y / 2 * 3 + x / 2]);
    }
    EXPECT_TRUE(whole.guard_holds());
  });
}

TEST(MapPasses, MaxPoolOfDarknetsGeometries) {
  for_all([](const MapFormat& in, const MapFormat& out, int64_t channels) {
    for (const MaxPool& pool : {MaxPool{2, 2, 1}, MaxPool{2, 1, 1}, MaxPool{5, 1, 4}, MaxPool{3, 2, 0}}) {
      const Tensor a = whole_numbers({2, channels, 6, 7}, 9);
      const StoredMap from(in, a);
      const int64_t height = (6 + pool.padding - pool.size) / pool.stride + 1;
      const int64_t width = (7 + pool.padding - pool.size) / pool.stride + 1;
      StoredMap pooled(out, 2, {channels, height, width});
      max_pool_map(from.view(), pool, pooled.view());
      Tensor want({2, channels, height, width});
      for (int64_t n = 0; n < 2; ++n) {
        for (int64_t c = 0; c < channels; ++c) {
          for (int64_t y = 0; y < height; ++y) {
            for (int64_t x = 0; x < width; ++x) {
              float best = -std::numeric_limits<float>::infinity();
              for (int64_t k = 0; k < pool.size * pool.size; ++k) {
                const int64_t row = y * pool.stride - pool.padding / 2 + k / pool.size;
                const int64_t column = x * pool.stride - pool.padding / 2 + k % pool.size;
                if (row >= 0 && row < 6 && column >= 0 && column < 7) best = std::max(best, a.at(n, c, row, column));
              }
              want.at(n, c, y, x) = best;
            }
          }
        }
      }
      expect_map(pooled, want);
    }
  });
}

// By hand: pairs of cells, the NaN first or second, with an infinity or a number; padding is no number.
TEST(MapPasses, MaxPoolLetsNansThrough) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float row[] = {NAN, 1, 2, NAN, NAN, kInfinity, -kInfinity, NAN, 3, -4};
  for (const NumberType type : {NumberType::f32, NumberType::bf16}) {
    for (const Layout layout : {Layout::channels_last, Layout::blocked8, Layout::blocked16}) {
      for (const int64_t channels : kChannels) {
        Tensor in({1, channels, 1, 10});
        for (int64_t i = 0; i < in.size(); ++i) in[i] = row[i % 10];
        const StoredMap from({type, layout, 1}, in);
        StoredMap pooled({type, layout, 1}, 1, {channels, 1, 5});
        max_pool_map(from.view(), {2, 2, 1}, pooled.view());
        const Tensor got = pooled.planes();
        for (int64_t i = 0; i < got.size(); ++i) {
          EXPECT_TRUE(i % 5 < 4 ? std::isnan(got[i]) : got[i] == 3) << to_string(type) << " " << i << ": " << got[i];
        }
        EXPECT_TRUE(pooled.filling_is_zero());
      }
    }
  }
}

TEST(MapPasses, AverageAndScale) {
  for (const MapFormat& format : formats()) {
    Tensor a = whole_numbers({2, 21, 4, 4}, 10);
    for (float& value : a.values()) value = value > 0 ? 16.0f : -16.0f;  // means are whole numbers
    const StoredMap from(format, a);
    StoredMap means(format, 2, {21, 1, 1});
    average_map(from.view(), means.view());
    Tensor want({2, 21, 1, 1}), scaled = a;
    for (int64_t i = 0; i < a.size(); ++i) want[i / 16] += a[i] / 16;
    expect_map(means, want);
    const StoredMap factors({NumberType::f32, Layout::blocked16, 1}, want);
    StoredMap out({NumberType::f32, format.layout, 1}, 2, {21, 4, 4});
    scale_map(factors.view(), from.view(), Activation::linear, out.view());
    for (int64_t i = 0; i < a.size(); ++i) scaled[i] *= want[i / 16];
    expect_map(out, scaled);
  }
}

TEST(MapPasses, PicturesBecomeTheInput) {
  std::vector<Image> pictures(2, Image(5, 4));
  Rng rng(3);
  for (Image& picture : pictures) {
    for (uint8_t& byte : picture.rgb) byte = static_cast<uint8_t>(rng.uniform(0, 256));
  }
  const auto fraction = [&](int64_t n, int64_t c, int64_t p) {
    return static_cast<float>(pictures[static_cast<size_t>(n)].rgb[static_cast<size_t>(3 * p + c)] / 255.0);
  };
  for (MapFormat format :
       {MapFormat{NumberType::f32, Layout::planes, 1}, MapFormat{NumberType::f32, Layout::blocked16, 1},
        MapFormat{NumberType::f32, Layout::channels_last, 1}, MapFormat{NumberType::bf16, Layout::channels_last, 1},
        MapFormat{NumberType::u8, Layout::channels_last, 1.0f / 255.0f}}) {
    StoredMap map(format, 2, {3, 4, 5});
    pictures_to_map(pictures, map.view());
    EXPECT_TRUE(map.filling_is_zero());
    const double tolerance = format.type == NumberType::bf16 ? 0x1p-9 : format.type == NumberType::u8 ? 0x1p-24 : 0;
    for (int64_t n = 0; n < 2; ++n) {
      for (int64_t c = 0; c < 3; ++c) {
        for (int64_t p = 0; p < 20; ++p) {
          ASSERT_NEAR(map.planes().at(n, c, p / 5, p % 5), fraction(n, c, p), tolerance) << to_string(format.layout);
        }
      }
    }
  }
}

}  // namespace
}  // namespace yolov3
