// What runs a network. One interface, several engines: `reference` (plain loops, the truth), `dnnl` (oneDNN, the fast one
// on a CPU), `torch` (LibTorch: CUDA, and training's own arithmetic), `checked` (two of them against each other).
//
// Threads: an engine belongs to one thread at a time; Weights are shared and never changed by it. Engines that share()
// made run side by side and hold one copy of the weights between them.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "engine/raw_map.h"
#include "engine/step_time.h"
#include "image/image.h"
#include "net/quantization.h"
#include "net/spec.h"
#include "net/weights.h"

namespace yolov3 {

// The map of layer `layer` (Darknet's index), N,C,H,W float32; valid during the call.
using LayerObserver = std::function<void(int layer, const Tensor& map)>;

class Engine {
 public:
  virtual ~Engine() = default;

  // images: N,3,H,W RGB in [0,1], any N, H and W that the network can take.
  // Returns one raw map a head, small objects first: N,A*(5+K),G_h,G_w logits, float32 (net/spec.h, Yolo).
  virtual std::vector<Tensor> forward(const Tensor& images) = 0;

  // The same of letterboxed pictures of one size, with no detour that the engine can avoid. The maps are valid until
  // the engine's next call. Errors: no pictures, or pictures of different sizes.
  virtual std::vector<RawMap> forward_pictures(std::span<const Image> pictures);

  // forward() that also shows the map of every layer that the engine stores, in the layers' order. Layers that it has
  // fused into others have no map of their own. Slow: for calibration and for finding differences.
  // Errors: an engine that cannot show its layers.
  virtual std::vector<Tensor> forward_observed(const Tensor& images, const LayerObserver& observe);

  // One run of forward_pictures() with every step timed by itself. Errors: an engine that cannot.
  virtual std::vector<StepTime> profile(std::span<const Image> pictures);

  // What is worth knowing about how it runs, a line each: memory, and last, where it has one, its plan (engine/plan.h).
  virtual std::vector<std::string> describe() const { return {}; }

  // Another engine of the same kind over the same weights, for another thread. Errors: an engine that stands alone.
  virtual std::unique_ptr<Engine> share() const;

  virtual std::string name() const = 0;  // "reference", "dnnl f32", "torch cpu bf16", ...

 private:
  std::vector<Tensor> kept_;  // what forward_pictures() has handed out
};

struct EngineOptions {
  std::string kind = "auto";      // auto, reference, dnnl, torch, checked
  std::string device = "cpu";     // cpu, cuda, cuda:N; anything but cpu needs the torch engine
  std::string precision = "f32";  // f32, bf16, int8, auto
  int threads = 0;                // 0 = all
  std::string plan = "auto";      // dnnl: auto (cache file, else rule), rule, tune (measure now), or a plan file
  std::shared_ptr<const Quantization> quantization;  // what int8 needs
};

// auto: dnnl on a CPU, torch elsewhere. Errors: an engine, device or precision that this build or machine does not have,
// saying what it does have.
std::unique_ptr<Engine> make_engine(const EngineOptions& options, const NetworkSpec& spec,
                                    std::shared_ptr<const Weights> weights);

// Engines of this build: {"reference", "dnnl", "torch", "checked"}.
std::vector<std::string> available_engines();

}  // namespace yolov3
