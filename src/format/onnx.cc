#include "format/onnx.h"

#include <fmt/format.h>
#include <onnx/checker.h>
#include <onnx/shape_inference/implementation.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "base/usage.h"
#include "format/onnx_graph.h"
#include "format/onnx_head.h"
#include "format/onnx_layers.h"
#include "net/builder.h"

namespace yolov3 {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMaxFileBytes = std::numeric_limits<int32_t>::max();  // protobuf's
constexpr const char* kInput = "images";

void check_options(const OnnxOptions& options) {
  check(options.opset >= kMinOpset && options.opset <= kMaxOpset, "ONNX opset {} is not within {} to {}", options.opset,
        kMinOpset, kMaxOpset);
  check(options.batch >= 0 && options.batch <= 65536, "a batch of {} pictures is not within 0 (any) to 65536",
        options.batch);
  check(options.max_detections >= 0, "at most {} detections: expected a count, or 0 for all", options.max_detections);
  for (const float threshold : {options.score_threshold, options.iou_threshold}) {
    check(threshold >= 0 && threshold <= 1, "threshold {} is not within 0 to 1", threshold);
  }
}

void check_fits(int64_t bytes) {
  check(bytes <= kMaxFileBytes,
        "an ONNX file of this network would take {}, and protobuf's limit is 2 GB; export it to h5 or darknet instead",
        human_bytes(static_cast<double>(bytes)));
}

// A version of the file format that knows the opset: ONNX's own table of releases.
int ir_version(int opset) { return opset <= 11 ? 6 : opset <= 14 ? 7 : 8; }

std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json anchors_of(const std::vector<Head>& heads) {
  Json all = Json::array();
  for (const Head& head : heads) {
    Json own = Json::array();
    for (const Anchor& anchor : head.anchors) own.push_back({anchor.width, anchor.height});
    all.push_back(std::move(own));
  }
  return all;
}

Json strides_of(const std::vector<Head>& heads) {
  Json all = Json::array();
  for (const Head& head : heads) all.push_back({head.stride_x, head.stride_y});
  return all;
}

// What a program must know to make inputs and read outputs; docs/formats.md has the table.
void write_metadata(onnx::ModelProto& file, const Model& model, const std::vector<Head>& heads,
                    const OnnxOptions& options) {
  const auto put = [&](const std::string& key, const std::string& value) {
    onnx::StringStringEntryProto& entry = *file.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  };
  Json scales = Json::array();
  for (const Head& head : heads) scales.push_back(head.scale_xy);
  constexpr const char* kHeads[] = {"raw", "boxes", "nms"};
  put("head", kHeads[static_cast<size_t>(options.head)]);
  put("names", dumped(model.names));
  put("classes", std::to_string(heads[0].classes));
  put("anchors", dumped(anchors_of(heads)));
  put("strides", dumped(strides_of(heads)));
  put("scale_x_y", dumped(scales));
  put("max_exp_logit", fmt::format("{}", options.max_exp_logit));
  put("input_width", std::to_string(model.spec.input.width));
  put("input_height", std::to_string(model.spec.input.height));
  put("input_scale", fmt::format("{}", 1.0 / 255));
  put("input_channels", model.spec.input.channels == 3 ? "RGB" : std::to_string(model.spec.input.channels));
  put("letterbox_grey", "128");
  for (const auto& [key, value] : model.facts) put("fact_" + key, value);
}

void write_outputs(OnnxGraph& graph, const std::vector<std::string>& raw_maps, const std::vector<Head>& heads,
                   const OnnxSide& batch, const OnnxOptions& options) {
  const OnnxSide classes = int64_t{heads[0].classes};
  if (options.head == OnnxHead::raw) {
    for (size_t h = 0; h < heads.size(); ++h) {
      const Head& head = heads[h];
      const auto side = [&](const char* name, int64_t cells) {
        return options.dynamic_size ? OnnxSide(name + std::to_string(h)) : OnnxSide(cells);
      };
      const auto channels = static_cast<int64_t>(head.anchors.size()) * (5 + head.classes);
      graph.output("raw" + std::to_string(h), raw_maps[h], onnx::TensorProto::FLOAT,
                   {batch, channels, side("grid_height", head.grid_height), side("grid_width", head.grid_width)});
    }
    return;
  }
  const OnnxBoxes found = write_onnx_decode(graph, raw_maps, kInput, heads, options);
  if (options.head == OnnxHead::nms) {
    const OnnxKept kept = write_onnx_nms(graph, found, heads[0].classes, options);
    const OnnxSide count = std::string("detections");
    graph.output("image", kept.image, onnx::TensorProto::INT64, {count});
    graph.output("class_id", kept.class_id, onnx::TensorProto::INT64, {count});
    graph.output("score", kept.score, onnx::TensorProto::FLOAT, {count});
    graph.output("box", kept.box, onnx::TensorProto::FLOAT, {count, int64_t{4}});
    return;
  }
  int64_t rows = 0;
  for (const Head& head : heads) {
    rows += static_cast<int64_t>(head.anchors.size()) * head.grid_height * head.grid_width;
  }
  const OnnxSide count = options.dynamic_size ? OnnxSide(std::string("rows")) : OnnxSide(rows);
  graph.output("boxes", found.boxes, onnx::TensorProto::FLOAT, {batch, count, int64_t{4}});
  graph.output("scores", found.scores, onnx::TensorProto::FLOAT, {batch, count, classes});
}

onnx::ModelProto make_file(const Model& model, const std::vector<Head>& heads, const OnnxOptions& options) {
  onnx::ModelProto file;
  file.set_ir_version(ir_version(options.opset));
  file.set_producer_name("yolov3");
  file.set_producer_version(options.producer_version);
  file.add_opset_import()->set_version(options.opset);
  file.mutable_graph()->set_name("yolov3");
  write_metadata(file, model, heads, options);

  OnnxGraph graph(*file.mutable_graph());
  const OnnxSide batch = options.batch == 0 ? OnnxSide(std::string("batch")) : OnnxSide(int64_t{options.batch});
  const auto side = [&](const char* name, int64_t pixels) {
    return options.dynamic_size ? OnnxSide(std::string(name)) : OnnxSide(pixels);
  };
  const LayerShape& input = model.spec.input;
  graph.input(kInput, {batch, input.channels, side("height", input.height), side("width", input.width)});
  const std::vector<std::string> maps = write_onnx_layers(graph, kInput, model.spec, model.weights);
  std::vector<std::string> raw_maps;
  for (const Head& head : heads) raw_maps.push_back(maps[static_cast<size_t>(head.layer)]);
  write_outputs(graph, raw_maps, heads, batch, options);
  return file;
}

// ONNX's own rules, of what a reader of these bytes sees: the checker, then every node's types and shapes against what
// is declared.
void check_bytes(const std::string& bytes) {
  onnx::ModelProto file;
  check(file.ParseFromString(bytes), "protobuf cannot read back what it wrote");
  try {
    onnx::checker::check_model(file);
    onnx::shape_inference::InferShapes(file, onnx::OpSchemaRegistry::Instance(), {true, 1, true});
  } catch (const std::exception& error) {
    fail("ONNX's checker refuses the model: {}", error.what());
  }
}

}  // namespace

OnnxHead parse_onnx_head(const std::string& text) {
  if (text == "raw") return OnnxHead::raw;
  if (text == "boxes") return OnnxHead::boxes;
  if (text == "nms") return OnnxHead::nms;
  fail_usage("unknown ONNX head \"{}\"; expected raw, boxes or nms", text);
}

std::vector<std::string> onnx_outputs(const NetworkSpec& spec, OnnxHead head) {
  if (head == OnnxHead::boxes) return {"boxes", "scores"};
  if (head == OnnxHead::nms) return {"image", "class_id", "score", "box"};
  std::vector<std::string> names;
  for (size_t h = 0; h < heads(spec).size(); ++h) names.push_back("raw" + std::to_string(h));
  return names;
}

std::string make_onnx(const Model& model, const OnnxOptions& options) {
  check_options(options);
  check_spec(model.spec);
  check_fits(count_params(model.spec).all * static_cast<int64_t>(sizeof(float)));  // before any memory is taken
  check_weights(model.spec, model.weights);
  std::string bytes;
  {
    const onnx::ModelProto file = make_file(model, heads(model.spec), options);
    check_fits(static_cast<int64_t>(file.ByteSizeLong()));
    check(file.SerializeToString(&bytes), "protobuf cannot write this model");
  }
  check_bytes(bytes);
  return bytes;
}

}  // namespace yolov3
