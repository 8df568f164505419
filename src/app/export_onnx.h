// A model to an ONNX file that is proved before it is written: ONNX's own checker, then OpenCV's DNN module against our
// engine on the same input.
//
// Errors: as make_onnx (format/onnx.h); Kind::accuracy when OpenCV's results are not ours, and then no file is written.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "app/options.h"
#include "engine/engine.h"
#include "format/onnx.h"

namespace yolov3 {

struct OnnxExportOptions {
  std::filesystem::path out;
  ImageSize imgsz;  // 0x0: the model's
  std::string head = "raw";
  bool dynamic = false;  // any batch and size
  OnnxOptions onnx;      // head, dynamic_size, versions and limits are filled in from the above
  bool verify = true;    // run it and compare
};

// The options that only --to onnx has: their names, for Options::allow_only.
std::vector<std::string> add_onnx_options(Options& options, OnnxExportOptions& onnx);

// Options that would have no effect together. Errors: Kind::usage.
void check_onnx_options(const Options& options, const OnnxExportOptions& onnx);

// One output of the file, as another program computes it, beside ours.
struct OutputDifference {
  std::string name;
  double difference = 0;  // largest
  double largest = 0;     // of our numbers, without sign
  bool within_tolerance() const;
};

// `images` through our engine and, where the head is not raw, decode: in the file's order (format/onnx.h).
std::vector<Tensor> own_outputs(Engine& engine, const NetworkSpec& spec, OnnxHead head, const Tensor& images);
std::vector<OutputDifference> differences(const std::vector<std::string>& names, const std::vector<Tensor>& ours,
                                          const std::vector<Tensor>& theirs);

// Prints what was written and how far the other program's numbers are from ours.
void export_onnx(const Model& model, const OnnxExportOptions& options);

}  // namespace yolov3
