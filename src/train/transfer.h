// Starting from weights that exist, also of a network with another head.
#pragma once

#include <string>
#include <vector>

#include "format/model_file.h"

namespace yolov3 {

struct TransferReport {
  int64_t loaded = 0, partial = 0, fresh = 0;  // parameters' tensors
  std::string table;                           // what was loaded, skipped and left fresh, for people
};

// Copies into `weights` (of `spec`, freshly initialised) every layer of `source` whose tensors all have the same
// shapes; a layer is taken whole or not at all, since statistics fit only the kernel that they were measured with.
// Of a head convolution with another class count the box and objectness rows are copied anchor by anchor, and the class
// rows of classes that both know by name (net/coco_names.h, same_class). Where the two networks' batch norms have other
// epsilons, gamma is rescaled.
TransferReport transfer_weights(const Model& source, const NetworkSpec& spec, const std::vector<std::string>& names,
                                Weights& weights);

}  // namespace yolov3
