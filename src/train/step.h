// One batch through the network, the notes' train_step: forward, loss, backward, finite check, update.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "data/batch.h"
#include "data/dataset.h"
#include "engine/torch_network.h"
#include "train/engine_network.h"
#include "train/optimizer.h"
#include "train/options.h"

namespace yolov3 {

struct StepLosses {
  double giou = 0, conf = 0, prob = 0;
};

class Stepper {
 public:
  // engine: what runs the network, or null for the network's own LibTorch operators. `dataset` names the pictures in
  // messages. All must outlive the stepper.
  Stepper(TorchNetwork& network, EngineNetwork* engine, Optimizer& optimizer, const Dataset& dataset,
          const TrainOptions& options);

  // update: the batch completes an update, made with its gradients and those of the batches before it; otherwise its
  // gradients wait for the next batch.
  // Errors: a loss or gradient that is not finite, and others from below. Nothing was touched then, running statistics and the gradients that
  // wait included, and the message names picture, head and cell, or the layer.
  StepLosses step(const Batch& batch, double lr, bool update = true);

 private:
  StepLosses run(const Batch& batch, double lr, bool update, const std::vector<torch::Tensor>& statistics);
  double finish_gradients(int64_t pictures, bool update);
  std::string blame(const Batch& batch, const std::vector<torch::Tensor>& raw_maps, bool loss_is_finite);
  const std::vector<Head>& heads_of(const Batch& batch);
  std::string picture(const Batch& batch, int64_t index) const;

  TorchNetwork& network_;
  EngineNetwork* engine_;
  Optimizer& optimizer_;
  const Dataset& dataset_;
  const TrainOptions& options_;
  std::map<std::pair<int64_t, int64_t>, std::vector<Head>> heads_of_size_;
};

// The objects that training answers for: crowd regions are not.
std::vector<std::vector<Annotation>> training_objects(std::vector<std::vector<Annotation>> objects_net);

}  // namespace yolov3
