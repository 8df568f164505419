#include "train/measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include "base/cpu.h"
#include "base/error.h"
#include "base/rng.h"
#include "train/engine_network.h"
#include "train/loss.h"
#include "train/parameters.h"
#include "train/setup.h"

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kObjects = 14;  // a picture, as BCCD has them
constexpr double kRate = 1e-4;

double ms_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

std::vector<std::vector<Annotation>> random_objects(int batch, const NetworkSpec& spec) {
  Rng rng(1);
  const auto width = static_cast<double>(spec.input.width), height = static_cast<double>(spec.input.height);
  std::vector<std::vector<Annotation>> objects(static_cast<size_t>(batch));
  for (auto& list : objects) {
    for (int i = 0; i < kObjects; ++i) {
      const double w = rng.uniform(0.05, 0.4) * width, h = rng.uniform(0.05, 0.4) * height;
      const double x = rng.uniform(0, width - w), y = rng.uniform(0, height - h);
      list.push_back(
          {.box = {static_cast<float>(x), static_cast<float>(y), static_cast<float>(x + w), static_cast<float>(y + h)},
           .class_id = static_cast<int>(rng.integer(0, class_count(spec) - 1))});
    }
  }
  return objects;
}

double median_of(std::vector<double> values) {
  std::ranges::sort(values);
  return values.empty() ? 0 : values[values.size() / 2];
}

class Bench {
 public:
  Bench(const NetworkSpec& spec, const TrainOptions& options, const std::optional<TrainingPlan>& plan)
      : options_(options),
        heads_(heads(spec)),
        objects_(random_objects(options.batch, spec)),
        network_(spec, random_weights(spec), parse_device(options.device), use_bf16(options), options.bn_momentum,
                 frozen_layers(options, spec)),
        engine_(make_engine_network(network_, plan, options)),
        optimizer_(make_optimizer(network_, options)) {
    torch::manual_seed(0);
    images_ = torch::rand({options.batch, spec.input.channels, spec.input.height, spec.input.width});
  }

  StepParts step(double& loss) {
    StepParts parts;
    const auto start = Clock::now();
    const std::vector<torch::Tensor> maps =
        engine_ != nullptr ? engine_->forward(images_) : network_.forward(images_, /*training=*/true);
    const auto forward = Clock::now();
    const torch::Tensor total =
        yolo_loss(maps, heads_, objects_, assign(objects_, heads_, options_.assign), options_.loss).parts.total();
    loss = total.item<double>();
    const auto lost = Clock::now();
    total.backward();
    const auto backward = Clock::now();
    const double gradient_norm = engine_ != nullptr ? engine_->gradient_norm() : optimizer_.gradient_norm();
    check(std::isfinite(gradient_norm), "the gradient is not finite");
    const auto norm = Clock::now();
    optimizer_.step(kRate);
    optimizer_.clear_gradients();
    if (engine_ != nullptr) engine_->parameters_changed();
    return {ms_between(start, forward), ms_between(forward, lost), ms_between(lost, backward),
            ms_between(backward, norm), ms_between(norm, Clock::now())};
  }

  EngineNetwork* engine() { return engine_.get(); }
  const torch::Tensor& images() const { return images_; }

 private:
  const TrainOptions& options_;
  std::vector<Head> heads_;
  std::vector<std::vector<Annotation>> objects_;
  TorchNetwork network_;
  std::unique_ptr<EngineNetwork> engine_;
  Optimizer optimizer_;
  torch::Tensor images_;
};

}  // namespace

StepParts median(const std::vector<StepParts>& steps) {
  const auto of = [&](double StepParts::*part) {
    std::vector<double> values;
    for (const StepParts& step : steps) values.push_back(step.*part);
    return median_of(std::move(values));
  };
  return {of(&StepParts::forward), of(&StepParts::loss), of(&StepParts::backward), of(&StepParts::norm),
          of(&StepParts::update)};
}

double median_total(const std::vector<StepParts>& steps) {
  std::vector<double> totals;
  for (const StepParts& step : steps) totals.push_back(step.total());
  return median_of(std::move(totals));
}

TrainingMeasure measure_training(const NetworkSpec& spec, const TrainOptions& options, int warmup, int steps) {
  keep_freed_memory();
  torch::set_num_threads(options.threads > 0 ? options.threads : available_cpus());
  const std::optional<TrainingPlan> plan = choose_plan(options, spec);
  Bench bench(spec, options, plan);
  TrainingMeasure measure;
  measure.precision = plan ? to_string(plan->type) : use_bf16(options) ? "bf16" : "f32";
  for (int i = 0; i < warmup + steps; ++i) {
    double loss = 0;
    const StepParts parts = bench.step(loss);
    if (i == 0) measure.first_loss = loss;
    measure.last_loss = loss;
    if (i >= warmup) measure.steps.push_back(parts);
  }
  if (bench.engine() != nullptr) {
    measure.passes = bench.engine()->profile(bench.images());
    measure.description = bench.engine()->engine().describe();
  }
  return measure;
}

}  // namespace yolov3
