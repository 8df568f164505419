// A network for one batch and input size, ready to run: convolution primitives and passes in order, every map at its
// place in one arena, which is as large as the maps that live at one time.
//
// Threads: one at a time, always with the OpenMP thread count that it was built with.
#pragma once

#include <dnnl.hpp>

#include <memory>
#include <string>
#include <vector>

#include "engine/dnnl_conv.h"
#include "engine/engine.h"
#include "engine/lowering.h"
#include "engine/map_passes.h"

namespace yolov3 {

// Places for buffers in one arena: those that live at the same time do not overlap.
struct ArenaBuffer {
  int64_t bytes = 0;
  int first = 0, last = 0;  // steps during which it is alive, both included
  int64_t offset = 0;       // the result
};
int64_t place_buffers(std::vector<ArenaBuffer>& buffers);  // returns the arena's size

class DnnlProgram {
 public:
  // Errors: a layer that oneDNN cannot do.
  DnnlProgram(std::shared_ptr<DnnlModel> model, const NetworkSpec& spec, int64_t images, const Plan& plan);
  ~DnnlProgram();

  int64_t arena_bytes() const;
  void place(std::byte* arena);  // 64-byte aligned; before the first run, and whenever the arena has moved

  MapView input() const;  // to be filled before each run
  void run();
  void run_observed(const LayerObserver& observe);
  std::vector<StepTime> run_timed();
  std::vector<RawMap> outputs() const;  // small objects first; valid until the next run

  std::vector<StepTime> steps() const;  // what run_timed() times, without times
  int64_t packed_bytes() const;         // of the weights' copies

  // A line for each convolution that oneDNN could not do as the plan says, with what is done instead.
  const std::vector<std::string>& substitutes() const { return substitutes_; }

 private:
  friend class ProgramBuilder;
  struct Map;
  struct Conv;
  struct Step;

  MapView view(int map) const;
  void execute(const Step& step);

  std::shared_ptr<DnnlModel> model_;
  dnnl::stream stream_;
  NetworkSpec spec_;
  int64_t images_ = 0;
  std::vector<Map> maps_;
  std::vector<ArenaBuffer> buffers_;
  std::vector<Conv> convs_;
  std::vector<Step> steps_;
  std::vector<int> outputs_;  // maps of the heads
  std::vector<std::string> substitutes_;
  int input_ = -1, scratch_ = -1;
  int64_t arena_bytes_ = 0;
  std::byte* arena_ = nullptr;
};

}  // namespace yolov3
