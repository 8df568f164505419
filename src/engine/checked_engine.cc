#include "engine/checked_engine.h"

#include <cmath>
#include <map>

#include "base/cpu.h"
#include "base/error.h"

namespace yolov3 {
namespace {

// ||a - b|| / ||b||, not finite when any number is not.
double relative_distance(const Tensor& a, const Tensor& b) {
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < b.size(); ++i) {
    const double d = static_cast<double>(a[i]) - b[i];
    difference += d * d;
    norm += static_cast<double>(b[i]) * b[i];
  }
  return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

class CheckedEngine final : public Engine {
 public:
  CheckedEngine(std::unique_ptr<Engine> fast, std::unique_ptr<Engine> truth, double tolerance)
      : fast_(std::move(fast)), truth_(std::move(truth)), tolerance_(tolerance) {}

  std::vector<Tensor> forward(const Tensor& images) override { return forward_observed(images, nullptr); }

  std::vector<Tensor> forward_observed(const Tensor& images, const LayerObserver& observe) override {
    std::map<int, Tensor> maps;
    std::vector<Tensor> heads = fast_->forward_observed(images, [&](int layer, const Tensor& map) {
      maps.emplace(layer, map);
      if (observe) observe(layer, map);
    });
    const std::vector<Tensor> true_heads = truth_->forward_observed(images, [&](int layer, const Tensor& map) {
      const auto found = maps.find(layer);
      if (found != maps.end()) compare(fmt::format("the map of layer {}", layer), found->second, map);
    });
    check(heads.size() == true_heads.size(), "{} gives {} heads, {} {}", fast_->name(), heads.size(), truth_->name(),
          true_heads.size());
    for (size_t h = 0; h < heads.size(); ++h) compare(fmt::format("head {}", h), heads[h], true_heads[h]);
    return heads;
  }

  std::unique_ptr<Engine> share() const override {
    return make_checked_engine(fast_->share(), truth_->share(), tolerance_);
  }

  std::string name() const override { return fmt::format("{} checked by {}", fast_->name(), truth_->name()); }

 private:
  void compare(const std::string& what, const Tensor& fast, const Tensor& truth) const {
    check(fast.shape() == truth.shape(), "{}: {} gives shape {}, {} {}", what, fast_->name(), to_string(fast.shape()),
          truth_->name(), to_string(truth.shape()));
    const double distance = relative_distance(fast, truth);
    check(distance <= tolerance_, "{} differs first: {} is {:.2e} of its norm away from {}, allowed are {:.2e}", what,
          fast_->name(), distance, truth_->name(), tolerance_);
  }

  std::unique_ptr<Engine> fast_, truth_;
  double tolerance_;
};

}  // namespace

std::unique_ptr<Engine> make_checked_engine(std::unique_ptr<Engine> fast, std::unique_ptr<Engine> truth,
                                            double tolerance) {
  return std::make_unique<CheckedEngine>(std::move(fast), std::move(truth), tolerance);
}

double precision_tolerance(const std::string& precision, size_t convolutions) {
  const double depth = std::sqrt(static_cast<double>(convolutions));
  if (precision == "f32") return 5 * depth * 2e-6;
  if (precision == "int8") return 2 * depth * (cpu_features().avx512_vnni ? 1.5e-2 : 2e-2);
  return 2.5 * depth * 2e-3;
}

}  // namespace yolov3
