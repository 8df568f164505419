#include "app/bench_measure.h"

#include <omp.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <exception>
#include <thread>

#include "base/error.h"
#include "image/letterbox.h"
#include "image/load.h"

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

template <class Action>
void timed(std::vector<double>& ms, const Action& action) {
  const Clock::time_point start = Clock::now();
  action();
  ms.push_back(1e3 * seconds_since(start));
}

// One round through the stages; keeps what each hands to the next.
class Round {
 public:
  Round(Detector& detector, const BenchCase& c, int batch) : detector_(detector), case_(c), batch_(batch) {
    load_options_ = {static_cast<int>(c.spec.input.width), static_cast<int>(c.spec.input.height)};
  }

  void run() {
    timed(decode_, [&] { decode(); });
    timed(letterbox_, [&] { letterbox(); });
    std::vector<RawMap> maps;
    timed(network_, [&] { maps = detector_.engine().forward_pictures(inputs_); });
    timed(boxes_, [&] { boxes(maps); });
    timed(end_to_end_, [&] {
      decode();
      detector_.detect(pictures_);
    });
  }

  StageTimes result() const {
    return {spread_of(decode_),
            spread_of(letterbox_),
            spread_of(network_),
            spread_of(boxes_),
            spread_of(end_to_end_),
            network_,
            found_};
  }

 private:
  void decode() {
    pictures_.clear();
    for (int i = 0; i < batch_; ++i) {
      pictures_.push_back(decode_image(case_.picture, case_.picture_from, load_options_));
    }
  }

  void letterbox() {
    inputs_.clear();
    for (const LoadedImage& picture : pictures_) {
      frame_ =
          make_letterbox(picture.full_width, picture.full_height, load_options_.net_width, load_options_.net_height);
      inputs_.push_back(apply_letterbox(picture.image, frame_));
    }
  }

  void boxes(const std::vector<RawMap>& maps) {
    found_ = 0;
    for (size_t i = 0; i < pictures_.size(); ++i) {
      found_ += static_cast<int64_t>(
          detector_.post_processor()
              .run(maps, static_cast<int64_t>(i), frame_, pictures_[i].full_width, pictures_[i].full_height)
              .size());
    }
  }

  Detector& detector_;
  const BenchCase& case_;
  int batch_;
  LoadOptions load_options_;
  Letterbox frame_;
  std::vector<LoadedImage> pictures_;
  std::vector<Image> inputs_;
  int64_t found_ = 0;
  std::vector<double> decode_, letterbox_, network_, boxes_, end_to_end_;
};

}  // namespace

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  const double median = values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {median, values.front(), values.back()};
}

StageTimes measure_stages(Detector& detector, const BenchCase& c, int batch, int runs) {
  constexpr int kWarmUp = 2;
  Round warm_up(detector, c, batch), round(detector, c, batch);
  for (int i = 0; i < kWarmUp; ++i) warm_up.run();
  const Clock::time_point start = Clock::now();
  for (int done = 0; runs > 0 ? done < runs : done < kLeastRuns || seconds_since(start) < kBenchSeconds; ++done) {
    round.run();
  }
  return round.result();
}

std::vector<StepTime> measure_steps(Engine& engine, std::span<const Image> pictures, int runs) {
  std::vector<StepTime> steps = engine.profile(pictures);
  std::vector<std::vector<double>> ms(steps.size());
  for (int run = 0; run < runs; ++run) {
    const std::vector<StepTime> again = engine.profile(pictures);
    check(again.size() == steps.size(), "the {} engine took {} steps and then {}", engine.name(), steps.size(),
          again.size());
    for (size_t i = 0; i < steps.size(); ++i) ms[i].push_back(again[i].ms);
  }
  for (size_t i = 0; i < steps.size(); ++i) steps[i].ms = spread_of(ms[i]).median;
  return steps;
}

bool is_convolution(const StepTime& step) { return step.gflop > 0; }

bool is_direct(const StepTime& step) { return is_convolution(step) && step.algorithm != "winograd"; }

double gflop_per_s(const StepTime& step) { return step.ms > 0 ? 1e3 * step.gflop / step.ms : 0; }

StepSums sums_of(const std::vector<StepTime>& steps) {
  StepSums sums;
  for (const StepTime& step : steps) {
    (is_convolution(step) ? sums.convolutions : step.layer < 0 ? sums.input_output : sums.passes) += step.ms;
  }
  return sums;
}

Throughput measure_side_by_side(const EngineOptions& options, const BenchCase& c, std::span<const Image> pictures,
                                int engines, int runs) {
  EngineOptions single = options;
  single.threads = 1;
  std::vector<std::unique_ptr<Engine>> sides;
  sides.push_back(make_bench_engine(single, c, {pictures.begin(), pictures.end()}));
  while (static_cast<int>(sides.size()) < engines) sides.push_back(sides.front()->share());

  std::vector<std::exception_ptr> failures(sides.size());
  std::barrier together(engines + 1);
  const auto run_side = [&](size_t side) {
    omp_set_num_threads(1);  // of this thread
    try {
      sides[side]->forward_pictures(pictures);
    } catch (...) {
      failures[side] = std::current_exception();
    }
    together.arrive_and_wait();
    try {
      for (int run = 0; run < runs && !failures[side]; ++run) sides[side]->forward_pictures(pictures);
    } catch (...) {
      failures[side] = std::current_exception();
    }
    together.arrive_and_wait();
  };
  std::vector<std::thread> threads;
  for (size_t side = 0; side < sides.size(); ++side) threads.emplace_back(run_side, side);
  together.arrive_and_wait();
  const Clock::time_point start = Clock::now();
  together.arrive_and_wait();
  const double seconds = seconds_since(start);
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  return {engines, static_cast<int64_t>(engines) * runs * static_cast<int64_t>(pictures.size()), seconds};
}

}  // namespace yolov3
