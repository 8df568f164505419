// measure_peaks() of bench_measure.h.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>

#include "app/bench_measure.h"
#include "app/bench_scales.h"
#include "net/builder.h"

namespace yolov3 {
namespace {

constexpr int kSide = 26, kChannels = 512, kBatch = 4, kRuns = 5;

// Large convolutions between a small first one and a small head, which int8 leaves in floating point.
NetworkSpec probe_network() {
  NetworkBuilder net({3, kSide, kSide});
  net.conv(kChannels, 1).conv(kChannels, 1).conv(kChannels, 3).conv(kChannels, 5).conv(64, 1);
  return net.conv(6, 1, 1, Activation::linear, false).yolo({{10, 10}}, {0}, 1).build();
}

std::vector<Image> noise_pictures() {
  Rng rng(1);
  std::vector<Image> pictures(kBatch, Image(kSide, kSide));
  for (Image& picture : pictures) {
    for (uint8_t& value : picture.rgb) value = static_cast<uint8_t>(rng.integer(0, 255));
  }
  return pictures;
}

void improve(Peak& peak, const StepTime& step, const std::string& from) {
  if (step.type != peak.type || !is_direct(step) || gflop_per_s(step) <= peak.gflop_per_s) return;
  peak.gflop_per_s = gflop_per_s(step);
  peak.from = from;
}

void probe(const EngineOptions& options, Peak& peak) {
  BenchCase c{.spec = probe_network()};
  c.weights = std::make_shared<const Weights>(random_weights(c.spec));
  EngineOptions of_type = options;
  of_type.precision = peak.type;
  of_type.plan = "rule";  // a plan file, and what was tuned, are the network's
  of_type.quantization = nullptr;
  const std::vector<Image> pictures = noise_pictures();
  const auto engine = make_bench_engine(of_type, c, pictures);
  engine->profile(pictures);  // warm-up
  for (int run = 0; run < kRuns; ++run) {
    for (const StepTime& step : engine->profile(pictures)) {
      if (step.layer < 0) continue;
      const auto* conv = std::get_if<Conv>(&c.spec.layers.at(static_cast<size_t>(step.layer)).op);
      const int size = conv != nullptr ? conv->size : 0;
      improve(peak, step, fmt::format("{0}x{1}x{1} {2}x{2} batch {3}", kChannels, kSide, size, kBatch));
    }
  }
}

}  // namespace

std::vector<Peak> measure_peaks(const EngineOptions& options, const std::vector<StepTime>& steps) {
  std::set<std::string> types;
  for (const StepTime& step : steps) {
    if (is_convolution(step)) types.insert(step.type);
  }
  std::vector<Peak> peaks;
  for (const std::string& type : types) {
    Peak& peak = peaks.emplace_back(Peak{type, "", 0});
    for (const StepTime& step : steps) improve(peak, step, fmt::format("layer {}", step.layer));
    probe(options, peak);
  }
  return peaks;
}

}  // namespace yolov3
