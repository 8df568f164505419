#include "engine/map_gradients.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "engine/test_maps.h"

namespace yolov3 {
namespace {

// Many small maps: one thread is faster. SameBitsForAnyNumberOfThreads is for the others.
class MapGradients : public testing::Test {
 protected:
  void SetUp() override { omp_set_num_threads(1); }
  void TearDown() override { omp_set_num_threads(threads_); }

 private:
  const int threads_ = omp_get_max_threads();
};

Tensor random_planes(int64_t images, const LayerShape& shape, uint64_t seed) {
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

std::vector<MapFormat> formats() {
  std::vector<MapFormat> all;
  for (const NumberType type : {NumberType::f32, NumberType::bf16}) {
    for (const Layout layout : {Layout::channels_last, Layout::blocked8, Layout::blocked16})
      all.push_back({type, layout});
  }
  return all;
}

struct Case {
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
  for (const MapFormat& gradient : formats()) {
    for (const MapFormat& to : formats()) {
      std::vector<std::pair<int64_t, int64_t>> sizes = {{3, 17}, {2, 32}};  // images, channels
      if (gradient.layout == to.layout) sizes.insert(sizes.end(), {{1, 3}, {2, 8}, {1, 17}});
      for (const auto& [images, channels] : sizes) {
        for (const Into into : {Into::fresh, Into::sum}) {
          for (const bool sliced : {false, true}) {
            SCOPED_TRACE(to_string(gradient.type) + " " + to_string(gradient.layout) + " -> " + to_string(to.type) +
                         " " + to_string(to.layout) + ", images " + std::to_string(images) + ", channels " +
                         std::to_string(channels) + (into == Into::sum ? ", sum" : "") + (sliced ? ", sliced" : ""));
            function(Case{gradient, to, images, channels, into, sliced});
            if (testing::Test::HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

// What should be given to each element (planes' order): terms in double, and the sum of their sizes.
struct Sums {
  explicit Sums(const Tensor& like) : values(like.values().size()), sizes(values.size()), shape(like.shape()) {}
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
void expect_given(const PlacedMap& to, Into into, const Sums& sums, int terms, const std::function<void()>& give) {
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

TEST_F(MapGradients, OfAShortcut) {
  for_all([](const Case& k) {
    const PlacedMap gradient = k.map(k.gradient, 5, 7, 1), to = k.map(k.to, 5, 7, 2);
    Sums sums(to.planes());
    for_elements(gradient.planes(), [&](auto n, auto c, auto y, auto x, double g) { sums.add(n, c, y, x, g); });
    expect_given(to, k.into, sums, 1, [&] { add_gradient(gradient.view(), to.view(), k.into); });
  });
}

TEST_F(MapGradients, OfAShortcutOfOtherChannels) {
  for_all([](const Case& k) {
    for (const int64_t channels : {5, 16, 40}) {
      const PlacedMap gradient(k.gradient, k.images, {channels, 3, 5}, k.sliced, 1), to = k.map(k.to, 3, 5, 2);
      Sums sums(to.planes());
      for_elements(gradient.planes(), [&](auto n, auto c, auto y, auto x, double g) {
        if (c < k.channels) sums.add(n, c, y, x, g);
      });
      expect_given(to, k.into, sums, 1, [&] { add_gradient(gradient.view(), to.view(), k.into); });
      if (testing::Test::HasFatalFailure()) return;
    }
  });
}

// Whole parts and groups, at block borders and off them.
TEST_F(MapGradients, OfARoute) {
  for_all([](const Case& k) {
    for (const auto& [first, to_first] : {std::pair{0, 0}, {16, 0}, {5, 3}, {16, 8}, {8, 16}, {1, 0}}) {
      const PlacedMap joined(k.gradient, k.images, {first + k.channels + 9, 3, 5}, k.sliced, 1);
      for (const int64_t more : {0, 13}) {
        const PlacedMap to(k.to, k.images, {to_first + k.channels + more, 3, 5}, k.sliced, 2);
        Sums sums(to.planes());
        for_elements(joined.planes(), [&](auto n, auto c, auto y, auto x, double g) {
          if (c >= first && c < first + k.channels) sums.add(n, c - first + to_first, y, x, g);
        });
        expect_given(to, k.into, sums, 1, [&, begin = first, to_begin = to_first] {
          add_channels_gradient(joined.view(), begin, k.channels, to.view(), to_begin, k.into);
        });
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  });
}

TEST_F(MapGradients, OfUpsampling) {
  for_all([](const Case& k) {
    for (const int stride : {2, 3}) {
      const PlacedMap gradient = k.map(k.gradient, 3 * stride, 5 * stride, 1), to = k.map(k.to, 3, 5, 2);
      Sums sums(to.planes());
      for_elements(gradient.planes(),
                   [&](auto n, auto c, auto y, auto x, double g) { sums.add(n, c, y / stride, x / stride, g); });
      expect_given(to, k.into, sums, stride * stride,
                   [&] { upsample_gradient(gradient.view(), stride, to.view(), k.into); });
    }
  });
}

// Rows longer than a line, channels that do not fit into one.
TEST_F(MapGradients, OfUpsamplingWideAndDeepMaps) {
  for (const MapFormat& format : formats()) {
    for (const LayerShape& shape : {LayerShape{16, 2, 131}, LayerShape{256, 3, 13}, LayerShape{1040, 2, 3}}) {
      const PlacedMap gradient(format, 2, {shape.channels, 2 * shape.height, 2 * shape.width}, false, 1);
      const PlacedMap to(format, 2, shape, true, 2);
      Sums sums(to.planes());
      for_elements(gradient.planes(),
                   [&](auto n, auto c, auto y, auto x, double g) { sums.add(n, c, y / 2, x / 2, g); });
      expect_given(to, Into::sum, sums, 4, [&] { upsample_gradient(gradient.view(), 2, to.view(), Into::sum); });
    }
  }
}

int64_t windows(int64_t side, const MaxPool& pool) { return (side + pool.padding - pool.size) / pool.stride + 1; }

// The element of the window that gets the gradient: row-major, torch's rule.
int64_t winner(const Tensor& in, const MaxPool& pool, int64_t n, int64_t c, int64_t y, int64_t x) {
  float best = -std::numeric_limits<float>::infinity();
  int64_t cell = -1;
  for (int64_t k = 0; k < pool.size * pool.size; ++k) {
    const int64_t row = y * pool.stride - pool.padding / 2 + k / pool.size;
    const int64_t column = x * pool.stride - pool.padding / 2 + k % pool.size;
    if (row < 0 || row >= in.dim(2) || column < 0 || column >= in.dim(3)) continue;
    const float value = in.at(n, c, row, column);
    if (cell < 0 || value > best || std::isnan(value)) best = value, cell = row * in.dim(3) + column;
  }
  return cell;
}

void check_pool(const Case& k, const MaxPool& pool, int64_t height, int64_t width, const Tensor& values) {
  const PlacedMap in = k.map(k.to, height, width, 3), to = k.map(k.to, height, width, 2);
  in.set(values);
  const PlacedMap gradient = k.map(k.gradient, windows(height, pool), windows(width, pool), 1);
  Sums sums(to.planes());
  for_elements(gradient.planes(), [&](auto n, auto c, auto y, auto x, double g) {
    const int64_t cell = winner(values, pool, n, c, y, x);
    sums.add(n, c, cell / width, cell % width, g);
  });
  expect_given(to, k.into, sums, pool.size * pool.size,
               [&] { max_pool_gradient(in.view(), pool, gradient.view(), to.view(), k.into); });
}

// Small whole numbers: every window has ties.
Tensor few_numbers(const Shape& shape, uint64_t seed) {
  Tensor numbers = whole_numbers(shape, seed);
  for (float& value : numbers.values()) value = std::floor(value / 32);
  return numbers;
}

TEST_F(MapGradients, OfMaxPooling) {
  for_all([](const Case& k) {
    for (const MaxPool& pool :
         {MaxPool{2, 2, 1}, MaxPool{2, 1, 1}, MaxPool{5, 1, 4}, MaxPool{3, 2, 0}, MaxPool{3, 2, 4}, MaxPool{2, 3, 0}}) {
      check_pool(k, pool, 5, 7, few_numbers({k.images, k.channels, 5, 7}, 4));
      if (testing::Test::HasFatalFailure()) return;
    }
  });
}

// Maps of more than one band, more channels than a thread takes at a time, windows over half the map.
TEST_F(MapGradients, OfMaxPoolingLargeMaps) {
  for (const MapFormat& format : formats()) {
    const Case tall{format, format, 1, 20, Into::sum, true}, deep{format, format, 2, 150, Into::fresh, false};
    check_pool(tall, {3, 2, 2}, 71, 9, few_numbers({1, 20, 71, 9}, 5));
    check_pool(tall, {9, 1, 8}, 50, 5, few_numbers({1, 20, 50, 5}, 6));
    check_pool(deep, {2, 2, 0}, 18, 6, few_numbers({2, 150, 18, 6}, 7));
  }
}

TEST_F(MapGradients, OfMaxPoolingNansAndInfinities) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
  for (const MapFormat& format : formats()) {
    Tensor values = few_numbers({2, 17, 6, 6}, 8);
    Rng rng(9);
    for (float& value : values.values()) {
      if (rng.chance(0.3)) value = rng.chance(0.3) ? kNan : -kInfinity;
    }
    for (int64_t i = 0; i < 36; ++i) values[i] = -kInfinity;
    for (const MaxPool& pool : {MaxPool{2, 2, 1}, MaxPool{3, 1, 2}}) {
      check_pool({format, format, 2, 17, Into::fresh, false}, pool, 6, 6, values);
    }
  }
}

TEST_F(MapGradients, OfTheAverage) {
  for_all([](const Case& k) {
    const PlacedMap gradient = k.map(k.gradient, 1, 1, 1), to = k.map(k.to, 5, 7, 2);
    const Tensor given = gradient.planes();
    Sums sums(to.planes());
    for_elements(to.planes(),
                 [&](auto n, auto c, auto y, auto x, double) { sums.add(n, c, y, x, given.at(n, c, 0, 0) / 35.0); });
    expect_given(to, k.into, sums, 2, [&] { average_gradient(gradient.view(), to.view(), k.into); });
  });
}

TEST_F(MapGradients, OfScaledChannels) {
  for_all([](const Case& k) {
    const PlacedMap factors = k.map(k.gradient, 1, 1, 1), gradient = k.map(k.gradient, 5, 7, 2);
    const PlacedMap in = k.map(k.to, 5, 7, 3), in_to = k.map(k.to, 5, 7, 4), factors_to = k.map(k.to, 1, 1, 5);
    const Tensor scales = factors.planes(), values = in.planes();
    Sums of_in(in_to.planes()), of_factors(factors_to.planes());
    for_elements(gradient.planes(), [&](auto n, auto c, auto y, auto x, double g) {
      of_in.add(n, c, y, x, g * scales.at(n, c, 0, 0));
      of_factors.add(n, c, 0, 0, g * values.at(n, c, y, x));
    });
    expect_given(in_to, k.into, of_in, 2,
                 [&] { scale_gradient(factors.view(), gradient.view(), in_to.view(), k.into); });
    // Summed in double: only the sum is rounded.
    expect_given(factors_to, k.into, of_factors, 2,
                 [&] { scale_factors_gradient(in.view(), gradient.view(), factors_to.view(), k.into); });
  });
}

// The rule at each number is gradient_ops_test's; here that the right numbers meet.
TEST_F(MapGradients, OfActivations) {
  for_all([](const Case& k) {
    const PlacedMap before = k.map(k.to, 5, 7, 1), gradient = k.map(k.gradient, 5, 7, 2), to = k.map(k.to, 5, 7, 3);
    const Tensor x = before.planes(), given = gradient.planes();
    Sums leaky(to.planes()), swish(to.planes());
    for_elements(x, [&](auto n, auto c, auto row, auto column, double value) {
      const double g = given.at(n, c, row, column), s = 1 / (1 + std::exp(-value));
      leaky.add(n, c, row, column, g * (value > 0 ? 1 : 0.1));
      swish.add(n, c, row, column, g * (s + value * s * (1 - s)));
    });
    expect_given(to, Into::fresh, leaky, 2,
                 [&] { activation_gradient(before.view(), Activation::leaky, gradient.view(), to.view()); });
    expect_given(before, Into::fresh, swish, 2,
                 [&] { activation_gradient(before.view(), Activation::swish, gradient.view(), before.view()); });
  });
}

TEST_F(MapGradients, OfAnActivationInPlace) {
  for (const MapFormat& format : formats()) {
    const PlacedMap before(format, 2, {17, 5, 7}, true, 1), gradient(format, 2, {17, 5, 7}, true, 2);
    const Tensor x = before.planes();
    Sums sums(x);
    for_elements(gradient.planes(), [&](auto n, auto c, auto row, auto column, double g) {
      sums.add(n, c, row, column, x.at(n, c, row, column) > 0 ? g : 0);
    });
    expect_given(gradient, Into::fresh, sums, 2,
                 [&] { activation_gradient(before.view(), Activation::relu, gradient.view(), gradient.view()); });
  }
}

// The n-th output of splitmix64(seed) in planes' order decides, whatever the format.
TEST_F(MapGradients, DropoutForwardAndBackward) {
  for_all([](const Case& k) {
    const PlacedMap in = k.map(k.gradient, 5, 7, 1), to = k.map(k.to, 5, 7, 2);
    Sums sums(to.planes());
    uint64_t state = 77;
    for_elements(in.planes(), [&](auto n, auto c, auto y, auto x, double value) {
      uint64_t z = (state += 0x9e3779b97f4a7c15);
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      z ^= z >> 31;
      sums.add(n, c, y, x, std::ldexp(static_cast<double>(z >> 11), -53) < 0.3 ? 0 : value / (1 - 0.3));
    });
    expect_given(to, k.into, sums, 2, [&] { dropout_map(in.view(), 0.3, 77, to.view(), k.into); });
    expect_given(in, Into::fresh, sums, 2, [&] { dropout_map(in.view(), 0.3, 77, in.view()); });  // in place
  });
}

using Pass = std::function<void(const MapFormat& format, const MapView& to)>;

// Every pass that gives a gradient to a map of kShape, from maps of the same format.
constexpr LayerShape kShape{33, 19, 18};
std::vector<Pass> passes() {
  const auto from = [](const MapFormat& format, const LayerShape& shape, uint64_t seed) {
    return PlacedMap(format, 2, shape, false, seed);
  };
  return {
      [=](auto& f, auto& to) { add_gradient(from(f, kShape, 1).view(), to, Into::sum); },
      [=](auto& f, auto& to) { add_channels_gradient(from(f, kShape, 1).view(), 3, 30, to, 1, Into::fresh); },
      [=](auto& f, auto& to) {
        upsample_gradient(from(f, {33, 38, 36}, 1).view(), 2, to, Into::sum);
      },
      [=](auto& f, auto& to) {
        max_pool_gradient(from(f, kShape, 2).view(), {3, 1, 2}, from(f, kShape, 1).view(), to, Into::sum);
      },
      [=](auto& f, auto& to) {
        average_gradient(from(f, {33, 1, 1}, 1).view(), to, Into::sum);
      },
      [=](auto& f, auto& to) {
        scale_gradient(from(f, {33, 1, 1}, 2).view(), from(f, kShape, 1).view(), to, Into::sum);
      },
      [=](auto& f, auto& to) {
        PlacedMap sums(f, 2, {33, 1, 1}, false, 3);
        scale_factors_gradient(from(f, kShape, 2).view(), from(f, kShape, 1).view(), sums.view(), Into::fresh);
        average_gradient(sums.view(), to, Into::fresh);
      },
      [=](auto& f, auto& to) {
        activation_gradient(from(f, kShape, 2).view(), Activation::mish, from(f, kShape, 1).view(), to);
      },
      [=](auto& f, auto& to) { dropout_map(from(f, kShape, 1).view(), 0.5, 5, to, Into::sum); },
  };
}

TEST_F(MapGradients, SameBitsForAnyNumberOfThreads) {
  for (const MapFormat& format : formats()) {
    const std::vector<Pass> all = passes();
    for (size_t i = 0; i < all.size(); ++i) {
      std::vector<Tensor> results;
      for (const int threads : {1, 2}) {
        omp_set_num_threads(threads);
        const PlacedMap to(format, 2, kShape, true, 9);
        all[i](format, to.view());
        results.push_back(to.planes());
      }
      EXPECT_EQ(results[0], results[1]) << "pass " << i << ", " << to_string(format.layout);
    }
  }
}

}  // namespace
}  // namespace yolov3
