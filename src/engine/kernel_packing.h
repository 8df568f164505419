// Copies of a convolution's kernel in the blocked forms that oneDNN's primitives want, and a kernel's gradient back from
// one: what a training step does with every kernel, and what oneDNN's own reorders take several times as long for.
//
// Shape: a kernel of `outputs` x `inputs` x size x size lies O,H,W,I outside of the forms, as LibTorch's channels_last
// has it. Threads: OpenMP's. Results have the same bits for any number of threads.
#pragma once

#include <cstdint>

#include "engine/map_view.h"

namespace yolov3 {

// A form without padding. Its elements are words of four bytes: a float, or two neighbours in bf16, the first of them in
// the lower half. `inside` says along which axis words follow one another in a block; along the other one, which also is
// the one of bf16's neighbours, lie `rows` of them. Word (o, i) of a block, and blocks:
//   outputs inside   o in [0, run), row = i or i / 2
//   inputs inside    i in [0, run), row = o or o / 2
//   place = row / rows * row_stride + (o or i) / run * run_stride + y * y_stride + x * x_stride
//           + row % rows * run + (o or i) % run                      oneDNN: OIhw16i16o, OIhw16o16i, OIhw8i16o2i, ...
struct KernelForm {
  enum class Inside { outputs, inputs };
  NumberType type = NumberType::f32;  // f32 or bf16
  Inside inside = Inside::outputs;
  int64_t outputs = 0, inputs = 0, size = 0;                           // multiples of 16: outputs and inputs
  int64_t run = 0, rows = 0;                                           // run: a multiple of 4
  int64_t row_stride = 0, run_stride = 0, y_stride = 0, x_stride = 0;  // words
};

// bf16 rounds to nearest even.
void pack_kernel(const float* kernel, const KernelForm& form, void* packed);

// form: of f32 with outputs inside. Returns the sum of the squares, in double.
double unpack_kernel(const float* packed, const KernelForm& form, float* kernel);

}  // namespace yolov3
