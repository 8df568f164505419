// Measures how fast oneDNN does each pass of each convolution in training, one at a time with everything at hand: which
// algorithm a training plan should take, and how fast a step could be at best.
// Threads: OpenMP's; the machine should be quiet.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/training_plan.h"
#include "net/spec.h"

namespace yolov3 {

struct PassTime {
  int layer = 0;
  std::string pass;  // "convolution", "data gradient", "kernel gradient": the kinds of TrainingEngine::profile()
  ConvAlgorithm algorithm = ConvAlgorithm::direct;
  std::string detail;  // oneDNN's name
  double ms = 0;
};

struct TrainingTuning {
  TrainingPlan plan;             // the best found
  std::vector<PassTime> passes;  // its passes, every convolution of the network
  double total_ms() const;
};

// For batches of `images` at the network's input size. precision: f32 or bf16. Errors: those of rule_training_plan.
TrainingTuning tune_training(const NetworkSpec& spec, int64_t images, const std::string& precision, int threads);

}  // namespace yolov3
