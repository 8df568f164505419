// What the programs of one training engine share, whatever their batch and size: the parameters and their gradients,
// which belong to the caller, and the copies of the kernels that primitives want, made anew when the parameters have
// changed.
// Threads: one at a time.
#pragma once

#include <dnnl.hpp>

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/tensor.h"
#include "engine/kernel_packing.h"
#include "engine/training_engine.h"
#include "net/spec.h"
#include "net/weights.h"

namespace yolov3 {

// A kernel in the form that a primitive wants.
struct TrainKernel {
  dnnl::memory plain, packed;
  std::optional<KernelForm> form;  // of `packed`, where a pass of ours makes it
  dnnl::reorder reorder;           // else
  bool frozen = false;             // made once
  int64_t version = -1;            // of the parameters that it was made from
  Tensor storage;                  // of `packed`
};

class DnnlTrainModel {
 public:
  // tensors: one a slot of param_slots(spec); or none at all: enough to see what a program will take, not to run it.
  DnnlTrainModel(const NetworkSpec& spec, std::vector<TrainingTensor> tensors, const TrainingOptions& options);

  const NetworkSpec& spec() const { return spec_; }
  const TrainingOptions& options() const { return options_; }
  const dnnl::engine& engine() const { return engine_; }
  dnnl::stream& stream() { return stream_; }

  float* value(int layer, ParamKind kind) const { return tensor(layer, kind).value; }  // null without tensors
  float* gradient(int layer, ParamKind kind) const { return tensor(layer, kind).gradient; }
  // Where gradients go from now on; null where none is wanted. gradient_squares() begins at zero.
  void set_gradients(const std::vector<float*>& gradients);
  void add_gradient_squares(double sum) { gradient_squares_ += sum; }
  double gradient_squares() const { return gradient_squares_; }  // of what has been written since

  void parameters_changed() { ++version_; }

  // The kernel of convolution `layer` in this form; its numbers are there after refresh().
  std::shared_ptr<TrainKernel> kernel(int layer, const dnnl::memory::desc& form);
  bool refresh(TrainKernel& kernel);  // false: it was fresh
  int64_t packed_bytes() const;

 private:
  const TrainingTensor& tensor(int layer, ParamKind kind) const;

  NetworkSpec spec_;
  std::vector<TrainingTensor> tensors_;
  bool has_tensors_;
  TrainingOptions options_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  std::map<std::pair<int, ParamKind>, size_t> slot_of_;
  std::multimap<int, std::weak_ptr<TrainKernel>> kernels_;  // by layer
  int64_t version_ = 0;
  double gradient_squares_ = 0;
};

}  // namespace yolov3
