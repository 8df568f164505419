// yolov3 export: the options of every format, and who writes it.
#pragma once

#include <filesystem>
#include <string>

#include "app/export_onnx.h"

namespace yolov3 {

struct ExportCommand {
  std::filesystem::path weights, out;
  std::string to = "onnx";
  ImageSize imgsz;
  OnnxExportOptions onnx;
};

}  // namespace yolov3
