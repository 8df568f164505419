// For tests: ONNX Runtime, where node has it (npm's onnxruntime-node; bench/peers/ort_run.js).
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/objects.h"
#include "base/tensor.h"
#include "base/text.h"

namespace yolov3::test {

class OnnxRuntime {
 public:
  // `folder`: for the files that it is given.
  explicit OnnxRuntime(std::filesystem::path folder) : folder_(std::move(folder)) {
    version_ = std::string(trim(output_of(script_ + " version 2>/dev/null")));
  }
  bool is_there() const { return !version_.empty(); }
  static const char* absence() {
    return "SKIPPED: no onnxruntime-node in $ORT_NODE_MODULES or ./node_modules (npm install onnxruntime-node): "
           "exports "
           "were NOT run in ONNX Runtime";
  }

  // {"output": {"dims": [...], "data": [...]}, ...}
  nlohmann::json run(const std::string& file, const Tensor& images) const {
    write_file(folder_ / "model.onnx", file);
    write_file(folder_ / "input.f32",
               {reinterpret_cast<const char*>(images.data()), static_cast<size_t>(images.size()) * sizeof(float)});
    std::string shape;
    for (const int64_t side : images.shape()) shape += (shape.empty() ? "" : ",") + std::to_string(side);
    const std::string out = output_of(script_ + " " + (folder_ / "model.onnx").string() + " " +
                                      (folder_ / "input.f32").string() + " " + shape);
    EXPECT_NE(out, "") << "ONNX Runtime " << version_ << " failed";
    return out.empty() ? nlohmann::json::object() : nlohmann::json::parse(out);
  }

  std::vector<Tensor> maps(const std::string& file, const Tensor& images, const std::vector<std::string>& names) const {
    const nlohmann::json found = run(file, images);
    std::vector<Tensor> tensors;
    for (const std::string& name : names) {
      const auto values = found.at(name).at("data").get<std::vector<float>>();
      Tensor tensor(found.at(name).at("dims").get<Shape>());
      std::ranges::copy(values, tensor.data());
      tensors.push_back(std::move(tensor));
    }
    return tensors;
  }

 private:
  static std::string output_of(const std::string& command) {
    std::string out;
    FILE* pipe = ::popen(command.c_str(), "r");
    char buffer[4096];
    for (size_t n = 0; pipe != nullptr && (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
    return pipe != nullptr && ::pclose(pipe) == 0 ? out : "";
  }

  const std::string script_ = "node " YOLOV3_SOURCE_DIR "/bench/peers/ort_run.js";
  const std::filesystem::path folder_;
  std::string version_;
};

// What --head nms kept: of image `image` of the batch, in network pixels.
struct OnnxDetection {
  int64_t image;
  Detection detection;
};

inline std::vector<OnnxDetection> detections_of_nms(const nlohmann::json& found) {
  const auto data = [&](const char* name) -> const nlohmann::json& { return found.at(name).at("data"); };
  std::vector<OnnxDetection> all;
  for (size_t i = 0; i < data("score").size(); ++i) {
    const auto corner = [&](size_t c) { return data("box")[4 * i + c].get<float>(); };
    all.push_back({data("image")[i].get<int64_t>(),
                   {{corner(0), corner(1), corner(2), corner(3)},
                    data("class_id")[i].get<int>(),
                    data("score")[i].get<float>()}});
  }
  return all;
}

}  // namespace yolov3::test
