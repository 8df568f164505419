// Our own model file: one self-describing HDF5 (.h5), docs/formats.md.
//
// Weights stand in Keras' save_weights layout and names (conv2d, conv2d_1, ..., batch_normalization, ...; kernels
// HWIO), attributes hold the cfg text, class names, anchors, input size and training facts. A checkpoint to resume is
// the same file with more tensors and values under /training. The file ends with a 16-byte trailer behind HDF5's end of
// file ("YOLOV3C1", length check, CRC-32C of all before; format/sealed_file.h), verified before HDF5 parses a byte, and
// HDF5 parses it in a child process first (format/fenced_read.h).
// Errors: a truncated, foreign, hostile or damaged file is refused, saying what it is instead where that can be told. A
// save that fails (a full disk) leaves what stood at `path`, and no other file. The same model gives the same bytes.
// Threads: any; HDF5 work happens one after the other.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "net/quantization.h"
#include "net/spec.h"
#include "net/weights.h"

namespace yolov3 {

struct Model {
  NetworkSpec spec;
  Weights weights;
  std::vector<std::string> names;            // of the classes
  std::map<std::string, std::string> facts;  // "epoch", "mAP_0.5", "data", "program": free text for people
  std::optional<Quantization> quantization;  // once it was calibrated; of exactly these weights
};

// What training needs to go on. Names may have '/' between parts, none empty or "."; values hold no zero byte.
struct TrainingState {
  std::map<std::string, Tensor> tensors;      // "adam/mean/layer3.kernel", ...
  std::map<std::string, std::string> values;  // step, epoch, best, options as TOML, ...
};

void save_model(const std::filesystem::path& path, const Model& model, const TrainingState* state = nullptr);
Model load_model(const std::filesystem::path& path, TrainingState* state = nullptr);  // state: filled when present

// The part of load_model that stands behind the seal and the fence, for what is to see HDF5 crash: the first `size`
// bytes of `descriptor`. `path` is for messages.
Model read_model(int descriptor, uint64_t size, const std::filesystem::path& path, TrainingState* state);

}  // namespace yolov3
