// Runs an ONNX model in OpenCV's DNN module: another program's reading of a file that we wrote. For checking exports,
// not for detecting.
// Errors: what OpenCV cannot read or run, in its words. Threads: one call at a time (OpenCV's log level is changed).
#pragma once

#include <string>
#include <vector>

#include "base/tensor.h"

namespace yolov3 {

// file: its bytes. images: N,C,H,W. Gives the named outputs in their order.
std::vector<Tensor> run_onnx_in_opencv(const std::string& file, const Tensor& images,
                                       const std::vector<std::string>& outputs);

std::string opencv_version();

}  // namespace yolov3
