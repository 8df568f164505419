// From the magnitudes of a map to the scale it is quantised with: where to clip, so that 127 steps serve best.
//
// A threshold T means scale = T / 127: what is greater is clipped to T, what is smaller is rounded to a multiple of T/127.
// Source: percentile and entropy as in NVIDIA's "8-bit Inference with TensorRT" (Migacz, GTC 2017), the squared error as
// in ACIQ (arXiv 1810.05723), but of the histogram instead of a fitted distribution.
#pragma once

#include <string>
#include <vector>

#include "net/spec.h"
#include "quant/histogram.h"

namespace yolov3 {

enum class ScaleMethod {
  percentile,  // a given part of the values is not clipped
  mse,         // least expected squared error of rounding and clipping
  entropy,     // least Kullback-Leibler divergence between the map's distribution and its quantised one
};
std::string to_string(ScaleMethod method);
ScaleMethod parse_scale_method(const std::string& text);

struct ScaleOptions {
  ScaleMethod method = ScaleMethod::percentile;
  double percentile = 99.99;  // of the values; 100 = the greatest
};

// In (0, h.largest()]; 0 when the map holds nothing but zeros. Errors: nothing was added, a percentile out of (0,100].
double clipping_threshold(const Histogram& h, const ScaleOptions& options);

// Expected squared error of a value, taking values as spread evenly over their bin. threshold > 0.
double squared_error(const Histogram& h, double threshold);

// Nats, for clipping after `bins` bins (128 to kBins): the clipped values count as of the last bin, 128 levels of equal
// width share their count among the bins that are not empty. Infinite where nothing stands for what was clipped.
double divergence(const Histogram& h, int bins);

// One scale a layer, fit for share_scales() (net/quantization.h). A layer that was not observed (its histogram is empty)
// passes its input on, or joins its inputs and reaches as far as they do, or is fused into its reader, whose scale it gets.
// Errors: neither such a layer nor what it hangs on was observed.
std::vector<float> scales_of_maps(const NetworkSpec& spec, const std::vector<Histogram>& maps,
                                  const ScaleOptions& options);

}  // namespace yolov3
