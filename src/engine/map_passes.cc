#include "engine/map_passes.h"

#include <omp.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/map_runs.h"

namespace yolov3 {
namespace {

// Numbers [begin, end) of a loop's `count` that this thread takes, in whole `grain`s.
struct Share {
  int64_t begin, end;
};
Share my_share(int64_t count, int64_t grain = 1) {
  const int64_t threads = omp_get_num_threads(), me = omp_get_thread_num();
  const int64_t grains = (count + grain - 1) / grain;
  return {std::min(count, grains * me / threads * grain), std::min(count, grains * (me + 1) / threads * grain)};
}

// The map in the order of its memory: `rows` of `length` numbers that lie together, one every `stride` numbers within
// an image. Maps of one layout and channel count have their numbers in one order, so that rows can be computed together.
struct Rows {
  int64_t rows, length;
};
Rows rows_of(const MapView& a) {
  if (is_blocked(a)) return {1, stored_channels(a.format.layout, a.shape.channels) * a.pixels()};
  if (a.pixel_stride == a.shape.channels) return {1, a.shape.channels * a.pixels()};
  return {a.pixels(), a.shape.channels};
}
std::byte* row_at(const MapView& map, int64_t n, int64_t row) {
  return map.data + (n * map.image_stride + row * map.pixel_stride) * size_of(map.format.type);
}

bool keeps_zero(Activation activation) { return activation != Activation::logistic; }

bool same_order(const MapView& a, const MapView& b) {
  return a.format.layout == b.format.layout && a.shape.channels == b.shape.channels;
}

void compute_in_memory_order(const MapView& in, const MapView* addend, const RowMath& math, const MapView& out) {
  // Rows of pixels where any of the maps is a slice.
  Rows rows = rows_of(in);
  for (const MapView* map : {addend, &out}) {
    if (map != nullptr && rows_of(*map).rows > rows.rows) rows = rows_of(*map);
  }
  const int64_t total = rows.rows * rows.length;
#pragma omp parallel if (in.images * total > kPiece)
  for (int64_t n = 0; n < in.images; ++n) {
    const Share share = my_share(total, rows.rows == 1 ? 64 : rows.length);
    for (int64_t i = share.begin; i < share.end;) {
      const int64_t row = i / rows.length, from = i % rows.length, count = std::min(rows.length - from, share.end - i);
      const auto place = [&](const MapView& map) {
        const int64_t step = rows.rows == 1 ? 0 : row;
        return row_at(map, n, step) + from * size_of(map.format.type);
      };
      compute_row(as_row(in, place(in)), addend ? as_row(*addend, place(*addend)) : Row{}, math, place(out),
                  out.format.type, out.format.scale, count);
      i += count;
    }
  }
}

// Of maps in different layouts, or with channels that some lack.
void compute_in_runs(const MapView& in, const MapView* addend, const RowMath& math, const MapView& out) {
  int64_t block = std::min({in.shape.channels, common_block(in), common_block(out)});
  if (addend != nullptr) block = std::min(block, common_block(*addend));
  const int64_t common = addend != nullptr ? std::min(in.shape.channels, addend->shape.channels) : 0;
  for_runs(in.images, in.shape.channels, in.pixels(), block,
           [&](int64_t n, int64_t first, int64_t count, int64_t pixel) {
             const int64_t both = std::clamp<int64_t>(common - first, 0, count);
             if (both > 0) {
               compute_row(as_row(in, in.at(n, first, pixel)), as_row(*addend, addend->at(n, first, pixel)), math,
                           out.at(n, first, pixel), out.format.type, out.format.scale, both);
             }
             if (both < count) {
               compute_row(as_row(in, in.at(n, first + both, pixel)), {}, math, out.at(n, first + both, pixel),
                           out.format.type, out.format.scale, count - both);
             }
             if (first + count == in.shape.channels) clear_rest(out, n, pixel);
           });
}

}  // namespace

void compute_map(const MapView& in, const MapView* addend, const RowMath& math, const MapView& out) {
  assert(in.shape == out.shape && in.images == out.images);
  const bool fills_up = stored_channels(out.format.layout, out.shape.channels) > out.shape.channels;
  const bool in_order = same_order(in, out) && (addend == nullptr || same_order(in, *addend)) &&
                        (!fills_up || keeps_zero(math.activation));
  in_order ? compute_in_memory_order(in, addend, math, out) : compute_in_runs(in, addend, math, out);
}

void copy_channels(const MapView& in, int64_t in_first, int64_t count, const MapView& out, int64_t out_first) {
  assert(in.images == out.images && in.pixels() == out.pixels());
  const bool whole_blocks = is_blocked(in) && in.format.layout == out.format.layout &&
                            in_first % block_of(in.format.layout) == 0 && out_first % block_of(in.format.layout) == 0;
  if (whole_blocks && (count % block_of(in.format.layout) == 0 || out_first + count == out.shape.channels) &&
      (count % block_of(in.format.layout) == 0 || in_first + count == in.shape.channels)) {
    MapView from = slice_channels(in, in_first, count), to = slice_channels(out, out_first, count);
    compute_in_memory_order(from, nullptr, {}, to);
    return;
  }
  const int64_t block = std::min(count, copy_block(in, in_first, out, out_first));
  const bool last = out_first + count == out.shape.channels;
  for_runs(in.images, count, in.pixels(), block, [&](int64_t n, int64_t first, int64_t run, int64_t pixel) {
    copy_run(in, in.at(n, in_first + first, pixel), out, out.at(n, out_first + first, pixel), run);
    if (last && first + run == count) clear_rest(out, n, pixel);
  });
}

void upsample_map(const MapView& in, int stride, const MapView& out) {
  const int64_t width = in.shape.width, out_width = out.shape.width, channels = in.shape.channels;
  const int64_t block = std::min({channels, common_block(in), common_block(out)});
  const int64_t blocks = (channels + block - 1) / block;
  // Block by block in blocked layouts, pixel by pixel in channels_last: the order of the memory.
#pragma omp parallel for collapse(3) schedule(static)
  for (int64_t n = 0; n < in.images; ++n) {
    for (int64_t b = 0; b < blocks; ++b) {
      for (int64_t y = 0; y < in.shape.height; ++y) {
        const int64_t first = b * block, count = std::min(block, channels - first);
        for (int64_t x = 0; x < width; ++x) {
          for (int64_t k = 0; k < stride * stride; ++k) {
            const int64_t to = (y * stride + k / stride) * out_width + x * stride + k % stride;
            copy_run(in, in.at(n, first, y * width + x), out, out.at(n, first, to), count);
            if (first + count == channels) clear_rest(out, n, to);
          }
        }
      }
    }
  }
}

void max_pool_map(const MapView& in, const MaxPool& pool, const MapView& out) {
  const int64_t before = pool.padding / 2, channels = in.shape.channels;
  const int64_t block = std::min({channels, common_block(in), common_block(out)});
#pragma omp parallel
  {
    std::vector<float> greatest(static_cast<size_t>(block));
    const Share share = my_share(out.images * out.pixels());
    for (int64_t i = share.begin; i < share.end; ++i) {
      const int64_t n = i / out.pixels(), pixel = i % out.pixels();
      const int64_t y = pixel / out.shape.width * pool.stride - before;
      const int64_t x = pixel % out.shape.width * pool.stride - before;
      for (int64_t first = 0; first < channels; first += block) {
        const int64_t count = std::min(block, channels - first);
        std::fill(greatest.begin(), greatest.end(), -std::numeric_limits<float>::infinity());
        for (int64_t row = std::max<int64_t>(y, 0); row < std::min(y + pool.size, in.shape.height); ++row) {
          for (int64_t column = std::max<int64_t>(x, 0); column < std::min(x + pool.size, in.shape.width); ++column) {
            maximum_row(as_row(in, in.at(n, first, row * in.shape.width + column)), greatest.data(), count);
          }
        }
        from_floats(greatest.data(), out.at(n, first, pixel), out.format.type, out.format.scale, count);
      }
      clear_rest(out, n, pixel);
    }
  }
}

void average_map(const MapView& in, const MapView& out) {
  const int64_t channels = in.shape.channels;
  const int64_t block = std::min({channels, common_block(in), common_block(out)});
  for_runs(in.images, channels, 1, block, [&](int64_t n, int64_t first, int64_t count, int64_t) {
    std::vector<float> values(static_cast<size_t>(count)), means(static_cast<size_t>(count));
    std::vector<double> sums(static_cast<size_t>(count), 0.0);
    for (int64_t pixel = 0; pixel < in.pixels(); ++pixel) {
      to_floats(as_row(in, in.at(n, first, pixel)), values.data(), count);
      for (size_t c = 0; c < values.size(); ++c) sums[c] += values[c];
    }
    for (size_t c = 0; c < means.size(); ++c) means[c] = static_cast<float>(sums[c] / static_cast<double>(in.pixels()));
    from_floats(means.data(), out.at(n, first, 0), out.format.type, out.format.scale, count);
    if (first + count == channels) clear_rest(out, n, 0);
  });
}

void scale_map(const MapView& factors, const MapView& in, Activation activation, const MapView& out) {
  const int64_t channels = in.shape.channels;
  const int64_t block = std::min({channels, common_block(in), common_block(out)});
  std::vector<float> values(static_cast<size_t>(in.images * channels));
  map_to_planes(factors, values.data());
  for_runs(in.images, channels, in.pixels(), block, [&](int64_t n, int64_t first, int64_t count, int64_t pixel) {
    scale_row(as_row(in, in.at(n, first, pixel)), values.data() + n * channels + first, activation,
              out.at(n, first, pixel), out.format.type, out.format.scale, count);
    if (first + count == channels) clear_rest(out, n, pixel);
  });
}

void planes_to_map(const float* planes, const MapView& out) {
  const int64_t channels = out.shape.channels, pixels = out.pixels();
  if (out.format.layout == Layout::planes) {
    from_floats(planes, out.data, out.format.type, out.format.scale, out.images * channels * pixels);
    return;
  }
#pragma omp parallel
  {
    std::vector<float> values(static_cast<size_t>(channels));
    const Share share = my_share(out.images * pixels);
    for (int64_t i = share.begin; i < share.end; ++i) {
      const int64_t n = i / pixels, pixel = i % pixels;
      for (int64_t c = 0; c < channels; ++c)
        values[static_cast<size_t>(c)] = planes[(n * channels + c) * pixels + pixel];
      const int64_t block = common_block(out);
      for (int64_t first = 0; first < channels; first += block) {
        from_floats(values.data() + first, out.at(n, first, pixel), out.format.type, out.format.scale,
                    std::min(block, channels - first));
      }
      clear_rest(out, n, pixel);
    }
  }
}

void map_to_planes(const MapView& in, float* planes) {
  const int64_t channels = in.shape.channels, pixels = in.pixels();
  if (in.format.layout == Layout::planes) {
    for (int64_t n = 0; n < in.images; ++n) {
      to_floats(as_row(in, in.at(n, 0, 0)), planes + n * channels * pixels, channels * pixels);
    }
    return;
  }
  const int64_t block = std::min<int64_t>(64, common_block(in));  // channels whose planes are written side by side
#pragma omp parallel for collapse(2) schedule(static)
  for (int64_t n = 0; n < in.images; ++n) {
    for (int64_t first = 0; first < channels; first += block) {
      float values[64];
      const int64_t count = std::min(block, channels - first);
      for (int64_t pixel = 0; pixel < pixels; ++pixel) {
        to_floats(as_row(in, in.at(n, first, pixel)), values, count);
        for (int64_t c = 0; c < count; ++c) planes[(n * channels + first + c) * pixels + pixel] = values[c];
      }
    }
  }
}

void pictures_to_map(std::span<const Image> pictures, const MapView& out) {
  const int64_t pixels = out.pixels();
  assert(out.shape.channels == 3 && static_cast<int64_t>(pictures.size()) == out.images);
  if (out.format.layout == Layout::channels_last && out.is_dense()) {
#pragma omp parallel
    for (size_t n = 0; n < pictures.size(); ++n) {
      const Share share = my_share(3 * pixels, 64);
      bytes_to_row(pictures[n].rgb.data() + share.begin,
                   out.at(static_cast<int64_t>(n), 0, 0) + share.begin * size_of(out.format.type), out.format.type,
                   out.format.scale, share.end - share.begin);
    }
    return;
  }
#pragma omp parallel
  {
    std::vector<uint8_t> plane(static_cast<size_t>(out.shape.width));
    const Share share = my_share(out.images * out.shape.height);
    for (int64_t i = share.begin; i < share.end; ++i) {
      const int64_t n = i / out.shape.height, y = i % out.shape.height, width = out.shape.width;
      const uint8_t* row = pictures[static_cast<size_t>(n)].pixel(0, static_cast<int>(y));
      for (int64_t c = 0; c < 3; ++c) {
        for (int64_t x = 0; x < width; ++x) plane[static_cast<size_t>(x)] = row[3 * x + c];
        if (out.format.layout == Layout::planes) {
          bytes_to_row(plane.data(), out.at(n, c, y * width), out.format.type, out.format.scale, width);
          continue;
        }
        for (int64_t x = 0; x < width; ++x) {
          bytes_to_row(&plane[static_cast<size_t>(x)], out.at(n, c, y * width + x), out.format.type, out.format.scale,
                       1);
          if (c == 2) clear_rest(out, n, y * width + x);
        }
      }
    }
  }
}

}  // namespace yolov3
