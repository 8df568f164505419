// Who is to blame when a loss or a gradient is not a finite number.
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "net/spec.h"
#include "net/weights.h"

namespace yolov3 {

// Where in the raw maps the first value stands that is not finite: image of the batch, head and cell; found = false
// when there is none.
struct BadCell {
  bool found = false;
  int64_t image = 0, head = 0, anchor = 0, channel = 0, gy = 0, gx = 0;
  double value = 0;
};
BadCell find_bad_cell(const std::vector<torch::Tensor>& raw_maps, const std::vector<Head>& heads);

// Where the largest logit stands, by magnitude: what to suspect when the maps are finite and the loss is not.
BadCell find_largest_cell(const std::vector<torch::Tensor>& raw_maps, const std::vector<Head>& heads);

// "head 2 (stride 32), cell (gy 3, gx 7), anchor 1, tw = nan".
std::string describe(const BadCell& cell, const std::vector<Head>& heads);

// Name of the first parameter, from the network's end (where gradients come from), whose gradient is not finite; or "".
std::string find_bad_gradient(const std::vector<torch::Tensor>& params, const std::vector<ParamSlot>& slots);

}  // namespace yolov3
