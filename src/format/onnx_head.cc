#include "format/onnx_head.h"

#include <limits>

namespace yolov3 {
namespace {

// What turns logits into pixels: numbers in the file where the size is fixed, computed from the maps where it is not.
struct HeadGeometry {
  std::string grid;     // x and y of each cell
  std::string stride;   // pixels a cell
  std::string anchors;  // pixels
};

class HeadWriter {
 public:
  HeadWriter(OnnxGraph& graph, const std::string& name, const Head& head, const OnnxOptions& options)
      : graph_(graph), name_(name), head_(head), options_(options) {}

  OnnxBoxes write(const std::string& raw, const std::string& images) {
    const int64_t rows = 5 + head_.classes;
    const std::string planes = graph_.reshape(at("planes"), raw, {0, anchor_count(), rows, -1});  // N,A,5+K,cells
    const std::string cells =
        graph_.node(at("cells"), "Transpose", {planes}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});  // N,A,cells,5+K
    const HeadGeometry geometry = options_.dynamic_size ? computed_geometry(raw, images) : fixed_geometry();
    OnnxBoxes found;
    found.boxes = graph_.reshape(at("boxes"), write_corners(cells, geometry), {0, -1, 4});
    const std::string logits = graph_.slice(at("class_logits"), cells, 3, 5, rows);
    found.class_logits = graph_.reshape(at("class_rows"), logits, {0, -1, head_.classes});
    const std::string objectness =
        graph_.node(at("objectness"), "Sigmoid", {graph_.slice(at("objectness_logit"), cells, 3, 4, 5)});
    const std::string scores =
        graph_.node(at("products"), "Mul", {graph_.node(at("classes"), "Sigmoid", {logits}), objectness});
    found.scores = graph_.reshape(at("scores"), scores, {0, -1, head_.classes});
    return found;
  }

 private:
  std::string at(const std::string& part) const { return name_ + "/" + part; }
  int64_t anchor_count() const { return static_cast<int64_t>(head_.anchors.size()); }

  // x = (sigmoid(t) * s - (s-1)/2 + gx) * stride, w = exp(min(t, limit)) * anchor, in decode's order of operations.
  std::string write_corners(const std::string& cells, const HeadGeometry& geometry) {
    std::string offset = graph_.node(at("offset"), "Sigmoid", {graph_.slice(at("xy"), cells, 3, 0, 2)});
    const std::string limited =
        graph_.node(at("limited"), "Min", {graph_.slice(at("wh"), cells, 3, 2, 4), write_limit(offset)});
    if (head_.scale_xy != 1) {
      offset = graph_.node(at("offset_scaled"), "Mul", {offset, graph_.scalar(at("scale_xy"), head_.scale_xy)});
      offset =
          graph_.node(at("offset_shifted"), "Sub", {offset, graph_.scalar(at("shift"), 0.5f * (head_.scale_xy - 1))});
    }
    const std::string place = graph_.node(at("place"), "Add", {offset, geometry.grid});
    const std::string centre = graph_.node(at("centre"), "Mul", {place, geometry.stride});
    const std::string size =
        graph_.node(at("size"), "Mul", {graph_.node(at("exp"), "Exp", {limited}), geometry.anchors});
    const std::string half = graph_.node(at("half"), "Mul", {size, graph_.scalar(at("one_half"), 0.5f)});
    return graph_.node(at("corners"), "Concat",
                       {graph_.node(at("low"), "Sub", {centre, half}), graph_.node(at("high"), "Add", {centre, half})},
                       {{"axis", int64_t{3}}});
  }

  // The limit of exp's argument as a map like `unit`, whose numbers lie within [0,1]: OpenCV 4.6 takes neither Clip's
  // bounds nor Min's from numbers in the file.
  std::string write_limit(const std::string& unit) {
    const std::string zeros = graph_.node(at("zeros"), "Mul", {unit, graph_.scalar(at("nothing"), 0.0f)});
    return graph_.node(at("limits"), "Add", {zeros, graph_.scalar(at("limit"), options_.max_exp_logit)});
  }

  // All 1,A,cells,2: OpenCV 4.6 does not stretch numbers that are of another shape than the map.
  HeadGeometry fixed_geometry() {
    const int64_t cells = head_.grid_height * head_.grid_width;
    std::vector<float> grid, stride, anchors;
    for (const Anchor& anchor : head_.anchors) {
      for (int64_t cell = 0; cell < cells; ++cell) {
        grid.push_back(static_cast<float>(cell % head_.grid_width));
        grid.push_back(static_cast<float>(cell / head_.grid_width));
        stride.insert(stride.end(), {head_.stride_x, head_.stride_y});
        anchors.insert(anchors.end(), {anchor.width, anchor.height});
      }
    }
    const Shape shape = {1, anchor_count(), cells, 2};
    return {graph_.floats(at("grid"), shape, grid), graph_.floats(at("stride"), shape, stride),
            graph_.floats(at("anchors"), shape, anchors)};
  }

  // One number of a shape, as a scalar.
  std::string side(const std::string& part, const std::string& shape, int64_t axis) {
    return graph_.node(at(part), "Gather", {shape, graph_.ints(at(part + "_axis"), {}, {&axis, 1})},
                       {{"axis", int64_t{0}}});
  }

  std::string as_float(const std::string& part, const std::string& value, const std::vector<int64_t>& shape) {
    const std::string shaped = graph_.reshape(at(part + "_shaped"), value, shape);
    return graph_.node(at(part), "Cast", {shaped}, {{"to", int64_t{onnx::TensorProto::FLOAT}}});
  }

  // Pixels a cell along one side.
  std::string pixels_a_cell(const std::string& part, const std::string& pixels, const std::string& cells) {
    return graph_.node(at(part), "Div",
                       {as_float(part + "_pixels", pixels, {1}), as_float(part + "_cells", cells, {1})});
  }

  HeadGeometry computed_geometry(const std::string& raw, const std::string& images) {
    const std::string map_shape = graph_.node(at("map_shape"), "Shape", {raw});
    const std::string image_shape = graph_.node(at("image_shape"), "Shape", {images});
    const std::string height = side("grid_height", map_shape, 2), width = side("grid_width", map_shape, 3);
    const int64_t zero = 0, one = 1;
    const std::string count = graph_.node(at("cell_count"), "Mul", {height, width});
    const std::string cells =
        graph_.node(at("cell_numbers"), "Range",
                    {graph_.ints(at("zero"), {}, {&zero, 1}), count, graph_.ints(at("one"), {}, {&one, 1})});
    const std::string gx = as_float("gx", graph_.node(at("column"), "Mod", {cells, width}), {-1, 1});
    const std::string gy = as_float("gy", graph_.node(at("row"), "Div", {cells, width}), {-1, 1});
    std::vector<float> anchors;
    for (const Anchor& anchor : head_.anchors) anchors.insert(anchors.end(), {anchor.width, anchor.height});
    return {graph_.node(at("grid"), "Concat", {gx, gy}, {{"axis", int64_t{1}}}),  // cells,2
            graph_.node(at("stride"), "Concat",
                        {pixels_a_cell("stride_x", side("width", image_shape, 3), width),
                         pixels_a_cell("stride_y", side("height", image_shape, 2), height)},
                        {{"axis", int64_t{0}}}),  // 2
            graph_.floats(at("anchors"), {anchor_count(), 1, 2}, anchors)};
  }

  OnnxGraph& graph_;
  const std::string name_;
  const Head& head_;
  const OnnxOptions& options_;
};

std::string join_rows(OnnxGraph& graph, const std::string& name, const std::vector<std::string>& parts) {
  return parts.size() == 1 ? parts[0] : graph.node(name, "Concat", parts, {{"axis", int64_t{1}}});
}

// The scores with all but each row's best class at 0. The best is found among the logits, as decode finds it: scores
// that round to 1 are still told apart.
std::string keep_best_class(OnnxGraph& graph, const OnnxBoxes& found, int classes) {
  const std::string best =
      graph.node("nms/best_class", "ArgMax", {found.class_logits}, {{"axis", int64_t{2}}, {"keepdims", int64_t{0}}});
  const int64_t depth = classes;
  const float off_on[] = {0, 1};
  const std::string mask = graph.node(
      "nms/mask", "OneHot", {best, graph.ints("nms/depth", {}, {&depth, 1}), graph.floats("nms/off_on", {2}, off_on)},
      {{"axis", int64_t{-1}}});
  return graph.node("nms/best_scores", "Mul", {found.scores, mask});
}

}  // namespace

OnnxBoxes write_onnx_decode(OnnxGraph& graph, const std::vector<std::string>& raw_maps, const std::string& images,
                            const std::vector<Head>& heads, const OnnxOptions& options) {
  std::vector<std::string> boxes, scores, logits;
  for (size_t h = 0; h < heads.size(); ++h) {
    const OnnxBoxes found = HeadWriter(graph, "head" + std::to_string(h), heads[h], options).write(raw_maps[h], images);
    boxes.push_back(found.boxes);
    scores.push_back(found.scores);
    logits.push_back(found.class_logits);
  }
  const bool needs_logits = options.head == OnnxHead::nms && !options.multi_label;
  return {join_rows(graph, "all/boxes", boxes), join_rows(graph, "all/scores", scores),
          needs_logits ? join_rows(graph, "all/class_logits", logits) : ""};
}

OnnxKept write_onnx_nms(OnnxGraph& graph, const OnnxBoxes& found, int classes, const OnnxOptions& options) {
  const std::string scores = options.multi_label ? found.scores : keep_best_class(graph, found, classes);
  const std::string by_class =
      graph.node("nms/by_class", "Transpose", {scores}, {{"perm", std::vector<int64_t>{0, 2, 1}}});  // N,K,M
  const int64_t most = options.max_detections > 0 ? options.max_detections : std::numeric_limits<int32_t>::max();
  const std::string kept =  // S,3: image, class, row
      graph.node("nms/kept", "NonMaxSuppression",
                 {found.boxes, by_class, graph.ints("nms/max_detections", {1}, {&most, 1}),
                  graph.floats("nms/iou_threshold", {1}, {&options.iou_threshold, 1}),
                  graph.floats("nms/score_threshold", {1}, {&options.score_threshold, 1})});
  const auto columns = [&](const std::string& name, const Shape& shape, const std::vector<int64_t>& which) {
    return graph.node(name, "Gather", {kept, graph.ints(name + "/columns", shape, which)}, {{"axis", int64_t{1}}});
  };
  return {columns("nms/image", {}, {0}), columns("nms/class", {}, {1}),
          graph.node("nms/score", "GatherND", {scores, columns("nms/score_at", {3}, {0, 2, 1})}),
          graph.node("nms/box", "GatherND", {found.boxes, columns("nms/box_at", {2}, {0, 2})})};
}

}  // namespace yolov3
