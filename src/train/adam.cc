#include "train/adam.h"

#include <cmath>

#include "base/cpu.h"

namespace yolov3 {
namespace {

// Elements that one thread takes at a time: large enough to amortise the hand-out, small enough to share evenly.
constexpr int64_t kBlock = 1 << 16;

struct Rates {
  float beta1, beta2;
  float step;          // lr / (1 - beta1^t)
  float square_scale;  // 1 / sqrt(1 - beta2^t)
  float epsilon, decay, gradient_scale;
};

// The loops, compiled once for each vector width below. Without contraction to FMA (cmake/toolchain.cmake) every width
// gives the same bits.
#define ALWAYS_INLINE inline __attribute__((always_inline))

// One pass: moments and parameter.
ALWAYS_INLINE void update_loop(float* __restrict value, const float* __restrict gradient, float* __restrict mean,
                               float* __restrict square, int64_t count, const Rates& r) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * r.gradient_scale;
    const float m = r.beta1 * mean[i] + (1.0f - r.beta1) * g;
    const float v = r.beta2 * square[i] + (1.0f - r.beta2) * g * g;
    mean[i] = m;
    square[i] = v;
    value[i] = value[i] * r.decay - r.step * m / (std::sqrt(v) * r.square_scale + r.epsilon);
  }
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

struct Kernels {
  void (*update)(float*, const float*, float*, float*, int64_t, const Rates&);
  double (*square_sum)(const float*, int64_t);
};

#define VECTOR_KERNELS(name, isa)                                                                                  \
  __attribute__((target(isa))) void update_##name(float* value, const float* gradient, float* mean, float* square, \
                                                  int64_t count, const Rates& rates) {                             \
    update_loop(value, gradient, mean, square, count, rates);                                                      \
  }                                                                                                                \
  __attribute__((target(isa))) double square_sum_##name(const float* values, int64_t count) {                      \
    return square_sum_loop(values, count);                                                                         \
  }

VECTOR_KERNELS(sse2, "sse2")
VECTOR_KERNELS(avx2, "avx2")
VECTOR_KERNELS(avx512, "avx512f,avx512vl,avx512dq")

#undef VECTOR_KERNELS
#undef ALWAYS_INLINE

const Kernels& kernels() {
  static const Kernels chosen = cpu_features().avx512 ? Kernels{update_avx512, square_sum_avx512}
                                : cpu_features().avx2 ? Kernels{update_avx2, square_sum_avx2}
                                                      : Kernels{update_sse2, square_sum_sse2};
  return chosen;
}

// The gradient with the memory order of its parameter, so that one index serves both.
torch::Tensor aligned_gradient(const AdamParam& param) {
  const torch::Tensor gradient = param.value.grad();
  if (!gradient.defined() || gradient.strides() == param.value.strides()) return gradient;
  return torch::empty_like(param.value).copy_(gradient);
}

void update_with_operators(AdamParam& param, const torch::Tensor& raw_gradient, const Rates& r) {
  const torch::Tensor gradient = raw_gradient * r.gradient_scale;
  param.mean.mul_(r.beta1).add_(gradient, 1.0f - r.beta1);
  param.square.mul_(r.beta2).addcmul_(gradient, gradient, 1.0f - r.beta2);
  param.value.mul_(r.decay).addcdiv_(param.mean, (param.square.sqrt() * r.square_scale).add_(r.epsilon), -r.step);
}

}  // namespace

Adam::Adam(std::vector<AdamParam> params, const AdamOptions& options) : params_(std::move(params)), options_(options) {
  for (AdamParam& param : params_) {
    if (!param.mean.defined()) param.mean = torch::zeros_like(param.value.detach());
    if (!param.square.defined()) param.square = torch::zeros_like(param.value.detach());
  }
}

double Adam::gradient_norm() const {
  double sum = 0;
  for (const AdamParam& param : params_) {
    const torch::Tensor gradient = param.value.grad();
    if (!gradient.defined()) continue;
    if (!gradient.device().is_cpu() || !gradient.is_non_overlapping_and_dense()) {
      const double norm = gradient.norm().item<double>();
      sum += norm * norm;
      continue;
    }
    const float* data = gradient.data_ptr<float>();
    const int64_t count = gradient.numel(), blocks = (count + kBlock - 1) / kBlock;
    std::vector<double> partial(static_cast<size_t>(blocks));  // added in order: the same sum for any thread count
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < blocks; ++b) {
      partial[static_cast<size_t>(b)] = kernels().square_sum(data + b * kBlock, std::min(kBlock, count - b * kBlock));
    }
    for (const double part : partial) sum += part;
  }
  return std::sqrt(sum);
}

void Adam::step(double lr, double gradient_scale) {
  const torch::NoGradGuard no_grad;
  ++steps_;
  const double t = static_cast<double>(steps_);
  for (AdamParam& param : params_) {
    const torch::Tensor gradient = aligned_gradient(param);
    if (!gradient.defined()) continue;
    const Rates rates{static_cast<float>(options_.beta1),
                      static_cast<float>(options_.beta2),
                      static_cast<float>(lr / (1.0 - std::pow(options_.beta1, t))),
                      static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(options_.beta2, t))),
                      static_cast<float>(options_.epsilon),
                      static_cast<float>(1.0 - lr * param.weight_decay),
                      static_cast<float>(gradient_scale)};
    if (!param.value.device().is_cpu()) {
      update_with_operators(param, gradient, rates);
      continue;
    }
    float* value = param.value.data_ptr<float>();
    float* mean = param.mean.data_ptr<float>();
    float* square = param.square.data_ptr<float>();
    const float* g = gradient.data_ptr<float>();
    const int64_t count = param.value.numel();
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < count; first += kBlock) {
      kernels().update(value + first, g + first, mean + first, square + first, std::min(kBlock, count - first), rates);
    }
  }
}

void Adam::clear_gradients() {
  for (AdamParam& param : params_) param.value.mutable_grad() = torch::Tensor();
}

}  // namespace yolov3
