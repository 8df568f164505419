// The convolution of the reference engine: a matrix product of the kernels with the windows of the image (im2col),
// taken 32 output pixels at a time so that no matrix of all windows is ever stored.
//
// Sums run over the kernel's elements in their order, in float, in blocks of 256 that are added up in turn: the error
// is that of a sum of 256 + K/256 terms instead of K. Products are not fused with sums: all processors give the same
// bits.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "net/spec.h"

namespace yolov3 {

// What is done with channel f's sums: activation((sum - mean) / deviation * gamma + beta), in double, rounded once.
struct ChannelMap {
  double mean = 0, deviation = 1, gamma = 1, beta = 0;
};

// image: in.channels,in.height,in.width; kernel: filters,in.channels/groups,size,size; result: out.
// `isa`: see convolution_isas(); empty = the best.
void convolve(const Conv& conv, const LayerShape& in, const LayerShape& out, const float* image, const float* kernel,
              std::span<const ChannelMap> channels, float* result, const std::string& isa = "");

// The vector paths that this processor can take, best first: "avx512", "avx2", "sse2".
std::vector<std::string> convolution_isas();

void activate(Activation activation, std::span<float> values);

}  // namespace yolov3
