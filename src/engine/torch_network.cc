#include "engine/torch_network.h"

#include <algorithm>
#include <type_traits>

#include "base/error.h"
#include "base/usage.h"
#include "engine/lowering.h"
#include "engine/training_plan.h"
#include "net/leaky.h"

namespace yolov3 {
namespace {

torch::MemoryFormat format_of(const torch::Tensor& tensor) {
  return tensor.dim() == 4 ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::Contiguous;
}

torch::Tensor activate(torch::Tensor x, Activation activation) {
  switch (activation) {
    case Activation::linear: return x;
    case Activation::leaky: return torch::leaky_relu_(x, kLeakySlope);
    case Activation::relu: return torch::relu_(x);
    case Activation::logistic: return torch::sigmoid(x);
    case Activation::mish:  // LibTorch 1.13 has none for bf16 on a CPU
      return x.scalar_type() == torch::kBFloat16 ? torch::mish(x.to(torch::kFloat32)).to(torch::kBFloat16)
                                                 : torch::mish(x);
    case Activation::swish: return torch::silu(x);
  }
  fail("unknown activation {}", static_cast<int>(activation));
}

// Sum of the channels that both have, the rest of the first unchanged (Darknet's rule).
torch::Tensor add_shortcut(const torch::Tensor& x, const torch::Tensor& from) {
  if (x.size(1) == from.size(1)) return x + from;  // no narrow(): its gradient would be a copy of the whole map
  const int64_t common = std::min(x.size(1), from.size(1));
  if (common == x.size(1)) return x + from.narrow(1, 0, common);
  return torch::cat({x.narrow(1, 0, common) + from, x.narrow(1, common, x.size(1) - common)}, 1);
}

torch::Tensor concatenate(std::vector<torch::Tensor> inputs, const Route& route) {
  for (torch::Tensor& input : inputs) {
    if (route.groups > 1) {
      const int64_t part = input.size(1) / route.groups;
      input = input.narrow(1, part * route.group_id, part);
    }
  }
  return inputs.size() == 1 ? inputs[0] : torch::cat(inputs, 1);
}

torch::Tensor max_pool(const torch::Tensor& x, const MaxPool& pool) {
  const int64_t before = pool.padding / 2, after = pool.padding - before;
  const torch::Tensor padded = pool.padding == 0 ? x
                                                 : torch::constant_pad_nd(x, {before, after, before, after},
                                                                          -std::numeric_limits<float>::infinity());
  return torch::max_pool2d(padded, pool.size, pool.stride);
}

// LibTorch calls oneDNN, whose kernel gradients can be wrong (training_plan.h).
bool is_wrong_in_bf16(const torch::Tensor& x, const Conv& conv) {
  const int64_t out_width = (x.size(3) + 2 * conv.padding - conv.size) / conv.stride + 1;
  return x.is_cpu() && x.scalar_type() == torch::kBFloat16 && torch::GradMode::is_enabled() &&
         amx_kernel_gradient_is_wrong(out_width);
}

// The pixels that a strided 1x1 convolution reads. oneDNN 2.6.3's kernel gradient of one writes beyond its memory, so it is
// a plain one of these.
torch::Tensor strided_pixels(const torch::Tensor& x, const Conv& conv) {
  const int64_t pad = conv.padding;
  const torch::Tensor padded = pad > 0 ? torch::constant_pad_nd(x, {pad, pad, pad, pad}) : x;
  return padded.slice(2, 0, padded.size(2), conv.stride).slice(3, 0, padded.size(3), conv.stride);
}

Conv unstrided(Conv conv) {
  conv.stride = 1;
  conv.padding = 0;
  return conv;
}

// LibTorch hands single small maps in float32 to its own loops over BLAS, which here is Debian's slow reference BLAS
// (128x128 pictures: 1.2 s instead of 0.04 s); oneDNN is asked for by name instead.
torch::Tensor convolution(const torch::Tensor& x, const torch::Tensor& kernel, const torch::Tensor& bias,
                          const Conv& conv) {
  if (is_wrong_in_bf16(x, conv)) {
    const torch::Tensor bias_f32 = bias.defined() ? bias.to(torch::kFloat32) : bias;
    return convolution(x.to(torch::kFloat32), kernel.to(torch::kFloat32), bias_f32, conv).to(torch::kBFloat16);
  }
  if (x.is_cpu() && conv.size == 1 && conv.stride > 1) {
    return convolution(strided_pixels(x, conv), kernel, bias, unstrided(conv));
  }
  if (x.is_cpu() && x.scalar_type() == torch::kFloat32 && at::hasMKLDNN()) {
    return at::mkldnn_convolution(x.contiguous(torch::MemoryFormat::ChannelsLast), kernel, bias,
                                  {conv.padding, conv.padding}, {conv.stride, conv.stride}, {1, 1}, conv.groups);
  }
  return torch::conv2d(x, kernel, bias, conv.stride, conv.padding, 1, conv.groups);
}

}  // namespace

torch::Device parse_device(const std::string& text) {
  if (text == "cpu") return torch::kCPU;
  check_usage(text == "cuda" || (text.starts_with("cuda:") && text.size() > 5 &&
                                 text.find_first_not_of("0123456789", 5) == std::string::npos && text.size() < 9),
              "--device {}: expected cpu, cuda or cuda:N", text);
  check_usage(torch::cuda::is_available(), "--device {}: this LibTorch ({}) has no usable CUDA; use --device cpu", text,
              TORCH_VERSION);
  const torch::Device device(text);
  check_usage(!device.has_index() || static_cast<size_t>(device.index()) < torch::cuda::device_count(),
              "--device {}: there are only {} CUDA devices here", text, torch::cuda::device_count());
  return device;
}

torch::Tensor torch_from_tensor(const Tensor& tensor) {
  return torch::from_blob(const_cast<float*>(tensor.data()), tensor.shape(), torch::kFloat32).clone();
}

Tensor tensor_from_torch(const torch::Tensor& tensor) {
  const torch::Tensor source = tensor.detach().to(torch::kCPU, torch::kFloat32).contiguous();
  Tensor copy(source.sizes().vec());
  std::copy_n(source.data_ptr<float>(), copy.size(), copy.data());
  return copy;
}

TorchNetwork::TorchNetwork(const NetworkSpec& spec, const Weights& weights, torch::Device device, bool bf16,
                           double bn_momentum, int frozen_layers)
    : spec_(spec),
      slots_(param_slots(spec)),
      first_slot_(spec.layers.size(), -1),
      needed_(lower(spec).needed),
      last_use_(spec.layers.size(), 0),
      device_(device),
      compute_type_(bf16 ? torch::kBFloat16 : torch::kFloat32),
      bn_momentum_(bn_momentum),
      frozen_layers_(frozen_layers) {
  for (size_t i = slots_.size(); i-- > 0;) first_slot_[static_cast<size_t>(slots_[i].layer)] = static_cast<int>(i);
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    for (const int input : spec.layers[i].inputs) {
      if (input != kNetworkInput && needed_[i]) last_use_[static_cast<size_t>(input)] = i;
    }
  }
  for (const Head& head : heads(spec)) head_layers_.push_back(head.layer);
  set_weights(weights);
}

void TorchNetwork::set_weights(const Weights& weights) {
  check_weights(spec_, weights);
  const torch::NoGradGuard no_grad;
  const bool first_time = params_.empty();
  for (size_t i = 0; i < slots_.size(); ++i) {
    const torch::Tensor value = torch_from_tensor(weights.tensors[i]);
    if (first_time) {
      const bool trained = slots_[i].trainable && !is_frozen(slots_[i]);
      params_.push_back(value.contiguous(format_of(value)).to(device_).set_requires_grad(trained));
    } else {
      params_[i].copy_(value);
    }
  }
}

void TorchNetwork::compute_in_double() {
  compute_type_ = torch::kFloat64;
  for (size_t i = 0; i < params_.size(); ++i) {
    params_[i] = params_[i].detach().to(torch::kFloat64).set_requires_grad(slots_[i].trainable);
  }
}

Weights TorchNetwork::weights() const {
  Weights copy;
  for (const torch::Tensor& param : params_) copy.tensors.push_back(tensor_from_torch(param));
  return copy;
}

std::vector<torch::Tensor> TorchNetwork::statistics() const {
  std::vector<torch::Tensor> copies;
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].trainable) copies.push_back(params_[i].clone());
  }
  return copies;
}

void TorchNetwork::restore_statistics(const std::vector<torch::Tensor>& statistics) {
  size_t next = 0;
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].trainable) params_[i].copy_(statistics.at(next++));
  }
}

bool TorchNetwork::statistics_are_finite() const {
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].trainable && !params_[i].isfinite().all().item<bool>()) return false;
  }
  return true;
}

torch::Tensor TorchNetwork::convolve(const Conv& conv, size_t index, torch::Tensor x, bool training) {
  // Slots of a layer: bias (beta), [gamma, running mean, running variance,] kernel.
  const auto slot = static_cast<size_t>(first_slot_[index]);
  const torch::Tensor kernel = params_[slot + (conv.batch_normalize ? 4 : 1)].to(compute_type_);
  const torch::Tensor bias = conv.batch_normalize ? torch::Tensor() : params_[slot].to(compute_type_);
  x = convolution(x, kernel, bias, conv);
  if (conv.batch_normalize) {
    // One number a channel has no unbiased variance: the running statistics stand still.
    const bool still = training && x.size(0) * x.size(2) * x.size(3) == 1;
    const torch::Tensor mean = still ? torch::Tensor() : params_[slot + 2];
    const torch::Tensor variance = still ? torch::Tensor() : params_[slot + 3];
    x = torch::batch_norm(x, params_[slot + 1], params_[slot], mean, variance, training, bn_momentum_, spec_.bn_epsilon,
                          false);
  }
  return activate(std::move(x), conv.activation);
}

torch::Tensor TorchNetwork::run_layer(size_t index, const std::vector<torch::Tensor>& outputs,
                                      const torch::Tensor& images, bool training) {
  const Layer& layer = spec_.layers[index];
  std::vector<torch::Tensor> in;
  for (const int input : layer.inputs) {
    in.push_back(input == kNetworkInput ? images : outputs[static_cast<size_t>(input)]);
  }
  return std::visit(
      [&](const auto& op) -> torch::Tensor {
        using Op = std::decay_t<decltype(op)>;
        if constexpr (std::is_same_v<Op, Conv>) {
          return convolve(op, index, in[0], training);
        } else if constexpr (std::is_same_v<Op, Shortcut>) {
          return activate(add_shortcut(in[0], in[1]), op.activation);
        } else if constexpr (std::is_same_v<Op, Route>) {
          return concatenate(std::move(in), op);
        } else if constexpr (std::is_same_v<Op, Upsample>) {
          return torch::upsample_nearest2d(in[0], {in[0].size(2) * op.stride, in[0].size(3) * op.stride});
        } else if constexpr (std::is_same_v<Op, MaxPool>) {
          return max_pool(in[0], op);
        } else if constexpr (std::is_same_v<Op, AvgPool>) {
          return torch::adaptive_avg_pool2d(in[0], {1, 1});
        } else if constexpr (std::is_same_v<Op, Dropout>) {
          return torch::dropout(in[0], op.probability, training);
        } else if constexpr (std::is_same_v<Op, ScaleChannels>) {
          return activate(in[1] * in[0], op.activation);
        } else {
          static_assert(std::is_same_v<Op, Yolo>);
          return compute_type_ == torch::kFloat64 ? in[0] : in[0].to(torch::kFloat32);  // logits leave unrounded
        }
      },
      layer.op);
}

std::vector<torch::Tensor> TorchNetwork::forward(const torch::Tensor& images, bool training, const Observe& observe) {
  const int64_t stride = max_stride(spec_);
  check(images.dim() == 4 && images.size(0) > 0 && images.size(1) == spec_.input.channels && images.size(2) > 0 &&
            images.size(3) > 0 && images.size(2) % stride == 0 && images.size(3) % stride == 0,
        "the network takes images N,{},H,W with H and W multiples of {}, not {}", spec_.input.channels, stride,
        to_string(images.sizes().vec()));
  const torch::Tensor input = images.to(device_, compute_type_).contiguous(torch::MemoryFormat::ChannelsLast);
  std::vector<torch::Tensor> outputs(spec_.layers.size());
  for (size_t i = 0; i < spec_.layers.size(); ++i) {
    if (!needed_[i]) continue;
    outputs[i] = run_layer(i, outputs, input, training && static_cast<int>(i) >= frozen_layers_);
    if (observe) observe(static_cast<int>(i), outputs[i]);
    // A map that nobody reads any more goes at once; autograd keeps what the backward pass needs.
    for (const int read : spec_.layers[i].inputs) {
      if (read != kNetworkInput && last_use_[static_cast<size_t>(read)] == i)
        outputs[static_cast<size_t>(read)].reset();
    }
  }
  std::vector<torch::Tensor> maps;
  for (const int layer : head_layers_) maps.push_back(outputs[static_cast<size_t>(layer)]);
  return maps;
}

}  // namespace yolov3
