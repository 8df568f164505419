#include "train/optimizer.h"

#include <cmath>

#include "base/usage.h"
#include "train/optimizer_kernels.h"

namespace yolov3 {
namespace {

// Elements that one thread takes at a time: large enough to amortise the hand-out, small enough to share evenly.
constexpr int64_t kBlock = 1 << 16;

// work(first element, count) for each block.
template <class Work>
void for_blocks(int64_t count, const Work& work) {
#pragma omp parallel for schedule(static)
  for (int64_t first = 0; first < count; first += kBlock) work(first, std::min(kBlock, count - first));
}

bool ours(const torch::Tensor& tensor) { return tensor.is_cpu() && tensor.scalar_type() == torch::kFloat32; }

// The gradient with the memory order of its parameter, so that one index serves both.
torch::Tensor aligned_gradient(const OptimizerParam& param) {
  const torch::Tensor gradient = param.value.grad();
  if (!gradient.defined() || gradient.strides() == param.value.strides()) return gradient;
  return torch::empty_like(param.value.detach()).copy_(gradient);
}

double square_sum(const torch::Tensor& gradient) {
  const float* data = gradient.data_ptr<float>();
  const int64_t count = gradient.numel();
  std::vector<double> partial(static_cast<size_t>((count + kBlock - 1) / kBlock));
  for_blocks(count, [&](int64_t first, int64_t n) {
    partial[static_cast<size_t>(first / kBlock)] = update_kernels().square_sum(data + first, n);
  });
  double sum = 0;  // added in order: the same for any thread count
  for (const double part : partial) sum += part;
  return sum;
}

float* data_of(const torch::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr<float>() : nullptr; }
template <class Number>
Number* advance(Number* data, int64_t first) {
  return data ? data + first : nullptr;
}

// The fused pass. Without a gradient only the average follows.
void update_with_kernels(OptimizerParam& param, const torch::Tensor& gradient, const OptimizerOptions& options,
                         const UpdateRates& rates) {
  const UpdateKernels& kernels = update_kernels();
  if (!gradient.defined() && !param.average.defined()) return;
  const auto sgd = options.nesterov ? kernels.nesterov : kernels.sgd;
  const auto update = !gradient.defined() ? kernels.follow : options.kind == OptimizerKind::adam ? kernels.adam : sgd;
  const UpdatePiece all{data_of(param.value),  data_of(gradient),      data_of(param.mean),
                        data_of(param.square), data_of(param.average), param.value.numel()};
  for_blocks(all.count, [&](int64_t first, int64_t n) {
    update({all.value + first, advance(all.gradient, first), advance(all.first, first), advance(all.second, first),
            advance(all.average, first), n},
           rates);
  });
}

void update_with_operators(OptimizerParam& param, const torch::Tensor& raw_gradient, const OptimizerOptions& options,
                           const UpdateRates& r) {
  if (raw_gradient.defined() && options.kind == OptimizerKind::adam) {
    const torch::Tensor gradient = raw_gradient * r.gradient_scale;
    param.mean.mul_(r.beta1).add_(gradient, 1.0f - r.beta1);
    param.square.mul_(r.beta2).addcmul_(gradient, gradient, 1.0f - r.beta2);
    param.value.mul_(r.keep).addcdiv_(param.mean, (param.square.sqrt() * r.square_scale).add_(r.epsilon), -r.rate);
  } else if (raw_gradient.defined()) {
    const torch::Tensor gradient = (raw_gradient * r.gradient_scale).add_(param.value, r.decay);
    param.mean.mul_(r.momentum).add_(gradient);
    param.value.add_(options.nesterov ? gradient.add(param.mean, r.momentum) : param.mean, -r.rate);
  }
  if (param.average.defined()) param.average.add_(param.value - param.average, r.average_rate);
}

}  // namespace

OptimizerKind parse_optimizer(const std::string& word) {
  if (word == "adam" || word == "adamw") return OptimizerKind::adam;
  check_usage(word == "sgd", "--optimizer {}: expected adam, adamw or sgd", word);
  return OptimizerKind::sgd;
}

std::string to_string(OptimizerKind kind) { return kind == OptimizerKind::adam ? "adam" : "sgd"; }

Optimizer::Optimizer(std::vector<OptimizerParam> params, const OptimizerOptions& options)
    : params_(std::move(params)), options_(options) {
  for (OptimizerParam& param : params_) {
    const torch::Tensor value = param.value.detach();
    if (options.ema_decay > 0) param.average = value.clone();
    if (!param.value.requires_grad()) continue;
    param.mean = torch::zeros_like(value);
    if (options.kind == OptimizerKind::adam) param.square = torch::zeros_like(value);
  }
}

double Optimizer::gradient_norm() const {
  double sum = 0;
  for (const OptimizerParam& param : params_) {
    const torch::Tensor gradient = param.value.grad();
    if (!gradient.defined()) continue;
    if (ours(gradient) && gradient.is_non_overlapping_and_dense()) {
      sum += square_sum(gradient);
    } else {
      const double norm = gradient.norm().item<double>();
      sum += norm * norm;
    }
  }
  return std::sqrt(sum);
}

void Optimizer::begin_sums() {
  for (OptimizerParam& param : params_) {
    if (!param.value.requires_grad()) continue;
    if (param.sum.defined()) {
      param.sum.zero_();
    } else {
      param.sum = torch::zeros_like(param.value.detach());
    }
  }
}

void Optimizer::accumulate(int64_t pictures) {
  const torch::NoGradGuard no_grad;
  if (accumulated_ == 0) begin_sums();
  accumulated_ += pictures;
  const auto scale = static_cast<float>(pictures);
  for (OptimizerParam& param : params_) {
    const torch::Tensor gradient = aligned_gradient(param);
    if (!gradient.defined()) continue;
    if (!ours(param.value)) {
      param.sum.add_(gradient, scale);
      continue;
    }
    float* sum = data_of(param.sum);
    const float* g = data_of(gradient);
    for_blocks(param.value.numel(),
               [&](int64_t first, int64_t n) { update_kernels().add(sum + first, g + first, scale, n); });
  }
  clear_gradients();
}

void Optimizer::average_gradients(int64_t pictures) {
  const torch::NoGradGuard no_grad;
  if (accumulated_ == 0) return;
  const auto scale = static_cast<float>(pictures);
  const float inverse = 1.0f / static_cast<float>(accumulated_ + pictures);
  for (OptimizerParam& param : params_) {
    if (!param.sum.defined()) continue;
    torch::Tensor gradient = aligned_gradient(param);
    if (!gradient.defined()) gradient = torch::zeros_like(param.value.detach());  // only the earlier batches had one
    param.value.mutable_grad() = gradient;
    if (!ours(param.value)) {
      gradient.mul_(scale).add_(param.sum).mul_(inverse);
      continue;
    }
    float* g = data_of(gradient);
    const float* sum = data_of(param.sum);
    for_blocks(param.value.numel(),
               [&](int64_t first, int64_t n) { update_kernels().mean(g + first, sum + first, scale, inverse, n); });
  }
}

// Of the update that steps_ counts.
UpdateRates Optimizer::rates_of(const OptimizerParam& param, double lr, double gradient_scale) const {
  const auto t = static_cast<double>(steps_);
  const OptimizerOptions& o = options_;
  UpdateRates rates{.gradient_scale = static_cast<float>(gradient_scale), .rate = static_cast<float>(lr)};
  if (o.kind == OptimizerKind::adam) {
    rates.rate = static_cast<float>(lr / (1.0 - std::pow(o.beta1, t)));
    rates.beta1 = static_cast<float>(o.beta1);
    rates.beta2 = static_cast<float>(o.beta2);
    rates.epsilon = static_cast<float>(o.epsilon);
    rates.square_scale = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(o.beta2, t)));
    rates.keep = static_cast<float>(1.0 - lr * param.weight_decay);
  } else {
    rates.momentum = static_cast<float>(o.momentum);
    rates.decay = static_cast<float>(param.weight_decay);
  }
  rates.average_rate = static_cast<float>(1.0 - o.ema_decay * (1.0 - std::exp(-t / o.ema_warmup)));
  return rates;
}

void Optimizer::step(double lr, double gradient_scale) {
  const torch::NoGradGuard no_grad;
  ++steps_;
  accumulated_ = 0;
  for (OptimizerParam& param : params_) {
    const torch::Tensor gradient = aligned_gradient(param);
    const UpdateRates rates = rates_of(param, lr, gradient_scale);
    if (ours(param.value)) {
      update_with_kernels(param, gradient, options_, rates);
    } else {
      update_with_operators(param, gradient, options_, rates);
    }
  }
}

void Optimizer::clear_gradients() {
  for (OptimizerParam& param : params_) param.value.mutable_grad() = torch::Tensor();
}

void Optimizer::resume_at(int64_t steps, int64_t accumulated) {
  steps_ = steps;
  accumulated_ = accumulated;
  if (accumulated > 0) begin_sums();
}

}  // namespace yolov3
