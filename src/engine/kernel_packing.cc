#include "engine/kernel_packing.h"

#include <cassert>
#include <cstring>
#include <numeric>
#include <vector>

#include "engine/gradient_ops.h"

namespace yolov3 {
namespace {

#define YOLOV3_INLINE [[gnu::always_inline]] inline

constexpr int64_t kTile = 16;  // outputs and inputs that are taken together: whole lines of the cache on both sides

// Vectors of four words, which every processor has; the passes wait for memory, so that wider ones gain nothing.
using Floats = float __attribute__((vector_size(16)));
using Words = uint32_t __attribute__((vector_size(16)));

YOLOV3_INLINE Floats load_floats(const float* from) {
  Floats values;
  std::memcpy(&values, from, sizeof values);
  return values;
}
YOLOV3_INLINE void store(Words words, void* to) { std::memcpy(to, &words, sizeof words); }

// bf16 in the upper halves, as in engine/number_ops.cc: nearest, ties to even; a NaN stays one.
YOLOV3_INLINE Words rounded(Floats values) {
  const Words bits = (Words)values, is_nan = (Words)(values != values);
  return (((bits + 0x7fffu + ((bits >> 16) & 1u)) & ~is_nan) | ((bits | 0x400000u) & is_nan)) & 0xffff0000u;
}
YOLOV3_INLINE Words neighbours(Floats first, Floats second) { return rounded(first) >> 16 | rounded(second); }

// Four words along the inputs: four floats, or eight in bf16.
YOLOV3_INLINE Words load_words(const float* from, float) { return (Words)load_floats(from); }
struct Bf16 {};
YOLOV3_INLINE Words load_words(const float* from, Bf16) {
  const Floats a = load_floats(from), b = load_floats(from + 4);
  return neighbours(__builtin_shufflevector(a, b, 0, 2, 4, 6), __builtin_shufflevector(a, b, 1, 3, 5, 7));
}

YOLOV3_INLINE void transpose(Words (&m)[4]) {
  const Words a = __builtin_shufflevector(m[0], m[1], 0, 4, 1, 5), b = __builtin_shufflevector(m[2], m[3], 0, 4, 1, 5);
  const Words c = __builtin_shufflevector(m[0], m[1], 2, 6, 3, 7), d = __builtin_shufflevector(m[2], m[3], 2, 6, 3, 7);
  m[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
  m[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
  m[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
  m[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

// kTile outputs from `output` on, all inputs, at one place (y,x) of the kernel.
struct Tile {
  int64_t output, y, x;
};

template <class Function>
void for_tiles(const KernelForm& form, const Function& function) {
  const int64_t tiles = form.outputs / kTile, size = form.size;
#pragma omp parallel for collapse(3) schedule(static)
  for (int64_t tile = 0; tile < tiles; ++tile) {
    for (int64_t y = 0; y < size; ++y) {
      for (int64_t x = 0; x < size; ++x) function(Tile{tile * kTile, y, x});
    }
  }
}

// Places in the kernel and in its form, words from the beginning. Of an output; the next output is plain_step() further.
int64_t plain_place(const KernelForm& form, const Tile& tile) {
  return ((tile.output * form.size + tile.y) * form.size + tile.x) * form.inputs;
}
int64_t plain_step(const KernelForm& form) { return form.size * form.size * form.inputs; }

// place = tile_place + row_place + run_place.
int64_t tile_place(const KernelForm& form, const Tile& tile) { return tile.y * form.y_stride + tile.x * form.x_stride; }
int64_t row_place(const KernelForm& form, int64_t row) {
  return row / form.rows * form.row_stride + row % form.rows * form.run;
}
int64_t run_place(const KernelForm& form, int64_t along) {
  return along / form.run * form.run_stride + along % form.run;
}

// Of `count` rows from `row` on, a multiple of `count`.
void row_places(const KernelForm& form, int64_t row, int64_t count, int64_t* places) {
  const bool in_one_block = form.rows % count == 0;
  const int64_t first = row_place(form, row);
  for (int64_t r = 0; r < count; ++r) places[r] = in_one_block ? first + r * form.run : row_place(form, row + r);
}

// Of the tile's fours from `along` on, a multiple of kTile.
void run_places(const KernelForm& form, int64_t along, int64_t* places) {
  const bool in_one_block = form.run % kTile == 0;
  const int64_t first = run_place(form, along);
  for (int64_t k = 0; k < kTile / 4; ++k) places[k] = in_one_block ? first + 4 * k : run_place(form, along + 4 * k);
}

template <class T>
constexpr int64_t kNeighbours = sizeof(T) == sizeof(float) ? 1 : 2;

template <class T>
void pack_outputs_inside(const float* kernel, const KernelForm& form, const Tile& tile, uint32_t* packed) {
  constexpr int64_t kRows = kTile / kNeighbours<T>;
  const float* from = kernel + plain_place(form, tile);
  uint32_t* to = packed + tile_place(form, tile);
  const int64_t step = plain_step(form);
  int64_t runs[kTile / 4], rows[kRows];
  run_places(form, tile.output, runs);
  for (int64_t i = 0; i < form.inputs; i += kTile) {
    row_places(form, i / kNeighbours<T>, kRows, rows);
    for (int64_t o = 0; o < kTile; o += 4) {
      for (int64_t r = 0; r < kRows; r += 4) {
        Words words[4];
        for (int64_t k = 0; k < 4; ++k) words[k] = load_words(from + (o + k) * step + i + r * kNeighbours<T>, T());
        transpose(words);
        for (int64_t k = 0; k < 4; ++k) store(words[k], to + rows[r + k] + runs[o / 4]);
      }
    }
  }
}

template <class T>
void pack_inputs_inside(const float* kernel, const KernelForm& form, const Tile& tile, uint32_t* packed) {
  constexpr int64_t kRows = kTile / kNeighbours<T>;
  const float* from = kernel + plain_place(form, tile);
  uint32_t* to = packed + tile_place(form, tile);
  const int64_t step = plain_step(form);
  int64_t runs[kTile / 4], rows[kRows];
  row_places(form, tile.output / kNeighbours<T>, kRows, rows);
  for (int64_t i = 0; i < form.inputs; i += kTile) {
    run_places(form, i, runs);
    for (int64_t r = 0; r < kRows; ++r) {
      const float* row = from + r * kNeighbours<T> * step + i;
      for (int64_t k = 0; k < kTile; k += 4) {
        Words words;
        if constexpr (kNeighbours<T> == 1) {
          words = (Words)load_floats(row + k);
        } else {
          words = neighbours(load_floats(row + k), load_floats(row + step + k));
        }
        store(words, to + rows[r] + runs[k / 4]);
      }
    }
  }
}

void unpack_outputs_inside(const float* packed, const KernelForm& form, const Tile& tile, float* kernel) {
  const float* from = packed + tile_place(form, tile);
  float* to = kernel + plain_place(form, tile);
  const int64_t step = plain_step(form);
  int64_t runs[kTile / 4], rows[kTile];
  run_places(form, tile.output, runs);
  for (int64_t o = 0; o < kTile;
       o += 4) {  // outside: few rows are written at a time, each from its beginning to its end
    for (int64_t i = 0; i < form.inputs; i += kTile) {
      row_places(form, i, kTile, rows);
      for (int64_t r = 0; r < kTile; r += 4) {
        Words words[4];
        for (int64_t k = 0; k < 4; ++k) words[k] = (Words)load_floats(from + rows[r + k] + runs[o / 4]);
        transpose(words);
        for (int64_t k = 0; k < 4; ++k) store(words[k], to + (o + k) * step + i + r);
      }
    }
  }
}

[[maybe_unused]] bool is_whole(const KernelForm& form) {
  return form.outputs % kTile == 0 && form.inputs % kTile == 0 && form.run % 4 == 0 && form.run > 0 && form.rows > 0;
}

}  // namespace

void pack_kernel(const float* kernel, const KernelForm& form, void* packed) {
  assert(is_whole(form) && (form.type == NumberType::f32 || form.type == NumberType::bf16));
  const bool bf16 = form.type == NumberType::bf16;
  const auto pack = form.inside == KernelForm::Inside::outputs
                        ? (bf16 ? pack_outputs_inside<Bf16> : pack_outputs_inside<float>)
                        : (bf16 ? pack_inputs_inside<Bf16> : pack_inputs_inside<float>);
  for_tiles(form, [&](const Tile& tile) { pack(kernel, form, tile, static_cast<uint32_t*>(packed)); });
}

double unpack_kernel(const float* packed, const KernelForm& form, float* kernel) {
  assert(is_whole(form) && form.type == NumberType::f32 && form.inside == KernelForm::Inside::outputs);
  // A tile's sum while its numbers are in the cache; added up in order: the same for any number of threads.
  std::vector<double> squares(static_cast<size_t>(form.outputs / kTile * form.size * form.size), 0.0);
  for_tiles(form, [&](const Tile& tile) {
    unpack_outputs_inside(packed, form, tile, kernel);
    double& sum = squares[static_cast<size_t>((tile.output / kTile * form.size + tile.y) * form.size + tile.x)];
    for (int64_t o = 0; o < kTile; ++o) {
      sum += square_sum_row(kernel + plain_place(form, tile) + o * plain_step(form), form.inputs);
    }
  });
  return std::accumulate(squares.begin(), squares.end(), 0.0);
}

}  // namespace yolov3
