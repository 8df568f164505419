// Writing an ONNX graph in few words: a call a node, which gives the name of the map that the node makes.
//
// Values are names, as in ONNX itself. A name is used once; `scope` of a call begins it: "layer3/conv".
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/tensor.h"

namespace yolov3 {

struct OnnxAttribute {
  const char* name;
  std::variant<int64_t, float, std::string, std::vector<int64_t>> value;
};

// One side of an input or output: a number, or a name for what the caller of the runtime chooses.
using OnnxSide = std::variant<int64_t, std::string>;

class OnnxGraph {
 public:
  // The graph must outlive this.
  explicit OnnxGraph(onnx::GraphProto& graph) : graph_(graph) {}

  // Appends a node with one output, whose name it gives back: `name`.
  std::string node(const std::string& name, const std::string& op, const std::vector<std::string>& inputs,
                   const std::vector<OnnxAttribute>& attributes = {});

  // Numbers in the file. An empty shape is a scalar.
  std::string floats(const std::string& name, const Shape& shape, std::span<const float> values);
  std::string ints(const std::string& name, const Shape& shape, std::span<const int64_t> values);
  std::string scalar(const std::string& name, float value) { return floats(name, {}, {&value, 1}); }
  std::string list(const std::string& name, const std::vector<int64_t>& values) {
    return ints(name, {static_cast<int64_t>(values.size())}, values);
  }

  // Part [begin,end) of one axis.
  std::string slice(const std::string& name, const std::string& input, int64_t axis, int64_t begin, int64_t end);
  std::string reshape(const std::string& name, const std::string& input, const std::vector<int64_t>& shape);

  void input(const std::string& name, const std::vector<OnnxSide>& shape);
  // `value` under the public name `name`.
  void output(const std::string& name, const std::string& value, int32_t type, const std::vector<OnnxSide>& shape);

 private:
  onnx::TensorProto& add_constant(const std::string& name, const Shape& shape, int32_t type);

  onnx::GraphProto& graph_;
};

}  // namespace yolov3
