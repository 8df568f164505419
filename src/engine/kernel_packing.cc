#include "engine/kernel_packing.h"

#include <cassert>
#include <cstring>

namespace yolov3 {
namespace {

#define YOLOV3_INLINE [[gnu::always_inline]] inline

constexpr int64_t kTile = 16;  // outputs and inputs that are taken together: whole lines of the cache

// Vectors of four words, which every processor has: the pass waits for memory, so that wider ones gain nothing.
using Floats = float __attribute__((vector_size(16)));
using Words = uint32_t __attribute__((vector_size(16)));

YOLOV3_INLINE Floats load(const float* from) {
  Floats values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

// bf16 in the upper halves, as in engine/number_ops.cc.
YOLOV3_INLINE Words rounded(Floats values) {
  const Words bits = (Words)values, is_nan = (Words)(values != values);
  return (((bits + 0x7fffu + ((bits >> 16) & 1u)) & ~is_nan) | ((bits | 0x400000u) & is_nan)) & 0xffff0000u;
}

// Two rows of kTile inputs, of neighbouring outputs.
YOLOV3_INLINE void pack_rows(const float* first, const float* second, uint32_t* const (&to)[kTile / 4]) {
  for (int64_t k = 0; k < kTile / 4; ++k) {
    const Words words = rounded(load(first + 4 * k)) >> 16 | rounded(load(second + 4 * k));
    std::memcpy(to[k], &words, sizeof words);
  }
}

// kTile outputs from `output` on, all inputs, at one place (y,x) of the kernel.
void pack_tile(const float* kernel, const PairedForm& f, int64_t output, int64_t y, int64_t x, uint32_t* packed) {
  const float* from = kernel + ((output * f.size + y) * f.size + x) * f.inputs;
  const int64_t next_output = f.size * f.size * f.inputs;
  int64_t rows[kTile / 2];
  for (int64_t r = 0; r < kTile / 2; ++r) {
    const int64_t pair = output / 2 + r;
    rows[r] = pair / f.pairs_inside * f.pair_stride + pair % f.pairs_inside * f.inputs_inside;
  }
  packed += y * f.y_stride + x * f.x_stride;
  for (int64_t i = 0; i < f.inputs; i += kTile) {
    int64_t fours[kTile / 4];
    for (int64_t k = 0; k < kTile / 4; ++k) {
      const int64_t input = i + 4 * k;
      fours[k] = input / f.inputs_inside * f.input_stride + input % f.inputs_inside;
    }
    for (int64_t r = 0; r < kTile / 2; ++r) {
      uint32_t* const row = packed + rows[r];
      const float* first = from + 2 * r * next_output + i;
      pack_rows(first, first + next_output, {row + fours[0], row + fours[1], row + fours[2], row + fours[3]});
    }
  }
}

}  // namespace

void pack_output_pairs(const float* kernel, const PairedForm& form, void* packed) {
  assert(form.outputs % kTile == 0 && form.inputs % kTile == 0 && form.inputs_inside % 4 == 0);
  const int64_t tiles = form.outputs / kTile, size = form.size;
#pragma omp parallel for collapse(3) schedule(static)
  for (int64_t tile = 0; tile < tiles; ++tile) {
    for (int64_t y = 0; y < size; ++y) {
      for (int64_t x = 0; x < size; ++x) {
        pack_tile(kernel, form, tile * kTile, y, x, static_cast<uint32_t*>(packed));
      }
    }
  }
}

}  // namespace yolov3
