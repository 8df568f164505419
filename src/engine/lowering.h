// From a network's layers to the maps that must really be stored: layers that only pass a map on share it, a shortcut
// joins the convolution before it, what no head needs is left out. And in which format each map lies, by what its
// readers compute with.
#pragma once

#include <climits>
#include <vector>

#include "engine/map_view.h"
#include "engine/plan.h"
#include "net/spec.h"

namespace yolov3 {

// Maps are named by the layer that makes them; kNetworkInput is the input.
struct Lowering {
  std::vector<bool> needed;               // by a head
  std::vector<int> map_of;                // of each layer: the map that holds its output
  std::vector<int> shortcut_of;           // of each convolution: the shortcut that it carries out, or -1
  std::vector<std::vector<int>> readers;  // of each map: the layers that compute from it, ascending
  std::vector<int> input_readers;         // of the network's input
};

// first_dropout: Dropout does something from this layer on: in training, behind the frozen layers.
// Errors: a network without heads.
constexpr int kNoDropout = INT_MAX;
Lowering lower(const NetworkSpec& spec, int first_dropout = kNoDropout);

// The map that input number `which` of a layer reads.
int input_map(const NetworkSpec& spec, const Lowering& lowering, int layer, size_t which);

struct MapFormats {
  std::vector<MapFormat> maps;  // of each layer's own map
  MapFormat input;
};

// Heads get f32; other maps lie as their first convolution wants it, else as what their reader makes of them.
MapFormats choose_formats(const NetworkSpec& spec, const Lowering& lowering, const Plan& plan,
                          const Quantization* quantization);

}  // namespace yolov3
