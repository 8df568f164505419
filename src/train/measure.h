// What a training step costs, whole and part by part, on random pictures and objects: for `yolov3 bench --train`.
#pragma once

#include <string>
#include <vector>

#include "engine/step_time.h"
#include "net/spec.h"
#include "train/options.h"

namespace yolov3 {

struct StepParts {
  double forward = 0, loss = 0, backward = 0, norm = 0,
         update =
             0;  // ms; norm: of the gradients, with the finite check; oneDNN's engine has it from the backward pass
  double total() const { return forward + loss + backward + norm + update; }
};

struct TrainingMeasure {
  std::vector<StepParts> steps;          // one a step, warm-up not counted
  std::vector<StepTime> passes;          // of one step, each pass of each layer; empty for LibTorch
  std::vector<std::string> description;  // memory, plan
  std::string precision;                 // f32 or bf16: what auto has become
  double first_loss = 0, last_loss = 0;  // the steps train on one batch: it must fall
};

// Medians, part by part; of total() too.
StepParts median(const std::vector<StepParts>& steps);
double median_total(const std::vector<StepParts>& steps);

// options: batch, engine, device, precision, threads, optimizer, freeze. Runs `warmup` and then `steps` whole steps on
// one random batch of the network's input size. Errors: those of training.
TrainingMeasure measure_training(const NetworkSpec& spec, const TrainOptions& options, int warmup, int steps);

}  // namespace yolov3
