// A network described for people and for other programs: `yolov3 info`.
#pragma once

#include <string>

#include "net/spec.h"

namespace yolov3 {

// A line a layer, as Darknet prints them: index, kind, filters, size/stride, input -> output (channels x height x
// width), parameters (running statistics included), GFLOP (net/spec.h, layer_flops); then the totals and the heads.
std::string layer_table(const NetworkSpec& spec);

// The same as a JSON object: input, layers, parameters, gflop, heads.
std::string model_json(const NetworkSpec& spec);

}  // namespace yolov3
