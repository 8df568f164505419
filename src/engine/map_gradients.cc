#include "engine/map_gradients.h"

#include <array>
#include <cassert>
#include <limits>
#include <vector>

#include "engine/gradient_ops.h"
#include "engine/map_lines.h"
#include "engine/map_passes.h"
#include "engine/map_runs.h"

namespace yolov3 {
namespace {

constexpr int64_t kColumnChannels = 64;  // channels that a thread sums over many pixels

[[maybe_unused]] bool holds_gradients(const MapView& map) {
  return map.format.layout != Layout::planes &&
         (map.format.type == NumberType::f32 || map.format.type == NumberType::bf16);
}

void clear_channels(const MapView& map, int64_t first, int64_t count) {
  if (count <= 0) return;
  const int64_t block = std::min(count, copy_block(map, first, map, first));
  for_runs(map.images, count, map.pixels(), block, [&](int64_t n, int64_t c, int64_t run, int64_t pixel) {
    std::memset(map.at(n, first + c, pixel), 0, static_cast<size_t>(run * size_of(map.format.type)));
    if (first + c + run == map.shape.channels) clear_rest(map, n, pixel);
  });
}

// Whether the two ranges of channels lie in the same order, so that they are two maps of one layout.
bool are_like_maps(const MapView& a, int64_t a_first, int64_t count, const MapView& b, int64_t b_first) {
  if (a.format.layout != b.format.layout) return false;
  const int64_t block = block_of(a.format.layout);
  const bool ends = a_first + count == a.shape.channels && b_first + count == b.shape.channels;
  return a_first % block == 0 && b_first % block == 0 && (count % block == 0 || ends);
}

// --- Max pooling ------------------------------------------------------------------------------------------------------

// Rows [top, bottom) of channels [first, first + count) of one image.
struct Band {
  int64_t n, first, count, top, bottom;
};

// function(cell) for the cells, row * W + column, of the window whose first cell is (y,x), which may lie outside, that are
// in the band.
template <class Function>
void for_window(const Band& band, int64_t width, int64_t y, int64_t x, int64_t size, const Function& function) {
  for (int64_t row = std::max(y, band.top); row < std::min(y + size, band.bottom); ++row) {
    for (int64_t column = std::max<int64_t>(x, 0); column < std::min(x + size, width); ++column) {
      function(row * width + column);
    }
  }
}

// For each channel the cell of the window's largest number.
struct Largest {
  std::array<float, kColumnChannels> values;
  std::array<int32_t, kColumnChannels> cells;

  void find(const MapView& in, const Band& band, int64_t y, int64_t x, int64_t size) {
    std::array<float, kColumnChannels> buffer;
    const int64_t width = in.shape.width, first = std::max<int64_t>(y, 0) * width + std::max<int64_t>(x, 0);
    std::fill_n(values.begin(), band.count, -std::numeric_limits<float>::infinity());
    std::fill_n(cells.begin(), band.count, static_cast<int32_t>(first));
    const Band image{band.n, band.first, band.count, 0, in.shape.height};
    for_window(image, width, y, x, size, [&](int64_t cell) {
      const float* there = take(in, {band.n, band.first, band.count, cell, 1}, buffer.data());
      first_largest_row(there, static_cast<int32_t>(cell), values.data(), cells.data(), band.count);
    });
  }
};

// The band's sums, pixel by pixel: of all windows that reach into it, in row-major order.
void pool_band(const MapView& in, const MaxPool& pool, const MapView& gradient, const Band& band, float* sums) {
  const int64_t before = pool.padding / 2, width = in.shape.width, stride = pool.stride;
  const int64_t reach = std::max<int64_t>(0, band.top + before - pool.size + 1);
  const int64_t last = std::min((band.bottom - 1 + before) / stride, gradient.shape.height - 1);
  Largest largest;
  std::array<float, kColumnChannels> buffer;
  std::fill_n(sums, (band.bottom - band.top) * width * band.count, 0.0f);
  for (int64_t y = (reach + stride - 1) / stride; y <= last; ++y) {
    for (int64_t x = 0; x < gradient.shape.width; ++x) {
      largest.find(in, band, y * stride - before, x * stride - before, pool.size);
      const Line line{band.n, band.first, band.count, y * gradient.shape.width + x, 1};
      const float* given = take(gradient, line, buffer.data());
      for_window(band, width, y * stride - before, x * stride - before, pool.size, [&](int64_t cell) {
        add_where_row(largest.cells.data(), static_cast<int32_t>(cell), given,
                      sums + (cell - band.top * width) * band.count, band.count);
      });
    }
  }
}

// --- Factors ----------------------------------------------------------------------------------------------------------

// sums[c] = the sum over all pixels of in * gradient.
void sum_products(const MapView& in, const MapView& gradient, int64_t n, int64_t first, int64_t count, float* sums) {
  std::array<float, kLine> in_buffer, gradient_buffer;
  std::array<double, kColumnChannels> totals{};
  const int64_t step = kLine / count;
  for (int64_t pixel = 0; pixel < in.pixels(); pixel += step) {
    const Line line{n, first, count, pixel, std::min(step, in.pixels() - pixel)};
    const float* values = take(in, line, in_buffer.data());
    const float* given = take(gradient, line, gradient_buffer.data());
    for (int64_t p = 0; p < line.pixels; ++p, values += count, given += count) {
      for (int64_t c = 0; c < count; ++c) totals[static_cast<size_t>(c)] += double{values[c]} * given[c];
    }
  }
  for (int64_t c = 0; c < count; ++c) sums[c] = static_cast<float>(totals[static_cast<size_t>(c)]);
}

}  // namespace

void add_gradient(const MapView& gradient, const MapView& to, Into into) {
  add_channels_gradient(gradient, 0, std::min(gradient.shape.channels, to.shape.channels), to, 0, into);
}

void add_channels_gradient(const MapView& gradient, int64_t first, int64_t count, const MapView& to, int64_t to_first,
                           Into into) {
  assert(holds_gradients(gradient) && holds_gradients(to));
  assert(gradient.images == to.images && gradient.shape.height == to.shape.height &&
         gradient.shape.width == to.shape.width);
  assert(first + count <= gradient.shape.channels && to_first + count <= to.shape.channels);
  if (into == Into::fresh) {
    clear_channels(to, 0, to_first);
    clear_channels(to, to_first + count, to.shape.channels - to_first - count);
  }
  if (are_like_maps(gradient, first, count, to, to_first)) {
    const MapView target = slice_channels(to, to_first, count);
    compute_map(slice_channels(gradient, first, count), into == Into::sum ? &target : nullptr, {}, target);
    return;
  }
  const int64_t block = std::min(count, copy_block(gradient, first, to, to_first));
  for_runs(to.images, count, to.pixels(), block, [&](int64_t n, int64_t c, int64_t run, int64_t pixel) {
    give_row(as_row(gradient, gradient.at(n, first + c, pixel)), to.at(n, to_first + c, pixel), to.format, run, into);
    if (to_first + c + run == to.shape.channels) clear_rest(to, n, pixel);
  });
}

void upsample_gradient(const MapView& gradient, int stride, const MapView& to, Into into) {
  assert(holds_gradients(gradient) && holds_gradients(to) && gradient.images == to.images);
  assert((gradient.shape == LayerShape{to.shape.channels, to.shape.height * stride, to.shape.width * stride}));
  const int64_t width = to.shape.width;
  for_lines(to, line_channels({&gradient, &to}), (1 + stride) * kLine, [&](const Line& line, float* sums) {
    std::fill_n(sums, line.size(), 0.0f);
    const int64_t y = line.pixel / width * stride, x = line.pixel % width * stride;
    for (int64_t row = y; row < y + stride; ++row) {
      const Line large{line.n, line.first, line.count, row * width * stride + x, line.pixels * stride};
      fold_row(take(gradient, large, sums + kLine), stride, line.count, line.pixels, sums);
    }
    give(sums, to, line, into);
  });
}

void max_pool_gradient(const MapView& in, const MaxPool& pool, const MapView& gradient, const MapView& to, Into into) {
  assert(holds_gradients(gradient) && holds_gradients(to) && holds_gradients(in));
  assert(in.shape == to.shape && in.images == to.images && gradient.images == to.images);
  const int64_t block = line_channels({&in, &gradient, &to}, kColumnChannels);
  const int64_t blocks = (to.shape.channels + block - 1) / block;
  const int64_t height = to.shape.height, width = to.shape.width;
  // Bands are computed apart, with the windows that reach into two of them twice: high enough that those are few.
  const int64_t rows = std::min<int64_t>(height, std::max(16, 4 * pool.size)), bands = (height + rows - 1) / rows;
#pragma omp parallel if (to.images * to.shape.size() > kPiece)
  {
    std::vector<float> sums(static_cast<size_t>(rows * width * block));
#pragma omp for collapse(3) schedule(static)
    for (int64_t n = 0; n < to.images; ++n) {
      for (int64_t b = 0; b < blocks; ++b) {
        for (int64_t k = 0; k < bands; ++k) {
          const Band band{n, b * block, std::min(block, to.shape.channels - b * block), k * rows,
                          std::min(height, (k + 1) * rows)};
          pool_band(in, pool, gradient, band, sums.data());
          give(sums.data(), to, {n, band.first, band.count, band.top * width, (band.bottom - band.top) * width}, into);
        }
      }
    }
  }
}

void average_gradient(const MapView& gradient, const MapView& to, Into into) {
  assert(holds_gradients(gradient) && holds_gradients(to) && gradient.images == to.images);
  assert((gradient.shape == LayerShape{to.shape.channels, 1, 1}));
  const auto pixels = static_cast<float>(to.pixels());
  for_lines(to, line_channels({&gradient, &to}), 2 * kLine, [&](const Line& line, float* shares) {
    const float* given = take(gradient, {line.n, line.first, line.count, 0, 1}, shares + kLine);
    for (int64_t c = 0; c < line.count; ++c) shares[c] = given[c] / pixels;
    for (int64_t p = 1; p < line.pixels; ++p) std::copy_n(shares, line.count, shares + p * line.count);
    give(shares, to, line, into);
  });
}

void scale_gradient(const MapView& factors, const MapView& gradient, const MapView& to, Into into) {
  assert(holds_gradients(factors) && holds_gradients(gradient) && holds_gradients(to));
  assert(gradient.shape == to.shape && gradient.images == to.images && factors.images == to.images);
  assert((factors.shape == LayerShape{to.shape.channels, 1, 1}));
  const int64_t channels = line_channels({&factors, &gradient, &to});
  for_lines(to, channels, 3 * kLine, [&](const Line& line, float* products) {
    const float* scales = take(factors, {line.n, line.first, line.count, 0, 1}, products + kLine);
    const float* given = take(gradient, line, products + 2 * kLine);
    for (int64_t p = 0; p < line.pixels; ++p) {
      const int64_t i = p * line.count;
      scale_row({given + i}, scales, Activation::linear, products + i, NumberType::f32, 1, line.count);
    }
    give(products, to, line, into);
  });
}

void scale_factors_gradient(const MapView& in, const MapView& gradient, const MapView& to, Into into) {
  assert(holds_gradients(in) && holds_gradients(gradient) && holds_gradients(to));
  assert(gradient.shape == in.shape && gradient.images == in.images && in.images == to.images);
  assert((to.shape == LayerShape{in.shape.channels, 1, 1}));
  const int64_t block = line_channels({&in, &gradient, &to}, kColumnChannels);
#pragma omp parallel for collapse(2) schedule(static) if (in.images * in.shape.size() > kPiece)
  for (int64_t n = 0; n < in.images; ++n) {
    for (int64_t first = 0; first < in.shape.channels; first += block) {
      const int64_t count = std::min(block, in.shape.channels - first);
      std::array<float, kColumnChannels> sums;
      sum_products(in, gradient, n, first, count, sums.data());
      give(sums.data(), to, {n, first, count, 0, 1}, into);
    }
  }
}

void activation_gradient(const MapView& before, Activation activation, const MapView& gradient, const MapView& to) {
  assert(holds_gradients(before) && holds_gradients(gradient) && holds_gradients(to));
  assert(before.shape == to.shape && gradient.shape == to.shape);
  assert(before.images == to.images && gradient.images == to.images);
  const int64_t channels = line_channels({&before, &gradient, &to});
  for_lines(to, channels, 3 * kLine, [&](const Line& line, float* results) {
    const float* x = take(before, line, results + kLine);
    activation_gradient_row(activation, x, take(gradient, line, results + 2 * kLine), results, line.size());
    give(results, to, line, Into::fresh);
  });
}

void dropout_map(const MapView& in, double probability, uint64_t seed, const MapView& to, Into into) {
  assert(holds_gradients(in) && holds_gradients(to) && in.shape == to.shape && in.images == to.images);
  const DropoutRule rule = make_dropout_rule(probability, seed);
  for_lines(to, line_channels({&in, &to}), 2 * kLine, [&](const Line& line, float* kept) {
    std::copy_n(take(in, line, kept + kLine), line.size(), kept);
    for (int64_t p = 0; p < line.pixels; ++p) {
      const int64_t number = (line.n * to.shape.channels + line.first) * to.pixels() + line.pixel + p;
      dropout_row(rule, number, to.pixels(), kept + p * line.count, line.count);
    }
    give(kept, to, line, into);
  });
}

}  // namespace yolov3
