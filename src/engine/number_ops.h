// Arithmetic over rows of numbers of any type, in the vector instructions that base/cpu allows: what stands between the
// convolutions of an engine. Everything is computed in f32; bf16 rounds to nearest even, s8 to nearest even and
// saturates at +-127. Results have the same bits for every instruction set.
// Threads: any; nothing here starts threads.
#pragma once

#include <cstdint>
#include <span>

#include "engine/map_view.h"
#include "net/spec.h"

namespace yolov3 {

// A row of numbers; scale: of s8 and u8.
struct Row {
  const void* data = nullptr;
  NumberType type = NumberType::f32;
  float scale = 1;
};

// out = activation(in) + addend, or activation(in + addend) with add_first. addend.data may be null: nothing is added;
// it is never u8.
// `out` may be where `in` or the addend is.
struct RowMath {
  Activation activation = Activation::linear;
  bool add_first = false;
};
void compute_row(const Row& in, const Row& addend, const RowMath& math, void* out, NumberType type, float scale,
                 int64_t count);

// io = max(io, in), in f32; a NaN is larger than anything, as in torch's max pooling.
void maximum_row(const Row& in, float* io, int64_t count);

// out = activation(in * factors).
void scale_row(const Row& in, const float* factors, Activation activation, void* out, NumberType type, float scale,
               int64_t count);

// out = values of 8-bit channels divided by 255.
void bytes_to_row(const uint8_t* in, void* out, NumberType type, float scale, int64_t count);

void to_floats(const Row& in, float* out, int64_t count);
void from_floats(const float* in, void* out, NumberType type, float scale, int64_t count);

uint16_t bf16_from_float(float value);
float float_from_bf16(uint16_t bits);

}  // namespace yolov3
