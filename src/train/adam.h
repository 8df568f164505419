// Adam (arXiv 1412.6980) with decoupled weight decay, and the finite check that comes before it.
//
// On the CPU each parameter is one fused, vectorised pass of our own; elsewhere LibTorch's operators do the same sums.
// Threads: OpenMP inside.
#pragma once

#include <torch/torch.h>

#include <vector>

namespace yolov3 {

struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
};

struct AdamParam {
  torch::Tensor value;         // float32 leaf; its .grad() is read
  double weight_decay = 0;     // value -= lr * weight_decay * value
  torch::Tensor mean, square;  // first and second moment, strides of `value`
};

class Adam {
 public:
  Adam(std::vector<AdamParam> params, const AdamOptions& options = {});

  // Euclidean norm of all gradients; not finite when any of them is not. Touches nothing.
  double gradient_norm() const;

  // The update with gradients scaled by `gradient_scale` (clipping). A parameter without a gradient stays.
  void step(double lr, double gradient_scale = 1.0);
  void clear_gradients();

  std::vector<AdamParam>& params() { return params_; }
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  std::vector<AdamParam> params_;
  AdamOptions options_;
  int64_t steps_ = 0;
};

}  // namespace yolov3
