#include "engine/number_ops.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/cpu.h"
#include "engine/reference_conv.h"
#include "net/leaky.h"

namespace yolov3 {
namespace {

#define YOLOV3_INLINE [[gnu::always_inline]] inline

constexpr int64_t kChunk = 1024;  // numbers that wait in the first-level cache between two steps

// --- One number ---------------------------------------------------------------------------------------------------

struct Bf16 {
  uint16_t bits;
};

YOLOV3_INLINE float load(float value, float) { return value; }
YOLOV3_INLINE float load(Bf16 value, float) { return std::bit_cast<float>(uint32_t{value.bits} << 16); }
YOLOV3_INLINE float load(int8_t value, float scale) { return static_cast<float>(value) * scale; }
YOLOV3_INLINE float load(uint8_t value, float scale) { return static_cast<float>(value) * scale; }

YOLOV3_INLINE void store(float value, float, float& out) { out = value; }
// Nearest, ties to even; a NaN stays one (its first mantissa bit is set).
YOLOV3_INLINE void store(float value, float, Bf16& out) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  out.bits = static_cast<uint16_t>(value == value ? rounded : (bits >> 16) | 0x40u);
}
// Adding and taking away 1.5 * 2^23 rounds to nearest even for |x| < 2^22.
YOLOV3_INLINE float round_even(float x) { return (x + 12582912.0f) - 12582912.0f; }
// The constant comes first in min and max: a NaN gives the limit.
YOLOV3_INLINE void store(float value, float inverse_scale, int8_t& out) {
  const float limited = std::min(127.0f, std::max(-127.0f, value * inverse_scale));
  out = static_cast<int8_t>(static_cast<int32_t>(round_even(limited)));
}
YOLOV3_INLINE void store(float value, float inverse_scale, uint8_t& out) {
  const float limited = std::min(255.0f, std::max(0.0f, value * inverse_scale));
  out = static_cast<uint8_t>(static_cast<int32_t>(round_even(limited)));
}

// --- Rows, as written; compiled below for each instruction set ------------------------------------------------------
// ivdep: out may be where the inputs are, number for number, which the compiler would take for an overlap.

struct NoAddend {};

// slope: of the activation below zero (1 linear, 0.1 leaky, 0 ReLU). In and addend scales multiply, out's divides.
struct Scales {
  float addend, inverse_out;
};

template <class Addend, class Out, bool kAddFirst>
YOLOV3_INLINE void finish_body(const float* in, const Addend* addend, float slope, Scales scales, Out* out,
                               int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    float x = in[i];
    if constexpr (!std::is_same_v<Addend, NoAddend> && kAddFirst) x += load(addend[i], scales.addend);
    x = x > 0 ? x : x * slope;
    if constexpr (!std::is_same_v<Addend, NoAddend> && !kAddFirst) x += load(addend[i], scales.addend);
    store(x, scales.inverse_out, out[i]);
  }
}

template <class In>
YOLOV3_INLINE void widen_body(const In* in, float scale, float* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = load(in[i], scale);
}

YOLOV3_INLINE void maximum_body(const float* in, float* io, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) io[i] = (in[i] > io[i]) | (in[i] != in[i]) ? in[i] : io[i];
}

YOLOV3_INLINE void multiply_body(const float* factors, float* io, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) io[i] *= factors[i];
}

YOLOV3_INLINE void bytes_body(const uint8_t* in, float* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(in[i]) / 255.0f;
}

using Finish = void (*)(const float* in, const void* addend, float slope, Scales, void* out, int64_t count);
using Widen = void (*)(const void* in, float scale, float* out, int64_t count);

// Indexed by addend (none, f32, bf16, s8), out type (f32, bf16, s8, u8) and whether the sum comes first.
struct Kernels {
  std::array<std::array<std::array<Finish, 2>, 4>, 4> finish;
  std::array<Widen, 4> widen;
  void (*maximum)(const float*, float*, int64_t);
  void (*multiply)(const float*, float*, int64_t);
  void (*bytes)(const uint8_t*, float*, int64_t);
};

#define YOLOV3_KERNELS(NAME, ...)                                                                                 \
  struct NAME {                                                                                                   \
    template <class Addend, class Out, bool kAddFirst>                                                            \
    __VA_ARGS__ static void finish(const float* in, const void* addend, float slope, Scales scales, void* out,    \
                                   int64_t count) {                                                               \
      finish_body<Addend, Out, kAddFirst>(in, static_cast<const Addend*>(addend), slope, scales,                  \
                                          static_cast<Out*>(out), count);                                         \
    }                                                                                                             \
    template <class In>                                                                                           \
    __VA_ARGS__ static void widen(const void* in, float scale, float* out, int64_t count) {                       \
      widen_body(static_cast<const In*>(in), scale, out, count);                                                  \
    }                                                                                                             \
    __VA_ARGS__ static void maximum(const float* in, float* io, int64_t count) { maximum_body(in, io, count); }   \
    __VA_ARGS__ static void multiply(const float* in, float* io, int64_t count) { multiply_body(in, io, count); } \
    __VA_ARGS__ static void bytes(const uint8_t* in, float* out, int64_t count) { bytes_body(in, out, count); }   \
  };

YOLOV3_KERNELS(Plain)
#ifdef __x86_64__
YOLOV3_KERNELS(Avx2, __attribute__((target("avx2"))))
YOLOV3_KERNELS(Avx512, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"))))
#endif
#undef YOLOV3_KERNELS

template <class Isa, class Addend, class Out>
constexpr std::array<Finish, 2> finish_of() {
  return {&Isa::template finish<Addend, Out, false>, &Isa::template finish<Addend, Out, true>};
}

template <class Isa, class Addend>
constexpr std::array<std::array<Finish, 2>, 4> finish_to() {
  return {finish_of<Isa, Addend, float>(), finish_of<Isa, Addend, Bf16>(), finish_of<Isa, Addend, int8_t>(),
          finish_of<Isa, Addend, uint8_t>()};
}

template <class Isa>
constexpr Kernels kernels_of() {
  return {{finish_to<Isa, NoAddend>(), finish_to<Isa, float>(), finish_to<Isa, Bf16>(), finish_to<Isa, int8_t>()},
          {&Isa::template widen<float>, &Isa::template widen<Bf16>, &Isa::template widen<int8_t>,
           &Isa::template widen<uint8_t>},
          &Isa::maximum,
          &Isa::multiply,
          &Isa::bytes};
}

const Kernels& kernels() {
  static const Kernels chosen = [] {
#ifdef __x86_64__
    if (cpu_features().avx512) return kernels_of<Avx512>();
    if (cpu_features().avx2) return kernels_of<Avx2>();
#endif
    return kernels_of<Plain>();
  }();
  return chosen;
}

// --- Rows of any type: in pieces that stay in the first-level cache --------------------------------------------------

bool has_slope(Activation activation) {
  return activation == Activation::linear || activation == Activation::leaky || activation == Activation::relu;
}

float slope_of(Activation activation) {
  return activation == Activation::leaky ? kLeakySlope : activation == Activation::relu ? 0.0f : 1.0f;
}

Row advance(const Row& row, int64_t count) {
  if (row.data == nullptr) return row;
  return {static_cast<const std::byte*>(row.data) + count * size_of(row.type), row.type, row.scale};
}

// The row as floats: itself, or widened into `buffer`.
const float* floats_of(const Row& row, float* buffer, int64_t count) {
  if (row.type == NumberType::f32) return static_cast<const float*>(row.data);
  kernels().widen[static_cast<size_t>(row.type)](row.data, row.scale, buffer, count);
  return buffer;
}

void finish(const float* in, const Row& addend, Activation activation, bool add_first, void* out, NumberType type,
            float scale, int64_t count) {
  const size_t kind = addend.data == nullptr ? 0 : 1 + static_cast<size_t>(addend.type);
  kernels().finish[kind][static_cast<size_t>(type)][add_first ? 1 : 0](in, addend.data, slope_of(activation),
                                                                       {addend.scale, 1.0f / scale}, out, count);
}

// One piece, at most kChunk numbers.
void compute_piece(const Row& in, const Row& addend, const RowMath& math, void* out, NumberType type, float scale,
                   int64_t count) {
  alignas(64) std::array<float, kChunk> buffer;
  const float* values = floats_of(in, buffer.data(), count);
  if (has_slope(math.activation)) {
    finish(values, addend, math.activation, math.add_first, out, type, scale, count);
    return;
  }
  Row rest = addend;
  if (math.add_first) {
    finish(values, addend, Activation::linear, false, buffer.data(), NumberType::f32, 1, count);
    rest = {};
  } else if (values != buffer.data()) {
    std::copy_n(values, count, buffer.data());
  }
  activate(math.activation, {buffer.data(), static_cast<size_t>(count)});
  finish(buffer.data(), rest, Activation::linear, false, out, type, scale, count);
}

}  // namespace

void compute_row(const Row& in, const Row& addend, const RowMath& math, void* out, NumberType type, float scale,
                 int64_t count) {
  if (in.type == NumberType::f32 && has_slope(math.activation)) {  // nothing has to wait
    finish(static_cast<const float*>(in.data), addend, math.activation, math.add_first, out, type, scale, count);
    return;
  }
  for (int64_t i = 0; i < count; i += kChunk) {
    compute_piece(advance(in, i), advance(addend, i), math, static_cast<std::byte*>(out) + i * size_of(type), type,
                  scale, std::min(kChunk, count - i));
  }
}

void maximum_row(const Row& in, float* io, int64_t count) {
  alignas(64) std::array<float, kChunk> buffer;
  for (int64_t i = 0; i < count; i += kChunk) {
    const int64_t piece = std::min(kChunk, count - i);
    kernels().maximum(floats_of(advance(in, i), buffer.data(), piece), io + i, piece);
  }
}

void scale_row(const Row& in, const float* factors, Activation activation, void* out, NumberType type, float scale,
               int64_t count) {
  alignas(64) std::array<float, kChunk> buffer;
  for (int64_t i = 0; i < count; i += kChunk) {
    const int64_t piece = std::min(kChunk, count - i);
    to_floats(advance(in, i), buffer.data(), piece);
    kernels().multiply(factors + i, buffer.data(), piece);
    compute_piece({buffer.data()}, {}, {activation}, static_cast<std::byte*>(out) + i * size_of(type), type, scale,
                  piece);
  }
}

void bytes_to_row(const uint8_t* in, void* out, NumberType type, float scale, int64_t count) {
  if (type == NumberType::f32) {
    kernels().bytes(in, static_cast<float*>(out), count);
    return;
  }
  if (type == NumberType::u8 && scale == 1.0f / 255.0f) {
    std::memcpy(out, in, static_cast<size_t>(count));
    return;
  }
  alignas(64) std::array<float, kChunk> buffer;
  for (int64_t i = 0; i < count; i += kChunk) {
    const int64_t piece = std::min(kChunk, count - i);
    kernels().bytes(in + i, buffer.data(), piece);
    from_floats(buffer.data(), static_cast<std::byte*>(out) + i * size_of(type), type, scale, piece);
  }
}

void to_floats(const Row& in, float* out, int64_t count) {
  kernels().widen[static_cast<size_t>(in.type)](in.data, in.scale, out, count);
}

void from_floats(const float* in, void* out, NumberType type, float scale, int64_t count) {
  finish(in, {}, Activation::linear, false, out, type, scale, count);
}

uint16_t bf16_from_float(float value) {
  Bf16 out;
  store(value, 1, out);
  return out.bits;
}

float float_from_bf16(uint16_t bits) { return load(Bf16{bits}, 1); }

}  // namespace yolov3
