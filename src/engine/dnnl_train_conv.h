// Finds the oneDNN primitives of one convolution in training: forward, gradient of the input ("data") and gradient of
// kernel and bias ("weights"). Each takes the maps as they lie where oneDNN has fast code for that, else in a form of its
// own that the program converts to. A reference ("ref") implementation of oneDNN is never taken.
#pragma once

#include <dnnl.hpp>

#include <optional>
#include <string>
#include <vector>

#include "engine/kernel_packing.h"
#include "engine/map_view.h"
#include "engine/training_plan.h"
#include "net/spec.h"

namespace yolov3 {

// So many bytes around a kernel's gradient belong to nobody, should oneDNN write before it all the same
// (amx_kernel_gradient_is_wrong).
constexpr int64_t kKernelMargin = 1 << 15;

struct TrainConvTask {
  int layer = 0;
  Conv conv;
  LayerShape in, out;
  int64_t images = 1;
  MapFormat source, target;          // of the maps before and after
  MapFormat gradient;                // of both maps' gradients
  ConvPasses passes;                 // the algorithms that are wanted
  bool data = true, weights = true;  // whether these gradients are wanted
};

struct TrainConvSolution {
  dnnl::convolution_forward::primitive_desc forward;
  dnnl::convolution_backward_data::primitive_desc data;        // empty when it is not wanted
  dnnl::convolution_backward_weights::primitive_desc weights;  // likewise
  std::vector<std::string> substitutes;                        // passes done otherwise than wanted, a line each
};

// Errors: a convolution for which oneDNN has nothing, naming the layer and --engine torch.
TrainConvSolution solve_train_conv(const dnnl::engine& engine, const TrainConvTask& task);

// A kernel whose numbers lie O,H,W,I, as LibTorch's channels_last has them.
dnnl::memory::desc ohwi_kernel(const Conv& conv, int64_t in_channels);

// The same form, where a pass of ours knows it; nothing for groups, for forms with padding and for others.
std::optional<KernelForm> kernel_form(const dnnl::memory::desc& form);

bool is_winograd(const dnnl::primitive_desc_base& primitive);
std::string implementation_name(const dnnl::primitive_desc_base& primitive);  // oneDNN's own

}  // namespace yolov3
