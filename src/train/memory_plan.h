// What a run will take of memory, told before its first step, and the batch that fits: --batch auto.
// Units: bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "engine/training_plan.h"
#include "net/spec.h"
#include "train/options.h"

namespace yolov3 {

struct MemoryEstimate {
  int64_t program = 0;     // libraries and the data set's list: what the process has before the network is there
  int64_t parameters = 0;  // with gradients, moments, average and sums
  int64_t maps = 0;        // of a batch at the largest size: maps, gradients, packed kernels, the loss
  int64_t pictures = 0;    // loaded ahead
  int64_t closing = 0;     // judging an epoch or saving it, whichever takes more
  int64_t total() const { return program + parameters + maps + pictures + closing; }
};

// Of all parameters, through the run: value, gradient, moments or velocity, the running average, sums over batches.
int copies_of_parameters(const TrainOptions& options);

// Of options.batch pictures at the largest size of --imgsz and --multi-scale, by the plan, or without one by LibTorch's
// operators on a CPU. program: as above; val_pictures: of the val split.
MemoryEstimate estimate_memory(const NetworkSpec& spec, const TrainOptions& options,
                               const std::optional<TrainingPlan>& plan, int64_t program, int64_t val_pictures);

// "2.9 GB: program 0.3 GB, parameters 1.0 GB, ...".
std::string describe(const MemoryEstimate& estimate);

constexpr int kLargestAutoBatch = 64;  // Darknet's; larger ones train no better
constexpr double kUsableMemory = 0.9;  // of what is available

// The largest batch from 1 to `most` for which total_of(batch), which grows with it, is at most `usable`; 0: none.
int largest_batch(int most, int64_t usable, const std::function<int64_t(int batch)>& total_of);

}  // namespace yolov3
