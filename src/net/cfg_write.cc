#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>

#include "net/builder.h"
#include "net/cfg.h"
#include "net/shape.h"

namespace yolov3 {
namespace {

// Appends "key=value" lines; numbers in the fewest digits that read back as the same float.
class CfgWriter {
 public:
  void section(std::string_view name) { fmt::format_to(std::back_inserter(text_), "\n[{}]\n", name); }
  template <class T>
  void line(std::string_view key, const T& value) {
    fmt::format_to(std::back_inserter(text_), "{}={}\n", key, value);
  }
  std::string take() { return text_.substr(1); }  // without the first empty line

 private:
  std::string text_;
};

void write_keys(CfgWriter& out, const Layer&, const Conv& conv) {
  if (conv.batch_normalize) out.line("batch_normalize", 1);
  out.line("filters", conv.filters);
  out.line("size", conv.size);
  out.line("stride", conv.stride);
  conv.padding == conv.size / 2 ? out.line("pad", 1) : out.line("padding", conv.padding);
  if (conv.groups != 1) out.line("groups", conv.groups);
  out.line("activation", to_string(conv.activation));
}

void write_keys(CfgWriter& out, const Layer& layer, const Shortcut& shortcut) {
  out.line("from", layer.inputs[1]);
  out.line("activation", to_string(shortcut.activation));
}

void write_keys(CfgWriter& out, const Layer& layer, const Route& route) {
  out.line("layers", fmt::format("{}", fmt::join(layer.inputs, ",")));
  if (route.groups == 1) return;
  out.line("groups", route.groups);
  out.line("group_id", route.group_id);
}

void write_keys(CfgWriter& out, const Layer&, const Upsample& upsample) { out.line("stride", upsample.stride); }

void write_keys(CfgWriter& out, const Layer&, const MaxPool& pool) {
  out.line("size", pool.size);
  out.line("stride", pool.stride);
  if (pool.padding != pool.size - 1) out.line("padding", pool.padding);
}

void write_keys(CfgWriter&, const Layer&, const AvgPool&) {}

void write_keys(CfgWriter& out, const Layer&, const Dropout& dropout) { out.line("probability", dropout.probability); }

void write_keys(CfgWriter& out, const Layer& layer, const ScaleChannels& scale) {
  out.line("from", layer.inputs[1]);
  out.line("activation", to_string(scale.activation));
}

void write_keys(CfgWriter& out, const Layer&, const Yolo& yolo) {
  std::vector<float> sides;
  for (const Anchor& anchor : yolo.anchors) sides.insert(sides.end(), {anchor.width, anchor.height});
  out.line("mask", fmt::format("{}", fmt::join(yolo.mask, ",")));
  out.line("anchors", fmt::format("{}", fmt::join(sides, ",")));
  out.line("classes", yolo.classes);
  out.line("num", yolo.anchors.size());
  if (yolo.scale_xy != 1) out.line("scale_x_y", yolo.scale_xy);
}

}  // namespace

std::string write_cfg(const NetworkSpec& spec) {
  check_spec(spec);
  CfgWriter out;
  out.section("net");
  out.line("width", spec.input.width);
  out.line("height", spec.input.height);
  out.line("channels", spec.input.channels);
  if (spec.bn_epsilon != 1e-5f) out.line("bn_epsilon", spec.bn_epsilon);
  for (const Layer& layer : spec.layers) {
    out.section(layer_kind(layer));
    std::visit([&](const auto& op) { write_keys(out, layer, op); }, layer.op);
  }
  return out.take();
}

}  // namespace yolov3
