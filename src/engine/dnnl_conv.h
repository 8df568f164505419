// Finds the oneDNN primitive for one convolution: the choice of a plan, with as much of what follows it (activation,
// residual sum, conversion) inside the primitive as oneDNN takes; the rest is left to a pass (engine/map_passes.h).
// A reference ("ref") implementation of oneDNN is never taken.
#pragma once

#include <dnnl.hpp>

#include <optional>

#include "engine/dnnl_model.h"
#include "engine/map_view.h"
#include "engine/plan.h"

namespace yolov3 {

struct ConvTask {
  int layer = 0;
  Conv conv;
  LayerShape in, out;
  int64_t images = 1;
  MapFormat source, target;             // of the maps before and after
  const MapFormat* residual = nullptr;  // added after the activation; null: nothing is
  bool may_overwrite_residual = false;  // its map is read for the last time and may become the result's
};

struct ConvSolution {
  enum class Residual { none, sum_in_place, operand, pass };
  dnnl::convolution_forward::primitive_desc primitive;
  ConvChoice choice;         // what it is: the wanted one, or f32 where the wanted type has no primitive
  MapFormat source, target;  // what the primitive takes and gives
  bool activation_inside = true;
  Residual residual = Residual::none;
  bool needs_pass(const ConvTask& task) const {
    return !activation_inside || residual == Residual::pass || target != task.target;
  }
};

// What differs from the wanted choice is for the caller to tell the user (DnnlProgram::substitutes).
// Errors: a convolution for which oneDNN has nothing, naming the layer.
ConvSolution solve_conv(DnnlModel& model, const ConvTask& task, const ConvChoice& choice, const Plan& plan);

dnnl::memory::data_type data_type(NumberType type);
// Kernel dimensions as oneDNN counts them: O,I,H,W, or with groups G,O/G,I/G,H,W.
dnnl::memory::dims kernel_dims(const Conv& conv, int64_t in_channels);
dnnl::memory::desc describe_map(const MapFormat& format, int64_t images, const LayerShape& shape);

}  // namespace yolov3
