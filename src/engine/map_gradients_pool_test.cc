// The gradient of max pooling, of engine/map_gradients.h.
#include <limits>

#include "engine/gradient_test_maps.h"

namespace yolov3 {
namespace {

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

void check_pool(const GradientCase& k, const MaxPool& pool, int64_t height, int64_t width, const Tensor& values) {
  const PlacedMap in = k.map(k.to, height, width, 3), to = k.map(k.to, height, width, 2);
  in.set(values);
  const PlacedMap gradient = k.map(k.gradient, windows(height, pool), windows(width, pool), 1);
  GivenSums sums(to.planes());
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
  for_all([](const GradientCase& k) {
    for (const MaxPool& pool :
         {MaxPool{2, 2, 1}, MaxPool{2, 1, 1}, MaxPool{5, 1, 4}, MaxPool{3, 2, 0}, MaxPool{3, 2, 4}, MaxPool{2, 3, 0}}) {
      check_pool(k, pool, 5, 7, few_numbers({k.images, k.channels, 5, 7}, 4));
      if (testing::Test::HasFatalFailure()) return;
    }
  });
}

// Maps of more than one band, more channels than a thread takes at a time, windows over half the map.
TEST_F(MapGradients, OfMaxPoolingLargeMaps) {
  for (const MapFormat& format : gradient_formats()) {
    const GradientCase tall{format, format, 1, 20, Into::sum, true}, deep{format, format, 2, 150, Into::fresh, false};
    check_pool(tall, {3, 2, 2}, 71, 9, few_numbers({1, 20, 71, 9}, 5));
    check_pool(tall, {9, 1, 8}, 50, 5, few_numbers({1, 20, 50, 5}, 6));
    check_pool(deep, {2, 2, 0}, 18, 6, few_numbers({2, 150, 18, 6}, 7));
  }
}

TEST_F(MapGradients, OfMaxPoolingNansAndInfinities) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
  for (const MapFormat& format : gradient_formats()) {
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

}  // namespace
}  // namespace yolov3
