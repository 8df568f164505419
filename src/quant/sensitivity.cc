#include "quant/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "base/error.h"
#include "base/progress.h"

namespace yolov3 {
namespace {

// Over all inputs together.
double deviation_of(Engine& engine, const std::vector<Tensor>& inputs, const std::vector<std::vector<Tensor>>& truth) {
  double sum = 0;
  for (size_t i = 0; i < inputs.size(); ++i) sum += relative_deviation(truth[i], engine.forward(inputs[i]));
  return sum / static_cast<double>(inputs.size());
}

}  // namespace

double relative_deviation(std::span<const Tensor> truth, std::span<const Tensor> other) {
  check(truth.size() == other.size(), "{} raw maps against {}", truth.size(), other.size());
  double squared = 0, norm = 0;
  for (size_t m = 0; m < truth.size(); ++m) {
    check(truth[m].shape() == other[m].shape(), "raw maps of the shapes {} and {}", to_string(truth[m].shape()),
          to_string(other[m].shape()));
    for (int64_t i = 0; i < truth[m].size(); ++i) {
      const double t = truth[m][i], d = other[m][i] - t;
      norm += t * t;
      squared += d * d;
    }
  }
  if (squared == 0) return 0;
  const double ratio = std::sqrt(squared / norm);
  return std::isfinite(ratio) ? ratio : std::numeric_limits<double>::infinity();
}

std::vector<int> convolutions(const NetworkSpec& spec) {
  std::vector<int> found;
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    if (std::holds_alternative<Conv>(spec.layers[i].op)) found.push_back(static_cast<int>(i));
  }
  return found;
}

std::vector<LayerDeviation> scan_layers(const NetworkSpec& spec, const EngineFactory& make,
                                        const std::vector<float>& scales, std::span<const int> candidates,
                                        const std::vector<Tensor>& inputs,
                                        const std::vector<std::vector<Tensor>>& truth) {
  check(!inputs.empty() && inputs.size() == truth.size(), "a scan of {} inputs and {} truths", inputs.size(),
        truth.size());
  const std::vector<int> all = convolutions(spec);
  std::vector<LayerDeviation> found;
  Progress progress("scan layers", static_cast<int64_t>(candidates.size()));
  for (const int layer : candidates) {
    auto alone = std::make_shared<Quantization>(Quantization{scales, {}});
    std::copy_if(all.begin(), all.end(), std::back_inserter(alone->float_layers), [&](int l) { return l != layer; });
    const std::unique_ptr<Engine> engine = make(std::move(alone));
    found.push_back({layer, deviation_of(*engine, inputs, truth)});
    progress.update(static_cast<int64_t>(found.size()));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const LayerDeviation& a, const LayerDeviation& b) { return a.deviation > b.deviation; });
  return found;
}

}  // namespace yolov3
