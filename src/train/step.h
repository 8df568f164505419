// One update of the network, the notes' train_step: forward, loss, backward, finite check, Adam.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "data/batch.h"
#include "data/dataset.h"
#include "engine/torch_network.h"
#include "train/adam.h"
#include "train/options.h"

namespace yolov3 {

struct StepLosses {
  double giou = 0, conf = 0, prob = 0;
};

class Stepper {
 public:
  // `dataset` names the pictures in messages; all must outlive the stepper.
  Stepper(TorchNetwork& network, Adam& adam, const Dataset& dataset, const TrainOptions& options);

  // Errors: a loss or gradient that is not finite. Nothing was touched then, running statistics included, and the
  // message names picture, head and cell, or the layer.
  StepLosses step(const Batch& batch, double lr);

 private:
  std::string blame(const Batch& batch, const std::vector<torch::Tensor>& raw_maps, bool loss_is_finite);
  const std::vector<Head>& heads_of(const Batch& batch);
  std::string picture(const Batch& batch, int64_t index) const;

  TorchNetwork& network_;
  Adam& adam_;
  const Dataset& dataset_;
  const TrainOptions& options_;
  std::map<std::pair<int64_t, int64_t>, std::vector<Head>> heads_of_size_;
};

// The objects that training answers for: crowd regions are not.
std::vector<std::vector<Annotation>> training_objects(std::vector<std::vector<Annotation>> objects_net);

}  // namespace yolov3
