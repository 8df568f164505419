// The network as LibTorch sees it: parameters as tensors, the layers of the spec run by torch's operators, gradients by
// its autograd. Used for training and, through torch_engine, for inference on any device that LibTorch has.
//
// Layout: everything of four dimensions is channels_last, parameters included, which is what the CPU kernels like best.
// Precision: bf16 means that convolutions and activations are bfloat16; master parameters, batch-norm statistics and
// the raw maps that come out are float32.
// Threads: one at a time; LibTorch spreads each operator over its own threads.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <string>
#include <vector>

#include "net/spec.h"
#include "net/weights.h"

namespace yolov3 {

// "cpu", "cuda", "cuda:N". Errors: unknown, or not there in this build or machine, in one line.
torch::Device parse_device(const std::string& text);

class TorchNetwork {
 public:
  TorchNetwork(const NetworkSpec& spec, const Weights& weights, torch::Device device, bool bf16,
               double bn_momentum = 0.1, int frozen_layers = 0);

  // The first `frozen_layers` layers are not trained: their parameters require no gradient, autograd skips their
  // backward pass, and in training they run as in use, by running statistics, which stay as they are.
  bool is_frozen(const ParamSlot& slot) const { return slot.layer < frozen_layers_; }
  int frozen_layers() const { return frozen_layers_; }

  // images: N,3,H,W in [0,1] on the device, any memory format. One float32 raw map a head, small objects first.
  // training: batch norm uses the batch's statistics and updates the running ones; parameters record gradients when
  // grad mode is on. Layers that no head needs are not run (engine/lowering.h): nothing of them is trained, running
  // statistics included.
  // observe: sees the map of every layer that a head needs.
  using Observe = std::function<void(int layer, const torch::Tensor& map)>;
  std::vector<torch::Tensor> forward(const torch::Tensor& images, bool training, const Observe& observe = nullptr);

  // From now on everything is float64, parameters and raw maps too: the truth that other engines' gradients are held to.
  void compute_in_double();

  // In the order of param_slots(spec); running statistics included. float32 leaves; those that are trained require
  // gradients.
  std::vector<torch::Tensor>& params() { return params_; }
  const std::vector<ParamSlot>& slots() const { return slots_; }
  const NetworkSpec& spec() const { return spec_; }
  torch::Device device() const { return device_; }

  Weights weights() const;  // a copy on the CPU
  void set_weights(const Weights& weights);

  // Copies of the running statistics, to undo the update of a forward pass whose step is not taken.
  std::vector<torch::Tensor> statistics() const;
  void restore_statistics(const std::vector<torch::Tensor>& statistics);
  bool statistics_are_finite() const;

 private:
  torch::Tensor run_layer(size_t index, const std::vector<torch::Tensor>& outputs, const torch::Tensor& images,
                          bool training);
  torch::Tensor convolve(const Conv& conv, size_t index, torch::Tensor x, bool training);

  NetworkSpec spec_;
  std::vector<ParamSlot> slots_;
  std::vector<torch::Tensor> params_;
  std::vector<int> first_slot_;   // of each layer, -1 without parameters
  std::vector<bool> needed_;      // layers that some head needs
  std::vector<size_t> last_use_;  // index of the last of them that reads each layer's output
  std::vector<int> head_layers_;  // Yolo layers, small objects first
  torch::Device device_;
  torch::ScalarType compute_type_;
  double bn_momentum_;
  int frozen_layers_;
};

// Copies between our tensors and torch's; OIHW or (N,C,H,W) either way.
torch::Tensor torch_from_tensor(const Tensor& tensor);  // shares nothing
Tensor tensor_from_torch(const torch::Tensor& tensor);  // any device, type and strides -> float32 contiguous

}  // namespace yolov3
