// The layers of a network as ONNX nodes, layer kind by layer kind (net/spec.h).
#pragma once

#include <string>
#include <vector>

#include "format/onnx_graph.h"
#include "net/spec.h"
#include "net/weights.h"

namespace yolov3 {

// Appends all layers, which read `images`, and gives the name of each layer's map. Sizes of maps are nowhere written
// down, so that the graph runs at any that the network can take.
std::vector<std::string> write_onnx_layers(OnnxGraph& graph, const std::string& images, const NetworkSpec& spec,
                                           const Weights& weights);

}  // namespace yolov3
