// A network in training for one batch and input size: the steps of its forward and of its backward pass in order, every
// map and gradient at its place in one arena, which is as large as what lives at one time.
//
// Forward, a convolution with batch norm: z = convolution(x); statistics of z; out = activation(norm(z)) [+ residual].
// x and z wait for the backward pass, nothing else does: activation and its slope come from z anew.
// Backward: sums over out's gradient and z; dz; the kernel's gradient from x and dz; x's gradient from dz.
// A residual's gradient is out's own: no copy is made where nobody else has given it one.
//
// Threads: one at a time, always with the OpenMP thread count that it was built with.
#pragma once

#include <dnnl.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/dnnl_program.h"
#include "engine/dnnl_train_model.h"
#include "engine/map_view.h"
#include "engine/norm_passes.h"
#include "engine/raw_map.h"
#include "engine/step_time.h"

namespace yolov3 {

class DnnlTrainProgram {
 public:
  // Errors: a layer that oneDNN cannot do, naming --engine torch.
  DnnlTrainProgram(DnnlTrainModel& model, const NetworkSpec& spec, int64_t images);
  ~DnnlTrainProgram();

  int64_t arena_bytes() const { return arena_bytes_; }
  void place(std::byte* arena);  // 64-byte aligned; before the first run, and whenever the arena has moved

  // times: null, or where the time of each step is added to what stands there.
  void forward(const float* images, uint64_t seed, std::vector<StepTime>* times = nullptr);
  void backward(const std::vector<const float*>& map_gradients, std::vector<StepTime>* times = nullptr);
  std::vector<RawMap> outputs() const;  // small objects first

  const std::vector<std::string>& substitutes() const { return substitutes_; }

 private:
  friend class TrainProgramBuilder;

  struct Map {
    MapFormat format;
    LayerShape shape;
    int buffer = -1;
  };
  struct Step {
    StepTime info;
    std::vector<int> maps;     // that it reads or writes
    std::vector<int> buffers;  // likewise, of no map: scratch
    std::function<void()> run;
  };
  struct Placed {  // memory of a primitive that lies in the arena
    dnnl::memory memory;
    int buffer = -1;
    int64_t offset = 0;
  };

  MapView view(int map) const;
  std::byte* at(int buffer) const { return arena_ + buffers_[static_cast<size_t>(buffer)].offset; }
  void run(const std::vector<Step>& steps, std::vector<StepTime>* times);

  DnnlTrainModel& model_;
  NetworkSpec spec_;
  int64_t images_ = 0;
  std::vector<Map> maps_;
  std::vector<ArenaBuffer> buffers_;
  std::vector<Step> forward_, backward_;
  std::vector<Placed> placed_;
  std::vector<int> outputs_;  // planes, one a head
  int input_ = -1;
  std::vector<std::string> substitutes_;
  int64_t arena_bytes_ = 0;
  std::byte* arena_ = nullptr;
  uint64_t seed_ = 0;                        // of dropout, in this run
  std::vector<const float*> map_gradients_;  // of the heads, in this run
};

}  // namespace yolov3
