// What runs a network. One interface, several engines: `reference` (plain loops, the truth), `torch` (LibTorch).
//
// Threads: an engine belongs to one thread at a time; Weights are shared and never changed by it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "net/spec.h"
#include "net/weights.h"

namespace yolov3 {

class Engine {
 public:
  virtual ~Engine() = default;

  // images: N,3,H,W RGB in [0,1], any N, H and W that the network can take.
  // Returns one raw map a head, small objects first: N,A*(5+K),G_h,G_w logits, float32 (net/spec.h, Yolo).
  virtual std::vector<Tensor> forward(const Tensor& images) = 0;

  virtual std::string name() const = 0;  // "reference", "torch cpu bf16", ...
};

struct EngineOptions {
  std::string kind = "auto";      // auto, reference, torch
  std::string device = "cpu";     // cpu, cuda, cuda:N; anything but cpu needs the torch engine
  std::string precision = "f32";  // f32, bf16, auto = bf16 where the CPU multiplies it (torch engine)
  int threads = 0;                // 0 = all
};

// auto: torch where it was built in, else reference. Errors: an engine, device or precision that this build or machine
// does not have, saying what it does have.
std::unique_ptr<Engine> make_engine(const EngineOptions& options, const NetworkSpec& spec,
                                    std::shared_ptr<const Weights> weights);

// Engines and devices of this build: {"reference", "torch"}.
std::vector<std::string> available_engines();

}  // namespace yolov3
