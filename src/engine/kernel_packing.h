// A convolution's kernel, brought into the form in which oneDNN's bf16 gradients of inputs want it. oneDNN 2.6's own
// reorder rounds number by number there and takes twice as long as the memory does (docs/train.md).
//
// Shape: a kernel of `outputs` x `inputs` x size x size lies O,H,W,I, as LibTorch's channels_last has it.
// Threads: OpenMP's. Results have the same bits for any number of threads.
#pragma once

#include <cstdint>

namespace yolov3 {

// A form without padding, of words of four bytes: two neighbouring outputs in bf16, the first of them in the lower half.
// A block has `inputs_inside` inputs in a row and `pairs_inside` such rows. The word of pair o / 2 and of input i is at
//   o / 2 / pairs_inside * pair_stride + i / inputs_inside * input_stride + y * y_stride + x * x_stride
//     + o / 2 % pairs_inside * inputs_inside + i % inputs_inside         oneDNN: OIhw8o16i2o, IOhw8o16i2o, ...
struct PairedForm {
  int64_t outputs = 0, inputs = 0, size = 0;                              // outputs and inputs: multiples of 16
  int64_t pairs_inside = 0, inputs_inside = 0;                            // inputs_inside: a multiple of 4
  int64_t pair_stride = 0, input_stride = 0, y_stride = 0, x_stride = 0;  // words
};

// Rounds to nearest even; a NaN stays one.
void pack_output_pairs(const float* kernel, const PairedForm& form, void* packed);

}  // namespace yolov3
