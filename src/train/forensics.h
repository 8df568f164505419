// Who is to blame when a loss or a gradient is not a finite number: picture, box, head, cell and layer.
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "data/batch.h"
#include "data/dataset.h"
#include "detect/assign.h"
#include "engine/torch_network.h"
#include "net/spec.h"

namespace yolov3 {

// A step that was not taken because its loss or gradient is not finite. Nothing was touched. The message has the losses
// and who is to blame.
class NonFinite : public Error {
 public:
  using Error::Error;
};

// The first layer whose map is not finite, -1 when all are; and the largest number, by magnitude, of the maps before it,
// or of all maps.
struct BadLayer {
  int layer = -1;
  double largest = 0;
  int largest_layer = -1;
};

// Looks at one map after the other, in the layers' order.
class LayerSearch {
 public:
  void look(int layer, const torch::Tensor& map);
  const BadLayer& found() const { return found_; }

 private:
  BadLayer found_;
};

// In LibTorch's forward pass. training: by the batch's statistics; the running ones are as before afterwards.
BadLayer find_bad_layer(TorchNetwork& network, const torch::Tensor& images, bool training);

// "the first map that is not finite is layer 57's (convolutional, 512 filters of 3x3); the largest number before it is
// 2.1e+30, in layer 56", with parameters of that layer that are not finite; "all maps are finite, ..." otherwise.
std::string describe(const BadLayer& bad, const NetworkSpec& spec, const Weights& weights);

// What a step was made of, as train/step.cc has it.
struct StepEvidence {
  const Batch& batch;
  const std::vector<Head>& heads;
  const std::vector<std::vector<Annotation>>& objects;
  const Targets& targets;
  const std::vector<torch::Tensor>& raw_maps;
  bool loss_is_finite = false;  // then the parameters' .grad() is there
  const Dataset& dataset;
};

// Batch norm spreads one picture's NaN over the batch, so each picture is run alone, by the running statistics, to find the
// one that is to blame. The network is as before the step.
std::string find_blame(TorchNetwork& network, const StepEvidence& evidence);

}  // namespace yolov3
