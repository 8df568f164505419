// What the training engine does with each convolution of a network: the type and layout of all maps, and the algorithm of
// each of a convolution's three passes. A value, as Plan is: the same training plan, weights, batches and threads give
// the same bits, so a run writes down the one that it uses and goes on with it when it is resumed.
#pragma once

#include <string>
#include <vector>

#include "engine/map_view.h"
#include "engine/plan.h"
#include "net/spec.h"

namespace yolov3 {

struct ConvPasses {
  ConvAlgorithm forward = ConvAlgorithm::direct;
  ConvAlgorithm data = ConvAlgorithm::direct;     // gradient of the input
  ConvAlgorithm weights = ConvAlgorithm::direct;  // gradient of the kernel
  bool operator==(const ConvPasses&) const = default;
};

struct TrainingPlan {
  NumberType type = NumberType::f32;  // f32 or bf16, of maps and their gradients; sums, statistics and kernels are f32
  Layout layout = Layout::blocked16;
  std::vector<ConvPasses> convolutions;  // in the network's order
  bool operator==(const TrainingPlan&) const = default;
};

// Whether oneDNN 2.6.3's AMX code for kernel gradients in bf16 must not be used: of 3x3 kernels with stride 1 over rows
// of more than 352 numbers it adds to what stood in memory before, that of others included. (Seen right: 1x1 up to 1024
// numbers, 5x5 at 416, stride 2 up to 416; they are kept off it too where their results are as wide, to be safe.)
bool amx_kernel_gradient_is_wrong(int64_t out_width);

// A plan without measuring: Winograd for f32 wherever it exists. precision: f32 or bf16.
// Errors: another precision, or one that this CPU cannot compute.
TrainingPlan rule_training_plan(const NetworkSpec& spec, const std::string& precision);

// "training-plan 1 f32 blocked16: ddd www ...", a word a convolution: forward, data, weights; d direct, w Winograd.
std::string write_training_plan(const TrainingPlan& plan);
// Errors: anything that write_training_plan does not write; another network's count of convolutions; what this CPU
// cannot compute.
TrainingPlan parse_training_plan(const std::string& text, const NetworkSpec& spec);

}  // namespace yolov3
