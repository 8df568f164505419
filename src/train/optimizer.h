// The optimizer, and the finite check that comes before it: Adam (arXiv 1412.6980) with decoupled weight decay (AdamW,
// arXiv 1711.05101), or SGD with momentum, Nesterov's or not, and coupled (L2) weight decay as Darknet and
// torch::optim::SGD have it. On
// the side a running average of the parameters (EMA), and gradients of several batches averaged into one update.
//
// On the CPU each parameter is one fused, vectorised pass of our own (train/optimizer_kernels.h has the formulas), the
// average included; elsewhere, and in other types than float32, LibTorch's operators do the same sums.
// Whoever computes gradients leaves them in the parameters' .grad().
// Threads: OpenMP inside.
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

namespace yolov3 {

struct UpdateRates;

enum class OptimizerKind { adam, sgd };
OptimizerKind parse_optimizer(const std::string& word);  // "adam", "adamw" (the same), "sgd". Errors: another word
std::string to_string(OptimizerKind kind);

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::adam;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  // Adam
  double momentum = 0.9;                              // SGD
  bool nesterov = false;                              // SGD
  double ema_decay = 0;                               // of the running average; 0 = none is kept
  double ema_warmup = 2000;  // updates; the decay of update t is ema_decay * (1 - exp(-t / ema_warmup))
};

struct OptimizerParam {
  torch::Tensor value;      // a leaf whose .grad() is read; one that requires no gradient is only averaged (statistics)
  double weight_decay = 0;  // Adam: value -= lr * weight_decay * value; SGD: gradient += weight_decay * value
  size_t slot = 0;          // its place in param_slots()

  // Made by the optimizer, with the strides of `value`.
  torch::Tensor mean, square;  // Adam: first and second moment; SGD: mean is the velocity, there is no square
  torch::Tensor average;       // with ema_decay; begins as the value
  torch::Tensor sum;           // sum of pictures * gradient over the batches accumulated; zero when there are none
};

class Optimizer {
 public:
  Optimizer(std::vector<OptimizerParam> params, const OptimizerOptions& options = {});

  // Euclidean norm of all gradients; not finite when any of them is not. Touches nothing.
  double gradient_norm() const;

  // For an update from several batches, whose gradients are means over their pictures. accumulate() takes the gradients
  // of all batches but the last, and clears them. average_gradients() makes the last batch's gradients the mean over
  // the pictures of all; the sums stay as they are until step(), so that a step not taken touches nothing.
  void accumulate(int64_t pictures);
  void average_gradients(int64_t pictures);
  int64_t accumulated() const { return accumulated_; }  // pictures
  void forget_accumulated() { accumulated_ = 0; }

  // The update with gradients scaled by `gradient_scale` (clipping). A parameter without a gradient stays, and its
  // average follows it.
  void step(double lr, double gradient_scale = 1.0);
  void clear_gradients();

  std::vector<OptimizerParam>& params() { return params_; }
  const std::vector<OptimizerParam>& params() const { return params_; }
  const OptimizerOptions& options() const { return options_; }
  int64_t steps() const { return steps_; }

  // To go on where another one was: then its tensors are copied into params(). Sums there are only when accumulated.
  void resume_at(int64_t steps, int64_t accumulated);

 private:
  UpdateRates rates_of(const OptimizerParam& param, double lr, double gradient_scale) const;
  void begin_sums();

  std::vector<OptimizerParam> params_;
  OptimizerOptions options_;
  int64_t steps_ = 0, accumulated_ = 0;
};

}  // namespace yolov3
