#include "train/optimizer_kernels.h"

#include <cmath>

#include "base/cpu.h"

namespace yolov3 {
namespace {

#define ALWAYS_INLINE inline __attribute__((always_inline))

// --- The loops as written; compiled below for each instruction set --------------------------------------------------

template <bool kAveraged>
ALWAYS_INLINE void adam_loop(float* __restrict value, const float* __restrict gradient, float* __restrict mean,
                             float* __restrict square, float* __restrict average, int64_t count, const UpdateRates& r) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * r.gradient_scale;
    const float m = r.beta1 * mean[i] + (1.0f - r.beta1) * g;
    const float v = r.beta2 * square[i] + (1.0f - r.beta2) * g * g;
    mean[i] = m;
    square[i] = v;
    const float next = value[i] * r.keep - r.rate * m / (std::sqrt(v) * r.square_scale + r.epsilon);
    value[i] = next;
    if constexpr (kAveraged) average[i] += r.average_rate * (next - average[i]);
  }
}

template <bool kAveraged, bool kNesterov>
ALWAYS_INLINE void sgd_loop(float* __restrict value, const float* __restrict gradient, float* __restrict velocity,
                            float* __restrict average, int64_t count, const UpdateRates& r) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * r.gradient_scale + r.decay * value[i];
    const float v = r.momentum * velocity[i] + g;
    velocity[i] = v;
    const float next = value[i] - r.rate * (kNesterov ? g + r.momentum * v : v);
    value[i] = next;
    if constexpr (kAveraged) average[i] += r.average_rate * (next - average[i]);
  }
}

ALWAYS_INLINE void follow_loop(const float* __restrict value, float* __restrict average, int64_t count, float rate) {
  for (int64_t i = 0; i < count; ++i) average[i] += rate * (value[i] - average[i]);
}

ALWAYS_INLINE void add_loop(float* __restrict sum, const float* __restrict gradient, float scale, int64_t count) {
  for (int64_t i = 0; i < count; ++i) sum[i] += scale * gradient[i];
}

ALWAYS_INLINE void mean_loop(float* __restrict gradient, const float* __restrict sum, float scale, float inverse,
                             int64_t count) {
  for (int64_t i = 0; i < count; ++i) gradient[i] = (sum[i] + scale * gradient[i]) * inverse;
}

// Eight partial sums in double: vectorisable and the same for every width.
ALWAYS_INLINE double square_sum_loop(const float* values, int64_t count) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int k = 0; k < 8; ++k) sums[k] += static_cast<double>(values[i + k]) * static_cast<double>(values[i + k]);
  }
  for (; i < count; ++i) sums[0] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

#define UPDATE_KERNELS(name, isa)                                                                               \
  __attribute__((target(isa))) void adam_##name(const UpdatePiece& p, const UpdateRates& r) {                   \
    if (p.average) {                                                                                            \
      adam_loop<true>(p.value, p.gradient, p.first, p.second, p.average, p.count, r);                           \
    } else {                                                                                                    \
      adam_loop<false>(p.value, p.gradient, p.first, p.second, nullptr, p.count, r);                            \
    }                                                                                                           \
  }                                                                                                             \
  __attribute__((target(isa))) void sgd_##name(const UpdatePiece& p, const UpdateRates& r) {                    \
    if (p.average) {                                                                                            \
      sgd_loop<true, false>(p.value, p.gradient, p.first, p.average, p.count, r);                               \
    } else {                                                                                                    \
      sgd_loop<false, false>(p.value, p.gradient, p.first, nullptr, p.count, r);                                \
    }                                                                                                           \
  }                                                                                                             \
  __attribute__((target(isa))) void nesterov_##name(const UpdatePiece& p, const UpdateRates& r) {               \
    if (p.average) {                                                                                            \
      sgd_loop<true, true>(p.value, p.gradient, p.first, p.average, p.count, r);                                \
    } else {                                                                                                    \
      sgd_loop<false, true>(p.value, p.gradient, p.first, nullptr, p.count, r);                                 \
    }                                                                                                           \
  }                                                                                                             \
  __attribute__((target(isa))) void follow_##name(const UpdatePiece& p, const UpdateRates& r) {                 \
    follow_loop(p.value, p.average, p.count, r.average_rate);                                                   \
  }                                                                                                             \
  __attribute__((target(isa))) void add_##name(float* sum, const float* gradient, float scale, int64_t count) { \
    add_loop(sum, gradient, scale, count);                                                                      \
  }                                                                                                             \
  __attribute__((target(isa))) void mean_##name(float* gradient, const float* sum, float scale, float inverse,  \
                                                int64_t count) {                                                \
    mean_loop(gradient, sum, scale, inverse, count);                                                            \
  }                                                                                                             \
  __attribute__((target(isa))) double square_sum_##name(const float* values, int64_t count) {                   \
    return square_sum_loop(values, count);                                                                      \
  }                                                                                                             \
  constexpr UpdateKernels k_##name{#name,         adam_##name, sgd_##name,  nesterov_##name,                    \
                                   follow_##name, add_##name,  mean_##name, square_sum_##name};

UPDATE_KERNELS(sse2, "sse2")
UPDATE_KERNELS(avx2, "avx2")
UPDATE_KERNELS(avx512, "avx512f,avx512vl,avx512dq")

#undef UPDATE_KERNELS
#undef ALWAYS_INLINE

}  // namespace

const UpdateKernels& update_kernels() {
  static const UpdateKernels& chosen = *usable_update_kernels().back();
  return chosen;
}

std::vector<const UpdateKernels*> usable_update_kernels() {
  std::vector<const UpdateKernels*> usable{&k_sse2};
  if (cpu_features().avx2) usable.push_back(&k_avx2);
  if (cpu_features().avx512) usable.push_back(&k_avx512);
  return usable;
}

}  // namespace yolov3
