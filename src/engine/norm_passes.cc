#include "engine/norm_passes.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "engine/gradient_ops.h"
#include "engine/norm_kernels.h"
#include "engine/number_ops.h"
#include "engine/reference_conv.h"
#include "net/leaky.h"

namespace yolov3 {
namespace {

constexpr int64_t kPiece = 256;          // pixels that are summed in f32
constexpr int64_t kChunk = 4 * kPiece;   // pixels of a channel that one task takes, at most
constexpr int64_t kStrip = 1024;         // channels that one task takes, at most
constexpr int64_t kCacheLine = 64;       // channels whose numbers fill whole lines in every type
constexpr int64_t kWorthThreads = 8192;  // numbers

// --- Parts of a map -------------------------------------------------------------------------------------------------

// A run of pixels and of channels of one image; what one task takes.
struct Part {
  int64_t image, chunk;
  int64_t first_pixel, pixels;
  int64_t first_channel, channels;
};

// Chunks depend on the map's size alone: partial sums, and so all bits, do too. Strips may depend on the threads.
struct Partition {
  explicit Partition(const MapView& map) {
    const int64_t threads = omp_get_max_threads(), channels = map.shape.channels, pixels = map.pixels();
    const int64_t fewest = (pixels + kChunk - 1) / kChunk;
    chunk_pixels = std::max<int64_t>(1, (pixels + fewest - 1) / std::max<int64_t>(1, fewest));
    chunks = (pixels + chunk_pixels - 1) / chunk_pixels;
    strip_channels = block_of(map.format.layout);
    if (strip_channels == 1) {  // channels_last: whole pixels, unless threads would have nothing to do
      const int64_t tasks = std::max<int64_t>(1, map.images * chunks);
      const int64_t wanted = std::max((8 * threads + tasks - 1) / tasks, (channels + kStrip - 1) / kStrip);
      const int64_t lines = (channels + kCacheLine - 1) / kCacheLine;
      strip_channels = (lines + wanted - 1) / wanted * kCacheLine;
    }
    strips = (channels + strip_channels - 1) / strip_channels;
  }
  int64_t chunks, chunk_pixels, strips, strip_channels;
};

template <class Function>
void for_parts(const MapView& map, const Partition& partition, const Function& function) {
  const int64_t images = map.images, channels = map.shape.channels, pixels = map.pixels();
#pragma omp parallel for collapse(3) schedule(static) if (images * channels * pixels > kWorthThreads)
  for (int64_t n = 0; n < images; ++n) {
    for (int64_t strip = 0; strip < partition.strips; ++strip) {
      for (int64_t chunk = 0; chunk < partition.chunks; ++chunk) {
        const int64_t pixel = chunk * partition.chunk_pixels, channel = strip * partition.strip_channels;
        function(Part{n, chunk, pixel, std::min(partition.chunk_pixels, pixels - pixel), channel,
                      std::min(partition.strip_channels, channels - channel)});
      }
    }
  }
}

TileMap tile_of(const MapView& map, const Part& part) {
  const int64_t block = block_of(map.format.layout);
  return {map.at(part.image, part.first_channel, part.first_pixel), block > 1 ? block : map.pixel_stride};
}

NormTile tile_of(const MapView& z, const ChannelAffine& affine, const Part& part) {
  NormTile tile;
  tile.pixels = part.pixels;
  tile.channels = part.channels;
  tile.z = tile_of(z, part);
  tile.mean = affine.mean.data() + part.first_channel;
  tile.scale = affine.scale.data() + part.first_channel;
  tile.shift = affine.shift.data() + part.first_channel;
  return tile;
}

// The channels that fill up a last block.
void clear_rest(const MapView& out, const Part& part) {
  const int64_t block = block_of(out.format.layout), rest = block - part.channels, end = out.shape.channels;
  if (block == 1 || rest == 0) return;
  for (int64_t p = part.first_pixel; p < part.first_pixel + part.pixels; ++p) {
    std::memset(out.at(part.image, end, p), 0, static_cast<size_t>(rest * size_of(out.format.type)));
  }
}

[[maybe_unused]] bool fits(const MapView& map, const MapView& z) {
  const NumberType type = map.format.type;
  return map.format.layout == z.format.layout && map.format.layout != Layout::planes && map.images == z.images &&
         map.shape == z.shape && (type == NumberType::f32 || type == NumberType::bf16) &&
         (map.data != z.data || type == z.format.type);
}

[[maybe_unused]] bool fits(const ChannelAffine& affine, const MapView& z) {
  const auto channels = static_cast<size_t>(z.shape.channels);
  return affine.mean.size() == channels && affine.scale.size() == channels && affine.shift.size() == channels;
}

// --- Activations ----------------------------------------------------------------------------------------------------

// The slope below zero of those that have one.
std::optional<float> slope_below_zero(Activation activation) {
  switch (activation) {
    case Activation::linear: return 1.0f;
    case Activation::leaky: return kLeakySlope;
    case Activation::relu: return 0.0f;
    default: return std::nullopt;
  }
}

// --- Partial sums ---------------------------------------------------------------------------------------------------

// Two sums of every channel and chunk, in double, put together in one order.
class PartialSums {
 public:
  PartialSums(const MapView& z, const Partition& partition)
      : channels_(z.shape.channels), rows_(z.images * partition.chunks), chunks_(partition.chunks) {
    thread_local std::vector<double> scratch;  // of the calling thread; kept for the next call
    if (scratch.size() < static_cast<size_t>(2 * rows_ * channels_)) {
      scratch.resize(static_cast<size_t>(2 * rows_ * channels_));
    }
    sums_ = scratch.data();
  }
  // The first sums of a part's channels, zeroed; the second are channels() further on.
  double* start(const Part& part) const {
    double* first = sums_ + 2 * (part.image * chunks_ + part.chunk) * channels_ + part.first_channel;
    std::fill_n(first, part.channels, 0.0);
    std::fill_n(first + channels_, part.channels, 0.0);
    return first;
  }
  int64_t channels() const { return channels_; }
  void finish(std::span<double> first, std::span<double> second) const {
    std::fill(first.begin(), first.end(), 0.0);
    std::fill(second.begin(), second.end(), 0.0);
    for (int64_t row = 0; row < rows_; ++row) {
      const double* from = sums_ + 2 * row * channels_;
      for (size_t c = 0; c < first.size(); ++c) first[c] += from[c];
      for (size_t c = 0; c < first.size(); ++c) second[c] += from[static_cast<size_t>(channels_) + c];
    }
  }

 private:
  int64_t channels_, rows_, chunks_;
  double* sums_ = nullptr;
};

// function(piece) for a part's pieces of pixels.
template <class Function>
void for_pieces(const Part& part, const Function& function) {
  const int64_t end = part.first_pixel + part.pixels;
  for (int64_t p = part.first_pixel; p < end; p += kPiece) {
    Part piece = part;
    piece.first_pixel = p;
    piece.pixels = std::min(kPiece, end - p);
    function(piece);
  }
}

// --- What no kernel takes as it is: mixed types and curves, row by row through floats -------------------------------

bool takes_kernels(const MapView& z, Activation activation, std::initializer_list<const MapView*> others) {
  return slope_below_zero(activation) && std::all_of(others.begin(), others.end(), [&](const MapView* map) {
           return map == nullptr || map->format.type == z.format.type;
         });
}

struct FloatRows {
  alignas(64) std::array<float, kStrip> z, gradient, out;
};

// The tile of one row in `rows`.
NormTile float_tile(NormTile tile, FloatRows& rows) {
  tile.pixels = 1;
  tile.z = {reinterpret_cast<std::byte*>(rows.z.data()), 0};
  tile.gradient = {reinterpret_cast<std::byte*>(rows.gradient.data()), 0};
  tile.out = {reinterpret_cast<std::byte*>(rows.out.data()), 0};
  return tile;
}

std::byte* row_at(const MapView& map, const Part& part, int64_t p) {
  return map.at(part.image, part.first_channel, part.first_pixel + p);
}

Row row_of(const MapView& map, const Part& part, int64_t p) { return {row_at(map, part, p), map.format.type}; }

void normalize_rows(const MapView& z, Activation activation, const MapView* addend, const MapView& out,
                    const Part& part, const NormTile& parameters, const NormKernels& kernels) {
  FloatRows rows;
  const NormTile tile = float_tile(parameters, rows);
  for (int64_t p = 0; p < part.pixels; ++p) {
    to_floats(row_of(z, part, p), rows.z.data(), part.channels);
    kernels.normalize(tile);
    compute_row({rows.out.data()}, addend != nullptr ? row_of(*addend, part, p) : Row{}, {activation},
                row_at(out, part, p), out.format.type, 1, part.channels);
  }
}

void add_rows(const MapView& more, const MapView& gradient, const Part& part) {
  for (int64_t p = 0; p < part.pixels; ++p) {
    compute_row(row_of(gradient, part, p), row_of(more, part, p), {}, row_at(gradient, part, p), gradient.format.type,
                1, part.channels);
  }
}

// kernel(tile) for each row of z and gradient; a curve's derivative is in the gradient already. written: where
// the rows that the kernel writes go, or null.
void gradient_rows(const MapView& z, Activation activation, const MapView& gradient, const MapView* written,
                   const Part& part, const NormTile& parameters, const NormKernels& kernels, NormKernel kernel) {
  FloatRows rows;
  const NormTile tile = float_tile(parameters, rows);
  const bool curve = !slope_below_zero(activation);
  for (int64_t p = 0; p < part.pixels; ++p) {
    to_floats(row_of(z, part, p), rows.z.data(), part.channels);
    to_floats(row_of(gradient, part, p), rows.gradient.data(), part.channels);
    if (curve) {
      kernels.normalize(tile);
      for (size_t c = 0; c < static_cast<size_t>(part.channels); ++c) {
        rows.gradient[c] *= static_cast<float>(curve_slope(activation, rows.out[c]));
      }
    }
    kernel(tile);
    if (written != nullptr) {
      from_floats(rows.out.data(), row_at(*written, part, p), written->format.type, 1, part.channels);
    }
  }
}

}  // namespace

void sum_channels(const MapView& z, std::span<double> sum, std::span<double> square_sum, const std::string& isa) {
  assert(fits(z, z) && sum.size() == static_cast<size_t>(z.shape.channels) && sum.size() == square_sum.size());
  const NormKernels& kernels = norm_kernels(z.format.type, isa);
  const Partition partition(z);
  const PartialSums sums(z, partition);
  for_parts(z, partition, [&](const Part& part) {
    double *first = sums.start(part), *second = first + sums.channels();
    for_pieces(part, [&](const Part& piece) {
      alignas(64) std::array<float, kStrip> start, s, q;
      std::fill_n(s.begin(), part.channels, 0.0f);
      std::fill_n(q.begin(), part.channels, 0.0f);
      to_floats(row_of(z, piece, 0), start.data(), part.channels);
      NormTile tile{.pixels = piece.pixels, .channels = part.channels, .z = tile_of(z, piece)};
      tile.start = start.data();
      tile.sum = s.data();
      tile.product_sum = q.data();
      kernels.sum(tile);
      const auto count = static_cast<double>(piece.pixels);
      for (size_t c = 0; c < static_cast<size_t>(part.channels); ++c) {
        const double from = start[c], moved = s[c];
        first[c] += moved + count * from;
        second[c] += q[c] + from * (2 * moved + count * from);
      }
    });
  });
  sums.finish(sum, square_sum);
}

void normalize_map(const MapView& z, const ChannelAffine& affine, Activation activation, const MapView* addend,
                   const MapView& out, const std::string& isa) {
  assert(fits(z, z) && fits(out, z) && fits(affine, z) && (addend == nullptr || fits(*addend, z)));
  const bool direct = takes_kernels(z, activation, {addend, &out});
  const NormKernels& kernels = norm_kernels(direct ? z.format.type : NumberType::f32, isa);
  for_parts(z, Partition(z), [&](const Part& part) {
    NormTile tile = tile_of(z, affine, part);
    if (direct) {
      tile.below_zero = *slope_below_zero(activation);
      tile.out = tile_of(out, part);
      if (addend != nullptr) tile.other = tile_of(*addend, part);
      (addend != nullptr ? kernels.normalize_and_add : kernels.normalize)(tile);
    } else {
      normalize_rows(z, activation, addend, out, part, tile, kernels);
    }
    clear_rest(out, part);
  });
}

void sum_gradients(const MapView& z, const ChannelAffine& affine, Activation activation, const MapView& gradient,
                   const MapView* more, std::span<double> sum_dy, std::span<double> sum_dy_centered,
                   const std::string& isa) {
  assert(fits(z, z) && fits(gradient, z) && fits(affine, z) && (more == nullptr || fits(*more, z)));
  assert(sum_dy.size() == affine.mean.size() && sum_dy_centered.size() == affine.mean.size());
  const bool direct = takes_kernels(z, activation, {&gradient, more});
  const NormKernels& kernels = norm_kernels(direct ? z.format.type : NumberType::f32, isa);
  const Partition partition(z);
  const PartialSums sums(z, partition);
  for_parts(z, partition, [&](const Part& part) {
    double *first = sums.start(part), *second = first + sums.channels();
    for_pieces(part, [&](const Part& piece) {
      alignas(64) std::array<float, kStrip> s, q;
      std::fill_n(s.begin(), part.channels, 0.0f);
      std::fill_n(q.begin(), part.channels, 0.0f);
      NormTile tile = tile_of(z, affine, piece);
      tile.sum = s.data();
      tile.product_sum = q.data();
      tile.below_zero = slope_below_zero(activation).value_or(1.0f);
      if (direct) {
        tile.gradient = tile_of(gradient, piece);
        if (more != nullptr) tile.other = tile_of(*more, piece);
        (more != nullptr ? kernels.add_and_sum_gradients : kernels.sum_gradients)(tile);
      } else {
        if (more != nullptr) add_rows(*more, gradient, piece);
        gradient_rows(z, activation, gradient, nullptr, piece, tile, kernels, kernels.sum_gradients);
      }
      for (size_t c = 0; c < static_cast<size_t>(part.channels); ++c) first[c] += s[c];
      for (size_t c = 0; c < static_cast<size_t>(part.channels); ++c) second[c] += q[c];
    });
  });
  sums.finish(sum_dy, sum_dy_centered);
}

void gradient_of_normalize(const MapView& z, const ChannelAffine& affine, Activation activation,
                           const MapView& gradient, const ChannelSlopes& slopes, const MapView& out,
                           const std::string& isa) {
  assert(fits(z, z) && fits(gradient, z) && fits(affine, z) && fits(out, z));
  assert(slopes.slope.size() == affine.mean.size() && slopes.offset.size() == affine.mean.size());
  const bool direct = takes_kernels(z, activation, {&gradient, &out});
  const NormKernels& kernels = norm_kernels(direct ? z.format.type : NumberType::f32, isa);
  for_parts(z, Partition(z), [&](const Part& part) {
    NormTile tile = tile_of(z, affine, part);
    tile.slope = slopes.slope.data() + part.first_channel;
    tile.offset = slopes.offset.data() + part.first_channel;
    tile.below_zero = slope_below_zero(activation).value_or(1.0f);
    if (direct) {
      tile.gradient = tile_of(gradient, part);
      tile.out = tile_of(out, part);
      kernels.gradient_of_normalize(tile);
    } else {
      gradient_rows(z, activation, gradient, &out, part, tile, kernels, kernels.gradient_of_normalize);
    }
    clear_rest(out, part);
  });
}

}  // namespace yolov3
