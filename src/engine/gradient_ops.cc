#include "engine/gradient_ops.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/cpu.h"
#include "base/error.h"
#include "net/leaky.h"

namespace yolov3 {
namespace {

#define YOLOV3_INLINE [[gnu::always_inline]] inline

constexpr int64_t kSquaresPiece = 1 << 15;  // numbers that one thread adds up at a time

// --- Rows, as written; compiled below for each instruction set ------------------------------------------------------
// ivdep: out may be where the inputs are, number for number, which the compiler would take for an overlap.

// unroll 1: a run of known width would be unrolled number by number before it could become vectors.
YOLOV3_INLINE void fold_runs(const float* in, int64_t stride, int64_t run, int64_t pixels, float* sums) {
  for (int64_t x = 0; x < pixels; ++x, sums += run) {
    for (int64_t k = 0; k < stride; ++k, in += run) {
#pragma GCC ivdep
#pragma GCC unroll 1
      for (int64_t c = 0; c < run; ++c) sums[c] += in[c];
    }
  }
}

// The blocks' widths are known when this is compiled.
YOLOV3_INLINE void fold_body(const float* in, int64_t stride, int64_t run, int64_t pixels, float* sums) {
  if (run == 16) {
    fold_runs(in, stride, 16, pixels, sums);
  } else if (run == 8) {
    fold_runs(in, stride, 8, pixels, sums);
  } else {
    fold_runs(in, stride, run, pixels, sums);
  }
}

YOLOV3_INLINE void largest_body(const float* in, int32_t cell, float* largest, int32_t* cells, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    const bool larger = (in[i] > largest[i]) | (in[i] != in[i]);
    largest[i] = larger ? in[i] : largest[i];
    cells[i] = larger ? cell : cells[i];
  }
}

YOLOV3_INLINE void add_where_body(const int32_t* cells, int32_t cell, const float* in, float* sums, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) sums[i] += cells[i] == cell ? in[i] : 0.0f;
}

YOLOV3_INLINE void leaky_body(const float* before, const float* gradient, float* out, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) out[i] = before[i] > 0 ? gradient[i] : gradient[i] * kLeakySlope;
}

// A NaN lets the gradient pass; an infinite gradient is cut off like any other.
YOLOV3_INLINE void relu_body(const float* before, const float* gradient, float* out, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) out[i] = before[i] <= 0 ? 0.0f : gradient[i];
}

// Partial sums: vectorisable, and the same for every width.
YOLOV3_INLINE double square_sum_body(const float* values, int64_t count) {
  constexpr int kSums = 16;
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (int k = 0; k < kSums; ++k) sums[k] += static_cast<double>(values[i + k]) * static_cast<double>(values[i + k]);
  }
  for (; i < count; ++i) sums[0] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

YOLOV3_INLINE void dropout_body(const DropoutRule& rule, uint64_t first, uint64_t step, float* io, int64_t count) {
  const int64_t threshold = rule.threshold;
  const float scale = rule.scale;
  const uint64_t start = rule.seed + (first + 1) * 0x9e3779b97f4a7c15u;
  const uint64_t stride = step * 0x9e3779b97f4a7c15u;
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    uint64_t z = start + static_cast<uint64_t>(i) * stride;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    io[i] = static_cast<int64_t>(z >> 11) < threshold ? 0.0f : io[i] * scale;
  }
}

struct Kernels {
  void (*fold)(const float*, int64_t, int64_t, int64_t, float*);
  void (*largest)(const float*, int32_t, float*, int32_t*, int64_t);
  void (*add_where)(const int32_t*, int32_t, const float*, float*, int64_t);
  void (*leaky)(const float*, const float*, float*, int64_t);
  void (*relu)(const float*, const float*, float*, int64_t);
  double (*square_sum)(const float*, int64_t);
  void (*dropout)(const DropoutRule&, uint64_t, uint64_t, float*, int64_t);
};

#define YOLOV3_KERNELS(NAME, ...)                                                                                  \
  struct NAME {                                                                                                    \
    __VA_ARGS__ static void fold(const float* in, int64_t stride, int64_t run, int64_t pixels, float* sums) {      \
      fold_body(in, stride, run, pixels, sums);                                                                    \
    }                                                                                                              \
    __VA_ARGS__ static void largest(const float* in, int32_t cell, float* most, int32_t* cells, int64_t count) {   \
      largest_body(in, cell, most, cells, count);                                                                  \
    }                                                                                                              \
    __VA_ARGS__ static void add_where(const int32_t* cells, int32_t cell, const float* in, float* sums,            \
                                      int64_t count) {                                                             \
      add_where_body(cells, cell, in, sums, count);                                                                \
    }                                                                                                              \
    __VA_ARGS__ static void leaky(const float* before, const float* gradient, float* out, int64_t count) {         \
      leaky_body(before, gradient, out, count);                                                                    \
    }                                                                                                              \
    __VA_ARGS__ static void relu(const float* before, const float* gradient, float* out, int64_t count) {          \
      relu_body(before, gradient, out, count);                                                                     \
    }                                                                                                              \
    __VA_ARGS__ static double square_sum(const float* values, int64_t count) {                                     \
      return square_sum_body(values, count);                                                                       \
    }                                                                                                              \
    __VA_ARGS__ static void dropout(const DropoutRule& rule, uint64_t first, uint64_t step, float* io,             \
                                    int64_t count) {                                                               \
      dropout_body(rule, first, step, io, count);                                                                  \
    }                                                                                                              \
    static constexpr Kernels all() { return {&fold, &largest, &add_where, &leaky, &relu, &square_sum, &dropout}; } \
  };

YOLOV3_KERNELS(Plain)
#ifdef __x86_64__
YOLOV3_KERNELS(Avx2, __attribute__((target("avx2"))))
YOLOV3_KERNELS(Avx512, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"))))
#endif
#undef YOLOV3_KERNELS

const Kernels& kernels() {
  static const Kernels chosen = [] {
#ifdef __x86_64__
    if (cpu_features().avx512) return Avx512::all();
    if (cpu_features().avx2) return Avx2::all();
#endif
    return Plain::all();
  }();
  return chosen;
}

}  // namespace

void fold_row(const float* in, int64_t stride, int64_t run, int64_t pixels, float* sums) {
  kernels().fold(in, stride, run, pixels, sums);
}

void first_largest_row(const float* in, int32_t cell, float* largest, int32_t* cells, int64_t count) {
  kernels().largest(in, cell, largest, cells, count);
}

void add_where_row(const int32_t* cells, int32_t cell, const float* in, float* sums, int64_t count) {
  kernels().add_where(cells, cell, in, sums, count);
}

double curve_slope(Activation activation, double x) {
  const double e = std::exp(-std::abs(x));                                              // at most 1
  const double sigmoid = (x < 0 ? e : 1) / (1 + e), other = (x < 0 ? 1 : e) / (1 + e);  // other = 1 - sigmoid
  switch (activation) {
    case Activation::logistic: return sigmoid * other;
    case Activation::swish: return sigmoid + x * sigmoid * other;
    case Activation::mish: {
      // tanh(log(1 + E)) = (E^2 + 2E) / (E^2 + 2E + 2) with E = exp(x); where x > 0, divided by E^2.
      const double a = x < 0 ? e * e + 2 * e : 1 + 2 * e, b = x < 0 ? 2 : 2 * e * e;
      const double tanh = a / (a + b), one_less = b / (a + b);  // one_less = 1 - tanh
      return tanh + x * sigmoid * one_less * (1 + tanh);
    }
    default: fail("activation {} has no curve", static_cast<int>(activation));
  }
}

void activation_gradient_row(Activation activation, const float* before, const float* gradient, float* out,
                             int64_t count) {
  switch (activation) {
    case Activation::linear: std::copy_n(gradient, out == gradient ? 0 : count, out); return;
    case Activation::leaky: return kernels().leaky(before, gradient, out, count);
    case Activation::relu: return kernels().relu(before, gradient, out, count);
    case Activation::logistic:
    case Activation::mish:
    case Activation::swish:
      for (int64_t i = 0; i < count; ++i) {
        out[i] = static_cast<float>(gradient[i] * curve_slope(activation, double{before[i]}));
      }
      return;
  }
  fail("unknown activation {}", static_cast<int>(activation));
}

double square_sum(const float* values, int64_t count) {
  std::vector<double> sums(static_cast<size_t>((count + kSquaresPiece - 1) / kSquaresPiece));
#pragma omp parallel for schedule(static) if (count > kSquaresPiece)
  for (int64_t first = 0; first < count; first += kSquaresPiece) {
    sums[static_cast<size_t>(first / kSquaresPiece)] =
        kernels().square_sum(values + first, std::min(kSquaresPiece, count - first));
  }
  return std::accumulate(sums.begin(), sums.end(), 0.0);  // in order
}

DropoutRule make_dropout_rule(double probability, uint64_t seed) {
  assert(probability >= 0 && probability < 1);
  return {seed, static_cast<int64_t>(std::ceil(probability * 0x1p53)), static_cast<float>(1 / (1 - probability))};
}

void dropout_row(const DropoutRule& rule, int64_t first, int64_t step, float* io, int64_t count) {
  kernels().dropout(rule, static_cast<uint64_t>(first), static_cast<uint64_t>(step), io, count);
}

}  // namespace yolov3
