// The inside of a DnnlProgram, for dnnl_program.cc, which runs it, and dnnl_builder.cc, which makes it.
#pragma once

#include <unordered_map>

#include "engine/dnnl_program.h"

namespace yolov3 {

// Where a map lies: channels [first_channel, ...) of a buffer that holds `whole`.
struct DnnlProgram::Map {
  MapFormat format;
  LayerShape shape;
  int buffer = -1;
  int64_t first_channel = 0;
  LayerShape whole;
};

struct DnnlProgram::Conv {
  ConvSolution solution;
  dnnl::convolution_forward primitive;
  std::shared_ptr<const PackedConv> weights;
  dnnl::memory source, target, residual, scratch;
  std::unordered_map<int, dnnl::memory> arguments;
};

struct DnnlProgram::Step {
  enum class Kind { convolution, compute, copy, upsample, max_pool, average, scale, planes };
  Kind kind;
  int layer = 0;                                   // whose map it works on
  std::vector<std::pair<int, int>> finishes;       // layers, with their maps, that are whole after it
  int in = -1, second = -1, out = -1;              // maps; second: an addend, or the map that factors scale
  int conv = -1;                                   // index of the convolution
  RowMath math;                                    // compute, scale
  int64_t in_first = 0, count = 0, out_first = 0;  // copy: channels
  StepTime info;
};

}  // namespace yolov3
