#include "quant/scales.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "net/quantization.h"

namespace yolov3 {
namespace {

constexpr int kSteps = 127;                // of a magnitude, beside 0
constexpr int kLevels = 128;               // with 0
constexpr double kSameDivergence = 1e-12;  // of rounding
constexpr int kCoarse = 256, kFine = 32;   // thresholds tried: over the whole range, then around the best of them
// Of a map of zeros: any positive scale would do, a small one stays out of the way where maps share theirs.
constexpr float kSmallestScale = 1e-10f;

double percentile_threshold(const Histogram& h, double percentile) {
  check(percentile > 0 && percentile <= 100, "a percentile of {}: expected over 0 and at most 100", percentile);
  const double wanted = percentile / 100 * static_cast<double>(h.count());
  double below = 0;
  for (size_t i = 0; i < h.bins().size(); ++i) {
    const auto here = static_cast<double>(h.bins()[i]);
    if (here > 0 && below + here >= wanted) {
      const double part = (wanted - below) / here;
      return std::min(h.largest(), h.bin_width() * (static_cast<double>(i) + part));
    }
    below += here;
  }
  return h.largest();
}

// Integral over [0, x] of the squared distance to the nearest multiple of `step`, at most kSteps of them. Between the
// middles of two neighbours lies step^3 / 12.
double error_integral(double x, double step) {
  const double nearest = std::min<double>(std::round(x / step), kSteps), rest = x - nearest * step;
  return nearest * step * step * step / 12 + rest * rest * rest / 3;
}

double mse_threshold(const Histogram& h) {
  double best = h.largest(), least = squared_error(h, best);
  const auto look = [&](double threshold) {
    const double error = squared_error(h, threshold);
    if (error < least) best = threshold, least = error;
  };
  for (int i = 1; i < kCoarse; ++i) look(h.largest() * i / kCoarse);
  const double middle = best, apart = h.largest() / kCoarse;
  for (int i = -kFine + 1; i < kFine; ++i) {
    const double threshold = middle + apart * i / kFine;
    if (threshold > 0 && threshold <= h.largest()) look(threshold);
  }
  return best;
}

// Sums over the bins before i, so that a level's share is a difference.
class Sums {
 public:
  explicit Sums(const Histogram& h)
      : count(h.bins().size() + 1), filled(h.bins().size() + 1), entropy(h.bins().size() + 1) {
    for (size_t i = 0; i < h.bins().size(); ++i) {
      const auto n = static_cast<double>(h.bins()[i]);
      count[i + 1] = count[i] + n;
      filled[i + 1] = filled[i] + (n > 0 ? 1 : 0);
      entropy[i + 1] = entropy[i] + n_log_n(n);
    }
  }
  static double n_log_n(double n) { return n > 0 ? n * std::log(n) : 0; }

  std::vector<double> count, filled, entropy;  // of values, of bins that are not empty, of n * log(n)
};

// KL(P|Q) = sum P log P - sum P log Q: the first sum is known bin by bin, in the second Q is the same over a level.
double divergence_of(const Sums& sums, size_t bins) {
  const double all = sums.count.back(), kept = sums.count[bins], clipped = all - kept;
  const double last = sums.count[bins] - sums.count[bins - 1];
  if (clipped > 0 && last == 0) return std::numeric_limits<double>::infinity();
  const double p_log_p = (sums.entropy[bins - 1] + Sums::n_log_n(last + clipped)) / all - std::log(all);
  double p_log_q = 0;
  for (size_t level = 0; level < kLevels; ++level) {
    const size_t begin = (level * bins + kLevels - 1) / kLevels, end = ((level + 1) * bins + kLevels - 1) / kLevels;
    const double share = sums.count[end] - sums.count[begin], filled = sums.filled[end] - sums.filled[begin];
    if (share == 0) continue;
    const double p = share + (end == bins ? clipped : 0);
    p_log_q += p / all * std::log(share / (filled * kept));
  }
  return p_log_p - p_log_q;
}

double entropy_threshold(const Histogram& h) {
  const Sums sums(h);
  size_t best = h.bins().size();
  double least = std::numeric_limits<double>::infinity();
  for (size_t bins = kLevels; bins <= h.bins().size(); ++bins) {
    const double found = divergence_of(sums, bins);
    if (found <= least + kSameDivergence) best = bins, least = std::min(least, found);  // of equal ones the widest
    if (sums.count[bins] == sums.count.back()) break;  // all is kept: more bins are only wider levels
  }
  return std::min(h.largest(), h.bin_width() * static_cast<double>(best));
}

// A joined map holds its inputs' values: it must reach as far as the widest of them.
void scale_unseen_joins(const NetworkSpec& spec, std::vector<float>& scales) {
  for (size_t i = 0; i < scales.size(); ++i) {
    if (scales[i] > 0 || !std::holds_alternative<Route>(spec.layers[i].op)) continue;
    for (const int from : spec.layers[i].inputs) {
      if (from != kNetworkInput) scales[i] = std::max(scales[i], scales[static_cast<size_t>(from)]);
    }
  }
}

// Readers come later: from the last layer on, a fused layer finds its reader's scale already there.
void scale_fused_layers(const NetworkSpec& spec, std::vector<float>& scales) {
  const std::vector<float> known = scales;
  for (size_t i = scales.size(); i-- > 0;) {
    for (const int from : spec.layers[i].inputs) {
      if (from == kNetworkInput || known[static_cast<size_t>(from)] > 0) continue;
      scales[static_cast<size_t>(from)] = std::max(scales[static_cast<size_t>(from)], scales[i]);
    }
  }
}

}  // namespace

std::string to_string(ScaleMethod method) {
  switch (method) {
    case ScaleMethod::percentile: return "percentile";
    case ScaleMethod::mse: return "mse";
    case ScaleMethod::entropy: return "entropy";
  }
  return "";
}

ScaleMethod parse_scale_method(const std::string& text) {
  for (const ScaleMethod method : {ScaleMethod::percentile, ScaleMethod::mse, ScaleMethod::entropy}) {
    if (text == to_string(method)) return method;
  }
  fail("\"{}\" is no method to find scales: expected percentile, mse or entropy", text);
}

double squared_error(const Histogram& h, double threshold) {
  const double step = threshold / kSteps, width = h.bin_width();
  double sum = 0, before = 0;
  for (size_t i = 0; i < h.bins().size(); ++i) {
    const double upto = error_integral(width * static_cast<double>(i + 1), step);
    sum += static_cast<double>(h.bins()[i]) * (upto - before) / width;
    before = upto;
  }
  return sum / static_cast<double>(h.count());
}

double divergence(const Histogram& h, int bins) {
  check(bins >= kLevels && bins <= Histogram::kBins, "a divergence of {} bins: expected {} to {}", bins, kLevels,
        Histogram::kBins);
  return divergence_of(Sums(h), static_cast<size_t>(bins));
}

double clipping_threshold(const Histogram& h, const ScaleOptions& options) {
  check(h.count() > 0, "no values to find a scale for");
  if (h.largest() == 0) return 0;
  switch (options.method) {
    case ScaleMethod::percentile: return percentile_threshold(h, options.percentile);
    case ScaleMethod::mse: return mse_threshold(h);
    case ScaleMethod::entropy: return entropy_threshold(h);
  }
  return h.largest();
}

std::vector<float> scales_of_maps(const NetworkSpec& spec, const std::vector<Histogram>& maps,
                                  const ScaleOptions& options) {
  check(maps.size() == spec.layers.size(), "{} histograms for {} layers", maps.size(), spec.layers.size());
  std::vector<float> scales(maps.size(), 0.0f);
  for (size_t i = 0; i < maps.size(); ++i) {
    if (maps[i].count() == 0) continue;
    scales[i] = std::max(static_cast<float>(clipping_threshold(maps[i], options) / kSteps), kSmallestScale);
  }
  share_scales(spec, scales);  // what only passes values on may stay unseen
  scale_unseen_joins(spec, scales);
  scale_fused_layers(spec, scales);
  share_scales(spec, scales);
  for (size_t i = 0; i < scales.size(); ++i) {
    check(scales[i] > 0, "layer {} ({}): the engine shows neither its map nor one that it is fused into", i,
          layer_kind(spec.layers[i]));
  }
  return scales;
}

}  // namespace yolov3
