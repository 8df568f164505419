// What the dnnl engine does with each convolution of a network: number type, algorithm, and the layouts between them. A
// plan is a value: the same plan, weights and threads give the same bits, so it can be kept in a file and prescribed.
//
// Source of the rule: measurements, bench/README.md.
#pragma once

#include <string>
#include <vector>

#include "engine/map_view.h"
#include "net/quantization.h"
#include "net/spec.h"

namespace yolov3 {

enum class ConvAlgorithm { direct, winograd };

struct ConvChoice {
  NumberType type = NumberType::f32;  // f32, bf16 or s8
  ConvAlgorithm algorithm = ConvAlgorithm::direct;
  bool operator==(const ConvChoice&) const = default;
};
std::string to_string(const ConvChoice& choice);  // "f32-winograd"

struct Plan {
  Layout f32_layout = Layout::blocked16, bf16_layout = Layout::channels_last;  // s8 is always channels_last
  std::vector<ConvChoice> convolutions;                                        // in the network's order
  bool operator==(const Plan&) const = default;
};

// A plan without measuring: Winograd for f32 wherever it exists; `precision` is f32, bf16, int8 or auto. int8 leaves
// quantization's float layers in the best floating-point type, which is also what auto takes everywhere.
// Errors: a precision that this CPU cannot compute (saying which it can), int8 without scales.
Plan rule_plan(const NetworkSpec& spec, const std::string& precision, const Quantization* quantization);

// Whether Winograd's algorithm exists for it: 3x3, stride 1, one group, 16 channels or more, blocked f32 on AVX-512.
bool winograd_applies(const Conv& conv, int64_t in_channels);

bool cpu_computes_bf16();  // AVX512_BF16 or AMX

// A word a convolution and a head line, for files and people: "plan 1 f32=blocked16 bf16=channels_last: f32-winograd ...".
std::string write_plan(const Plan& plan);
// Errors: anything that write_plan does not write; a count of convolutions that is not the network's; int8 without
// scales; what this CPU cannot compute.
Plan parse_plan(const std::string& text, const NetworkSpec& spec, const Quantization* quantization = nullptr);

std::vector<int> conv_layers(const NetworkSpec& spec);  // indices of the convolutions, ascending

}  // namespace yolov3
