// The training engine (engine/training_engine.h) as LibTorch's autograd sees it: raw maps that carry gradients, whose
// backward pass writes the .grad of a TorchNetwork's parameters. The parameters stay the TorchNetwork's.
// Threads: one at a time; OpenMP inside.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "engine/torch_network.h"
#include "engine/training_engine.h"
#include "train/options.h"

namespace yolov3 {

class EngineNetwork {
 public:
  // network: on the CPU, and outlives this. Errors: TrainingEngine's.
  EngineNetwork(TorchNetwork& network, TrainingOptions options);

  // As TorchNetwork::forward() in training; dropout draws from LibTorch's generator. images: N,3,H,W float32.
  // The maps are valid until the next call.
  std::vector<torch::Tensor> forward(const torch::Tensor& images);

  void parameters_changed() { engine_.parameters_changed(); }  // to be told after each update
  const TrainingEngine& engine() const { return engine_; }

  // One forward and one backward pass, each step timed by itself (TrainingEngine::profile).
  std::vector<StepTime> profile(const torch::Tensor& images);

 private:
  struct Function;
  void backward(const std::vector<torch::Tensor>& map_gradients);
  std::vector<float*> gradients();

  TorchNetwork& network_;
  TrainingEngine engine_;
  torch::Tensor anchor_;  // what autograd thinks the maps come from
};

// What --engine asks for: null when it is LibTorch's own operators. Errors: those of EngineNetwork, a plan that does not
// fit.
std::unique_ptr<EngineNetwork> make_engine_network(TorchNetwork& network, const TrainOptions& options);

}  // namespace yolov3
