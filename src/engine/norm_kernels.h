// The arithmetic of engine/norm_passes.h over one tile of a map, in the vector instructions that base/cpu allows.
//
// A tile is `pixels` rows of `channels` numbers each, all of one type: f32 or bf16. In channels_last a row is (a part
// of) a pixel, in blocked layouts a pixel of one block, so that one kernel serves both. Rows are taken kRows at a time
// across all channels: accumulators and constants of a channel are read once for them, and memory is read in its order.
// Everything is computed in f32, products and sums apart, channel by channel in the order of the pixels: the same bits
// for every instruction set.
// Threads: any; nothing here starts threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/map_view.h"

namespace yolov3 {

struct TileMap {
  std::byte* data = nullptr;  // the first row
  int64_t step = 0;           // numbers between a row and the next
};

// Pointers of what a kernel does not use may be null. `out` may be where an input is.
struct NormTile {
  int64_t pixels = 0, channels = 0;
  TileMap z, gradient, other, out;  // other: the addend, or the second gradient
  const float *mean = nullptr, *scale = nullptr, *shift = nullptr;
  const float *slope = nullptr, *offset = nullptr;
  float below_zero = 1;  // slope of the activation below zero: 1 linear, 0.1 leaky, 0 ReLU
  const float* start = nullptr;
  float *sum = nullptr, *product_sum = nullptr;
};

using NormKernel = void (*)(const NormTile& tile);

// y = (z - mean) * scale + shift; dy = gradient * (y > 0 ? 1 : below_zero).
struct NormKernels {
  NormKernel normalize;              // out = (y > 0 ? y : y * below_zero)
  NormKernel normalize_and_add;      // the same + other
  NormKernel sum;                    // sum += z - start, product_sum += (z - start)^2
  NormKernel sum_gradients;          // sum += dy, product_sum += dy * (z - mean)
  NormKernel add_and_sum_gradients;  // the same after gradient = gradient + other, rounded to its type
  NormKernel gradient_of_normalize;  // out = dy * scale + (z - mean) * slope + offset
};

// isa: one of norm_isas(), empty = the best. Errors: another name.
const NormKernels& norm_kernels(NumberType type, std::string_view isa = {});

// The vector paths that this processor can take and may, best first: "avx512", "avx2", "sse2".
std::vector<std::string> norm_isas();

}  // namespace yolov3
