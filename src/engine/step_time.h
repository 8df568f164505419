// What one step of an engine's run cost: for `yolov3 bench`, and for planners.
#pragma once

#include <string>
#include <vector>

namespace yolov3 {

struct StepTime {
  int layer = -1;         // Darknet's index of the layer whose map the step makes; -1 = the network's input or output
  std::string kind;       // "convolution", "activation + shortcut", "concatenation", "input", ...
  std::string algorithm;  // of a convolution: "direct", "winograd"; else empty
  std::string type;       // numbers it computes with: "f32", "bf16", "int8"
  std::string detail;     // the library's own name of what it runs, e.g. "jit_wino_4x3:avx512_core"; may be empty
  double ms = 0;
  double gflop = 0;  // multiply-adds of the direct algorithm, counted twice; 0 for what is no convolution
};

}  // namespace yolov3
