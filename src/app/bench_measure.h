// The measurements of `bench`: stages, steps, peaks, engines side by side. Every figure is the median of several runs.
//
// Units: milliseconds of a whole batch. Threads: of the engine; decoding, letterbox and boxes take one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "app/bench_case.h"
#include "detect/detector.h"
#include "engine/engine.h"

namespace yolov3 {

struct Spread {
  double median = 0, min = 0, max = 0;
};
Spread spread_of(std::vector<double> values);  // of no values: zeros

struct StageTimes {
  Spread decode, letterbox, network, boxes;
  Spread end_to_end;               // from the bytes of the JPEG to boxes, the way `detect` goes
  std::vector<double> network_ms;  // of every run
  int64_t found = 0;               // boxes of the last batch
};

// `runs` rounds through all stages, one stage after the other, so that drift of the machine meets them alike; 0 = for
// about kBenchSeconds, at least kLeastRuns. The detector holds the case's engine.
constexpr double kBenchSeconds = 5;
constexpr int kLeastRuns = 7;
StageTimes measure_stages(Detector& detector, const BenchCase& c, int batch, int runs);

// Medians of each step over `runs` profiled runs. Errors: an engine that does not time its steps, or whose steps differ
// from run to run.
std::vector<StepTime> measure_steps(Engine& engine, std::span<const Image> pictures, int runs);

bool is_convolution(const StepTime& step);  // has operations to count
bool is_direct(const StepTime& step);       // a convolution that does all the operations that are counted
double gflop_per_s(const StepTime& step);   // 0 for what is no convolution

// Where the time of the steps goes, in ms.
struct StepSums {
  double convolutions = 0, passes = 0, input_output = 0;
  double all() const { return convolutions + passes + input_output; }
};
StepSums sums_of(const std::vector<StepTime>& steps);

// What the library reaches at its best with one number type: the fastest direct convolution among the network's own and
// three large ones (1x1, 3x3 and 5x5, 512 channels, 26x26, batch 4). No limit of the processor: another library may do
// better. Winograd does fewer operations than are counted and may pass 100% of it.
struct Peak {
  std::string type, from;  // "f32"; "layer 12" or "512x26x26 5x5 batch 4"
  double gflop_per_s = 0;
};
std::vector<Peak> measure_peaks(const EngineOptions& options, const std::vector<StepTime>& steps);

// Engines side by side, each with one thread and the whole batch to itself; they share the weights.
struct Throughput {
  int engines = 0;
  int64_t images = 0;
  double seconds = 0;
  double images_per_s() const { return seconds > 0 ? static_cast<double>(images) / seconds : 0; }
};
Throughput measure_side_by_side(const EngineOptions& options, const BenchCase& c, std::span<const Image> pictures,
                                int engines, int runs);

}  // namespace yolov3
