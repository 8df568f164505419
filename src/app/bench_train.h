// yolov3 bench --train: what a training step costs here, whole, part by part and pass by pass, and how far that is from
// what oneDNN's convolutions reach by themselves.
#pragma once

#include <string>

#include "net/spec.h"
#include "train/options.h"

namespace yolov3 {

struct BenchTrainChoice {
  std::string model;     // for people
  TrainOptions options;  // batch, engine, device, precision, threads, seed
  int runs = 0;          // steps that are timed; 0: 7
  bool passes = true;    // each pass too, and the limit
  std::string json;      // file, - or nothing
};

int run_bench_train(const NetworkSpec& spec, const BenchTrainChoice& choice);

}  // namespace yolov3
