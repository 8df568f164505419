// Operations over rows of floats that backward passes need, in the vector instructions that base/cpu allows; the
// counterpart of engine/number_ops.h. Results have the same bits for every instruction set.
// Threads: any; nothing here starts threads but square_sum, which uses OpenMP's.
#pragma once

#include <cstdint>

#include "net/spec.h"

namespace yolov3 {

// Sums of `stride` neighbours: sums[x][c] += in[x * stride + k][c] for k = 0, 1, ... in turn; `run` numbers c a pixel.
void fold_row(const float* in, int64_t stride, int64_t run, int64_t pixels, float* sums);

// The largest number met so far and the cell it was in. Equal numbers: the first cell; a NaN is larger than anything
// and a later NaN larger than an earlier one, as in torch's max pooling.
void first_largest_row(const float* in, int32_t cell, float* largest, int32_t* cells, int64_t count);

// sums += in where `cells` holds this cell.
void add_where_row(const int32_t* cells, int32_t cell, const float* in, float* sums, int64_t count);

// Slope of logistic, mish or swish at x, in forms that neither overflow nor cancel.
double curve_slope(Activation activation, double x);

// out = gradient * activation'(before); at 0 the slope is that of negative numbers, as in torch. `out` may be where the
// others are.
void activation_gradient_row(Activation activation, const float* before, const float* gradient, float* out,
                             int64_t count);

// Sum of the squares, in double; the same bits for any number of threads.
double square_sum(const float* values, int64_t count);

// Which numbers dropout keeps. Number i is dropped when the i-th output of splitmix64(seed), taken as a number of 53
// bits in [0,1), is below the probability; so it depends on nothing else.
struct DropoutRule {
  uint64_t seed = 0;
  int64_t threshold = 0;  // of the 53 bits
  float scale = 1;        // of what is kept
};
DropoutRule make_dropout_rule(double probability, uint64_t seed);

// io = io * scale or zero; io[c] is number first + c * step.
void dropout_row(const DropoutRule& rule, int64_t first, int64_t step, float* io, int64_t count);

}  // namespace yolov3
