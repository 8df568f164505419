#include "quant/calibrate.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "eval/evaluate.h"
#include "quant/sensitivity.h"

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;

struct Accuracy {
  double map50 = 0, map = 0;  // COCO's AP50 and AP
};

// One int8 network that was judged.
struct Trial {
  Quantization quantization;
  ScaleMethod method = ScaleMethod::mse;
  Accuracy accuracy{-1, -1};
};

std::map<int, FloatReason> default_float_layers(const NetworkSpec& spec, const CalibrateOptions& options) {
  std::map<int, FloatReason> found;
  for (const int layer : convolutions(spec)) {
    const std::vector<int>& inputs = spec.layers[static_cast<size_t>(layer)].inputs;
    if (options.first_in_float && inputs[0] == kNetworkInput) found.emplace(layer, FloatReason::first);
  }
  for (const Layer& layer : spec.layers) {
    if (!options.heads_in_float || !std::holds_alternative<Yolo>(layer.op) || layer.inputs[0] == kNetworkInput)
      continue;
    const int feeding = layer.inputs[0];
    if (std::holds_alternative<Conv>(spec.layers[static_cast<size_t>(feeding)].op)) {
      found.emplace(feeding, FloatReason::head);
    }
  }
  return found;
}

class Calibrator {
 public:
  Calibrator(const NetworkSpec& spec, const EngineFactory& make, const Dataset& judge, const CalibrateOptions& options)
      : spec_(spec), make_(make), judge_(judge), options_(options), float_(default_float_layers(spec, options)) {
    for (const int layer : convolutions(spec)) {
      if (!float_.contains(layer)) candidates_.push_back(layer);
    }
  }

  Calibration run(const Dataset& train);

 private:
  Detector detector(std::unique_ptr<Engine> engine) const {
    DetectOptions detect = metrics_detect_options();
    detect.letterbox = options_.pictures.letterbox;
    return Detector(spec_, std::move(engine), detect);
  }
  std::unique_ptr<Engine> int8_engine(const Quantization& quantization) const {
    return make_(std::make_shared<const Quantization>(quantization));
  }
  std::vector<int> float_from_start() const {
    std::vector<int> layers;
    for (const auto& [layer, reason] : float_) layers.push_back(layer);
    return layers;
  }
  void check_possible() const;
  Accuracy accuracy_of(Detector& detector) const;
  Trial judged(std::vector<float> scales, std::vector<int> float_layers, ScaleMethod method) const;
  bool passes(const Trial& trial) const { return 100 * (f32_.map50 - trial.accuracy.map50) <= options_.max_drop; }
  bool better(const Trial& a, const Trial& b) const;
  Trial best_scales(const std::vector<Histogram>& maps) const;
  std::vector<LayerDeviation> scan(Engine& f32, const Dataset& pictures, const Trial& trial) const;
  Trial with_worst_in_float(const Trial& start, size_t count) const;
  Trial relieve(const Trial& start) const;
  std::vector<FloatLayer> reasons(const Trial& trial) const;
  void time_engines(Engine& f32, Engine& int8, const Dataset& pictures, Calibration& result) const;

  const NetworkSpec& spec_;
  const EngineFactory& make_;
  const Dataset& judge_;
  const CalibrateOptions& options_;
  std::map<int, FloatReason> float_;  // from the start
  std::vector<int> candidates_;       // the other convolutions
  std::vector<LayerDeviation> scan_;  // of the candidates, worst first; empty when int8 passes as it is
  Accuracy f32_;
};

Calibration Calibrator::run(const Dataset& train) {
  // 1. What cannot work is said before the work.
  check_possible();
  Detector f32 = detector(make_(nullptr));
  // 2. What the maps of training pictures hold.
  const Dataset pictures = choose_pictures(train, options_.images, options_.seed);
  const std::vector<Histogram> maps = observe_maps(f32.engine(), spec_, pictures, options_.pictures);
  // 3. The measure: float32.
  f32_ = accuracy_of(f32);
  log_info("f32: mAP50 {:.4f}, mAP50-95 {:.4f}", f32_.map50, f32_.map);
  if (f32_.map50 <= 0) {
    throw Error(
        "the f32 network finds nothing of the truth (mAP50 0): no int8 network can be judged by it; train first",
        Error::Kind::accuracy);
  }
  // 4. int8, and the worst layers back to floating point where that costs too much.
  Trial trial = best_scales(maps);
  if (!passes(trial)) {
    scan_ = scan(f32.engine(), pictures, trial);
    trial = relieve(trial);
  }
  // 5. What came out.
  Calibration result{.quantization = trial.quantization, .passed = passes(trial), .method = trial.method};
  result.f32_map50 = f32_.map50;
  result.f32_map = f32_.map;
  result.int8_map50 = trial.accuracy.map50;
  result.int8_map = trial.accuracy.map;
  result.max_drop = options_.max_drop;
  result.float_layers = reasons(trial);
  result.images = static_cast<int>(pictures.examples.size());
  result.judged = static_cast<int>(judge_.examples.size());
  const std::unique_ptr<Engine> int8 = int8_engine(trial.quantization);
  result.f32_engine = f32.engine().name();
  result.int8_engine = int8->name();
  time_engines(f32.engine(), *int8, pictures, result);
  return result;
}

// That there is something for int8 to do, something to judge it by, and an engine that does it.
void Calibrator::check_possible() const {
  if (candidates_.empty()) {
    throw Error(
        fmt::format("none of the {} convolutions is left for int8: all read the picture or feed a head", float_.size()),
        Error::Kind::accuracy);
  }
  const bool truth = std::any_of(judge_.examples.begin(), judge_.examples.end(), [](const Example& example) {
    return std::any_of(example.objects.begin(), example.objects.end(),
                       [](const Annotation& object) { return !object.crowd && !object.difficult; });
  });
  if (!truth) {
    throw Error(fmt::format("none of the {} pictures to judge by has an object in it; give a split with truth",
                            judge_.examples.size()),
                Error::Kind::bad_data);
  }
  int8_engine({std::vector<float>(spec_.layers.size(), 1.0f), float_from_start()});
}

Accuracy Calibrator::accuracy_of(Detector& detector) const {
  const EvaluateOptions evaluation{.batch = options_.judge_batch, .exact_decode = options_.pictures.exact_decode};
  const Metrics metrics = evaluate(judge_, detector, evaluation);
  check(metrics.coco.ap50.has_value() && metrics.coco.ap.has_value(), "the data set that judges has no truth");
  return {*metrics.coco.ap50, *metrics.coco.ap};
}

Trial Calibrator::judged(std::vector<float> scales, std::vector<int> float_layers, ScaleMethod method) const {
  std::sort(float_layers.begin(), float_layers.end());
  Trial trial{{std::move(scales), std::move(float_layers)}, method};
  check_quantization(spec_, trial.quantization);
  Detector int8 = detector(int8_engine(trial.quantization));
  trial.accuracy = accuracy_of(int8);
  log_info("int8, {}, {} of {} convolutions in floating point: mAP50 {:.4f}, {:.2f} points less; mAP50-95 {:.4f}",
           to_string(method), trial.quantization.float_layers.size(), float_.size() + candidates_.size(),
           trial.accuracy.map50, 100 * (f32_.map50 - trial.accuracy.map50), trial.accuracy.map);
  return trial;
}

Trial Calibrator::best_scales(const std::vector<Histogram>& maps) const {
  Trial best;
  for (const ScaleMethod method : options_.methods) {
    const ScaleOptions scales{.method = method, .percentile = options_.percentile};
    Trial trial = judged(scales_of_maps(spec_, maps, scales), float_from_start(), method);
    if (better(trial, best)) best = std::move(trial);
  }
  return best;
}

bool Calibrator::better(const Trial& a, const Trial& b) const {
  if (passes(a) != passes(b)) return passes(a);
  return passes(a) ? a.accuracy.map > b.accuracy.map : a.accuracy.map50 > b.accuracy.map50;
}

std::vector<LayerDeviation> Calibrator::scan(Engine& f32, const Dataset& pictures, const Trial& trial) const {
  const std::vector<Tensor> inputs = load_inputs(pictures, options_.scan_images, spec_, options_.pictures);
  std::vector<std::vector<Tensor>> truth;
  for (const Tensor& input : inputs) truth.push_back(f32.forward(input));
  return scan_layers(spec_, make_, trial.quantization.scales, candidates_, inputs, truth);
}

Trial Calibrator::with_worst_in_float(const Trial& start, size_t count) const {
  std::vector<int> layers = start.quantization.float_layers;
  for (size_t i = 0; i < count; ++i) layers.push_back(scan_[i].layer);
  return judged(start.quantization.scales, std::move(layers), start.method);
}

// 1, 2, 4, ... of the worst layers in floating point until it passes, then fewer by halving. One stays in int8: without
// any it would be no int8 network. When nothing passes, the most accurate one that was tried.
Trial Calibrator::relieve(const Trial& start) const {
  const size_t most = scan_.size() - 1;
  Trial best = start;
  size_t failed = 0, count = 1;
  for (;; count = std::min(2 * count, most)) {
    if (failed >= most) return best;
    Trial trial = with_worst_in_float(start, count);
    const bool enough = passes(trial);
    if (enough || trial.accuracy.map50 > best.accuracy.map50) best = std::move(trial);
    if (enough) break;
    failed = count;
  }
  while (count - failed > 1) {
    const size_t middle = failed + (count - failed) / 2;
    Trial trial = with_worst_in_float(start, middle);
    if (passes(trial)) {
      best = std::move(trial);
      count = middle;
    } else {
      failed = middle;
    }
  }
  return best;
}

std::vector<FloatLayer> Calibrator::reasons(const Trial& trial) const {
  std::vector<FloatLayer> found;
  for (const int layer : trial.quantization.float_layers) {
    const auto from_start = float_.find(layer);
    if (from_start != float_.end()) {
      found.push_back({layer, from_start->second, std::nullopt});
      continue;
    }
    const auto scanned =
        std::find_if(scan_.begin(), scan_.end(), [&](const LayerDeviation& d) { return d.layer == layer; });
    found.push_back({layer, FloatReason::sensitive, scanned->deviation});
  }
  return found;
}

// Turn about, so that a machine that slows down slows both.
void Calibrator::time_engines(Engine& f32, Engine& int8, const Dataset& pictures, Calibration& result) const {
  if (options_.timed_runs < 1) return;
  const Tensor input = load_inputs(pictures, 1, spec_, options_.pictures).at(0);
  const auto milliseconds = [&](Engine& engine) {
    const auto start = Clock::now();
    engine.forward(input);
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  };
  std::vector<double> f32_ms, int8_ms;
  milliseconds(f32), milliseconds(int8);  // the first run of a size may prepare
  for (int i = 0; i < options_.timed_runs; ++i) {
    f32_ms.push_back(milliseconds(f32));
    int8_ms.push_back(milliseconds(int8));
  }
  const auto median = [](std::vector<double>& values) {
    std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
    return values[values.size() / 2];
  };
  result.f32_ms = median(f32_ms);
  result.int8_ms = median(int8_ms);
}

}  // namespace

Calibration calibrate(const NetworkSpec& spec, const EngineFactory& make, const Dataset& train, const Dataset& judge,
                      const CalibrateOptions& options) {
  check(!options.methods.empty() && options.images > 0 && options.scan_images > 0 && options.judge_batch > 0 &&
            options.pictures.batch > 0,
        "calibration needs a method, and at least one picture to observe, to scan and at once");
  check(options.percentile > 0 && options.percentile <= 100, "a percentile of {}: expected over 0 and at most 100",
        options.percentile);
  check(options.max_drop >= 0, "an allowed drop of {} points: expected 0 or more", options.max_drop);
  return Calibrator(spec, make, judge, options).run(train);
}

}  // namespace yolov3
