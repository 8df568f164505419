// Finds a training plan by measuring: how fast oneDNN does each pass of each convolution, one at a time with everything
// at hand, which is also how fast a step could be at best; and which number type trains a whole batch faster.
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

// One forward and one backward pass by this plan, in ms, with random parameters; the first run is not counted.
double time_training(const NetworkSpec& spec, int64_t images, const TrainingPlan& plan, int threads);

// The plan that a run should take. precision auto: f32 or bf16, whichever trains a batch faster here. tune: each pass
// by the algorithm that was measured fastest, else by the rule. What auto has found without tune is kept
// (engine/plan_cache.h) and taken from there the next time.
TrainingPlan choose_training_plan(const NetworkSpec& spec, int64_t images, const std::string& precision, int threads,
                                  bool tune);

}  // namespace yolov3
