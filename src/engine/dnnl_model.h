// What all dnnl engines over one set of weights share: oneDNN's engine, the weights, and their packed copies, each made
// once for a layout and freed with the last program that uses it.
// Threads: any.
#pragma once

#include <dnnl.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net/quantization.h"
#include "net/spec.h"
#include "net/weights.h"

namespace yolov3 {

// A convolution's kernel and bias, batch norm folded in, as a primitive wants them.
struct PackedConv {
  Tensor storage;             // of the kernel, whatever its type
  dnnl::memory kernel, bias;  // bias f32
};

class DnnlModel {
 public:
  // Without weights (null), packed copies have a form but no memory: enough to see what a program will take.
  // Errors: weights that do not fit; scales that do not fit.
  DnnlModel(const NetworkSpec& spec, std::shared_ptr<const Weights> weights,
            std::shared_ptr<const Quantization> quantization);

  const NetworkSpec& spec() const { return spec_; }
  const Quantization* quantization() const { return quantization_.get(); }
  const dnnl::engine& engine() const { return engine_; }

  // Kernel of convolution `layer` in the form `kernel_form`; bias as f32. s8 kernels: q = kernel / filter_scales, and
  // the bias is divided by source_scale * filter_scales, for oneDNN adds it before it scales.
  std::shared_ptr<const PackedConv> packed(int layer, const dnnl::memory::desc& kernel_form, float source_scale);

  int64_t packed_bytes();  // of all kernels that are packed right now

  // max|kernel| / 127 of every filter, batch norm folded in.
  std::vector<float> filter_scales(int layer);

 private:
  struct Entry {
    dnnl::memory::desc form;
    float source_scale;
    std::weak_ptr<const PackedConv> packed;
  };
  PackedConv pack(int layer, const dnnl::memory::desc& form, float source_scale);

  NetworkSpec spec_;
  std::shared_ptr<const Weights> weights_;
  std::shared_ptr<const Quantization> quantization_;
  dnnl::engine engine_;
  std::vector<size_t> first_slot_;  // of each layer
  std::mutex mutex_;
  std::multimap<int, Entry> entries_;  // by layer
  std::map<int, std::vector<float>> filter_scales_;
};

}  // namespace yolov3
