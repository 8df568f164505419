#include "format/onnx_graph.h"

#include <bit>

namespace yolov3 {
namespace {

static_assert(std::endian::native == std::endian::little, "ONNX's raw data is little-endian");

struct SetAttribute {
  onnx::AttributeProto& to;
  void operator()(int64_t value) const {
    to.set_type(onnx::AttributeProto::INT);
    to.set_i(value);
  }
  void operator()(float value) const {
    to.set_type(onnx::AttributeProto::FLOAT);
    to.set_f(value);
  }
  void operator()(const std::string& value) const {
    to.set_type(onnx::AttributeProto::STRING);
    to.set_s(value);
  }
  void operator()(const std::vector<int64_t>& values) const {
    to.set_type(onnx::AttributeProto::INTS);
    for (const int64_t value : values) to.add_ints(value);
  }
};

void set_type(onnx::ValueInfoProto& info, const std::string& name, int32_t type, const std::vector<OnnxSide>& shape) {
  info.set_name(name);
  onnx::TypeProto_Tensor& tensor = *info.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(type);
  tensor.mutable_shape();
  for (const OnnxSide& side : shape) {
    onnx::TensorShapeProto_Dimension& dimension = *tensor.mutable_shape()->add_dim();
    if (const auto* value = std::get_if<int64_t>(&side)) {
      dimension.set_dim_value(*value);
    } else {
      dimension.set_dim_param(std::get<std::string>(side));
    }
  }
}

}  // namespace

std::string OnnxGraph::node(const std::string& name, const std::string& op, const std::vector<std::string>& inputs,
                            const std::vector<OnnxAttribute>& attributes) {
  onnx::NodeProto& node = *graph_.add_node();
  node.set_name(name);
  node.set_op_type(op);
  for (const std::string& input : inputs) node.add_input(input);
  node.add_output(name);
  for (const OnnxAttribute& attribute : attributes) {
    onnx::AttributeProto& to = *node.add_attribute();
    to.set_name(attribute.name);
    std::visit(SetAttribute{to}, attribute.value);
  }
  return name;
}

onnx::TensorProto& OnnxGraph::add_constant(const std::string& name, const Shape& shape, int32_t type) {
  onnx::TensorProto& tensor = *graph_.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(type);
  for (const int64_t side : shape) tensor.add_dims(side);
  return tensor;
}

std::string OnnxGraph::floats(const std::string& name, const Shape& shape, std::span<const float> values) {
  add_constant(name, shape, onnx::TensorProto::FLOAT).set_raw_data(values.data(), values.size_bytes());
  return name;
}

std::string OnnxGraph::ints(const std::string& name, const Shape& shape, std::span<const int64_t> values) {
  add_constant(name, shape, onnx::TensorProto::INT64).set_raw_data(values.data(), values.size_bytes());
  return name;
}

std::string OnnxGraph::slice(const std::string& name, const std::string& input, int64_t axis, int64_t begin,
                             int64_t end) {
  return node(name, "Slice",
              {input, list(name + "/from", {begin}), list(name + "/to", {end}), list(name + "/axis", {axis})});
}

std::string OnnxGraph::reshape(const std::string& name, const std::string& input, const std::vector<int64_t>& shape) {
  return node(name, "Reshape", {input, list(name + "/shape", shape)});
}

void OnnxGraph::input(const std::string& name, const std::vector<OnnxSide>& shape) {
  set_type(*graph_.add_input(), name, onnx::TensorProto::FLOAT, shape);
}

void OnnxGraph::output(const std::string& name, const std::string& value, int32_t type,
                       const std::vector<OnnxSide>& shape) {
  node(name, "Identity", {value});
  set_type(*graph_.add_output(), name, type, shape);
}

}  // namespace yolov3
