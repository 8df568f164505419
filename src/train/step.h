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
#include "train/forensics.h"
#include "train/loss.h"
#include "train/optimizer.h"
#include "train/options.h"
#include "train/rank_gradients.h"

namespace yolov3 {

struct StepLosses {
  double giou = 0, conf = 0, prob = 0;
};

class Stepper {
 public:
  // engine: what runs the network, or null for the network's own LibTorch operators. `dataset` names the pictures in
  // messages. sums: of the ranks that share each batch, or null. All must outlive the stepper.
  Stepper(TorchNetwork& network, EngineNetwork* engine, Optimizer& optimizer, const Dataset& dataset,
          const TrainOptions& options, GradientSums* sums = nullptr);

  // update: the batch completes an update, made with its gradients and those of the batches before it; otherwise its
  // gradients wait for the next batch.
  // Errors: NonFinite (train/forensics.h), and others from below. Nothing was touched then, running statistics and the
  // gradients that wait included. On every rank the same step, the same losses, the same error.
  StepLosses step(const Batch& batch, double lr, bool update = true);

  // In place of a batch that would have completed an update and is left out: the update of the batches before it, if any
  // wait and their mean is finite. Whether there was one. None waits afterwards.
  bool finish_update(double lr);

 private:
  StepLosses run(const Batch& batch, double lr, bool update, const std::vector<torch::Tensor>& statistics);
  LossCounts counts_of(const Batch& batch, const Targets& targets, size_t heads) const;
  bool share_losses(StepLosses& losses, bool finite) const;
  void add_statistics(const Batch& batch) const;
  std::string all_reasons(const std::string& mine) const;
  double finish_gradients(int64_t pictures, bool update);
  void update_parameters(double lr, double norm);
  const std::vector<Head>& heads_of(const Batch& batch);

  TorchNetwork& network_;
  EngineNetwork* engine_;
  Optimizer& optimizer_;
  const Dataset& dataset_;
  const TrainOptions& options_;
  GradientSums* sums_;
  std::map<std::pair<int64_t, int64_t>, std::vector<Head>> heads_of_size_;
};

// The objects that training answers for: crowd regions are not.
std::vector<std::vector<Annotation>> training_objects(std::vector<std::vector<Annotation>> objects_net);

}  // namespace yolov3
