// The training engine (engine/training_engine.h) as LibTorch's autograd sees it: raw maps that carry gradients, whose
// backward pass writes the .grad of a TorchNetwork's parameters. The parameters stay the TorchNetwork's.
// Threads: one at a time; OpenMP inside.
#pragma once

#include <torch/torch.h>

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/torch_network.h"
#include "engine/training_engine.h"
#include "train/options.h"
#include "train/rank_gradients.h"

namespace yolov3 {

class EngineNetwork {
 public:
  // network: on the CPU, and outlives this. sums: of the gradients over ranks, told of each layer's, or null. Errors:
  // TrainingEngine's.
  EngineNetwork(TorchNetwork& network, TrainingOptions options, GradientSums* sums = nullptr);

  // As TorchNetwork::forward() in training; dropout draws from LibTorch's generator. images: N,3,H,W float32.
  // The maps are valid until the next call.
  std::vector<torch::Tensor> forward(const torch::Tensor& images);

  // Euclidean norm of the gradients of the last backward pass, of this rank alone; not finite when any of them is not.
  double gradient_norm() const { return std::sqrt(gradient_squares_); }

  void parameters_changed() { engine_.parameters_changed(); }  // to be told after each update
  const TrainingEngine& engine() const { return engine_; }

  // One forward and one backward pass, each step timed by itself (TrainingEngine::profile).
  std::vector<StepTime> profile(const torch::Tensor& images);

 private:
  struct Function;
  void backward(const std::vector<torch::Tensor>& map_gradients);
  std::vector<float*> gradients();

  TorchNetwork& network_;
  GradientSums* sums_;
  TrainingEngine engine_;
  torch::Tensor anchor_;  // what autograd thinks the maps come from
  double gradient_squares_ = 0;
};

// What a run trains by, as checkpoints have it: a plan, or "torch f32" and "torch bf16" where LibTorch's own operators
// train. Older checkpoints say "torch" alone.
std::string plan_text(const std::optional<TrainingPlan>& plan, bool bf16);
bool is_trained_by_torch(const std::string& text);

// Whether LibTorch's operators compute in bf16: as the run did that goes on (plan_text's text or nothing), else as
// use_bf16(). Errors: a --precision that contradicts it.
bool torch_in_bf16(const TrainOptions& options, const std::string& resumed);

// The plan that a run trains by; nothing when LibTorch's operators do. In this order: that of the checkpoint it goes on
// from (plan_text's; empty: none), --training-plan, else as choose_training_plan().
// Errors: a plan that does not fit the network or this CPU, options that contradict the checkpoint.
std::optional<TrainingPlan> choose_plan(const TrainOptions& options, const NetworkSpec& spec,
                                        const std::string& resumed = "");

// That this plan can train the batches of a run over so many pictures, the last and smaller one of an epoch too. Errors: a
// layer that oneDNN cannot do at --imgsz or at a size of --multi-scale; a batch that takes more memory than there is.
void check_training_plan(const TrainingPlan& plan, const NetworkSpec& spec, const TrainOptions& options,
                         int64_t pictures);

// Null without a plan. With options.sync_bn batch norm's sums are added up over the ranks of `sums` too.
std::unique_ptr<EngineNetwork> make_engine_network(TorchNetwork& network, const std::optional<TrainingPlan>& plan,
                                                   const TrainOptions& options, GradientSums* sums = nullptr);

}  // namespace yolov3
