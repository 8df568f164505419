// The figures of `bench`, for people and for programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/bench_measure.h"

namespace yolov3 {

struct BenchFigures {
  const BenchCase* bench_case = nullptr;
  EngineOptions asked;
  std::string engine;                    // Engine::name()
  std::vector<std::string> description;  // Engine::describe()
  int batch = 1, threads = 1;
  StageTimes stages;
  std::vector<StepTime> steps;  // empty: not timed
  std::string no_steps;         // why
  std::vector<Peak> peaks;
  std::optional<Throughput> throughput;

  double network_ms() const { return stages.network.median; }
  double images_per_s() const;  // latency mode: all threads on one batch, the network alone
};

std::string bench_table(const BenchFigures& figures);

// docs/bench.md has the keys.
std::string bench_json(const BenchFigures& figures);

}  // namespace yolov3
