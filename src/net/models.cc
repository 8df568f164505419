#include "net/models.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "base/usage.h"
#include "net/builder.h"

namespace yolov3 {
namespace {

// In input pixels, found by Darknet's authors by clustering COCO's boxes.
const std::vector<Anchor> kCocoAnchors = {{10, 13},  {16, 30},  {33, 23},   {30, 61},  {62, 45},
                                          {59, 119}, {116, 90}, {156, 198}, {373, 326}};
const std::vector<Anchor> kTinyCocoAnchors = {{10, 14}, {23, 27}, {37, 58}, {81, 82}, {135, 169}, {344, 319}};

// The options of a model with their defaults filled in.
ModelOptions complete(ModelOptions options, const std::string& model, const std::vector<Anchor>& default_anchors) {
  check(options.width > 0 && options.height > 0 && options.width % 32 == 0 && options.height % 32 == 0,
        "{} takes pictures whose sides are multiples of 32, not {} x {}", model, options.width, options.height);
  check(options.classes >= 1, "{} needs at least 1 class, not {}", model, options.classes);
  if (options.anchors.empty()) options.anchors = default_anchors;
  check(options.anchors.size() == default_anchors.size(), "{} needs {} anchors, not {}", model, default_anchors.size(),
        options.anchors.size());
  return options;
}

LayerShape input_of(const ModelOptions& options) { return {3, options.height, options.width}; }

// --- Darknet-53 ---------------------------------------------------------------------------------------------------

struct Branches {
  int route_1, route_2, conv;  // layers 36, 61, 74: maps of 1/8, 1/16 and 1/32 of the input's size
};

void residual_block(NetworkBuilder& net, int filters) {
  const int in = net.last();
  net.conv(filters / 2, 1).conv(filters, 3).shortcut(in);
}

// Halves the map, then so many residual blocks. Returns the last layer.
int stage(NetworkBuilder& net, int filters, int blocks) {
  net.conv(filters, 3, 2);
  for (int i = 0; i < blocks; ++i) residual_block(net, filters);
  return net.last();
}

Branches darknet53(NetworkBuilder& net) {
  net.conv(32, 3);
  stage(net, 64, 1);
  stage(net, 128, 2);
  const int route_1 = stage(net, 256, 8);
  const int route_2 = stage(net, 512, 8);
  const int conv = stage(net, 1024, 4);
  return {route_1, route_2, conv};
}

// The backbone of yolov3-tiny. Returns layer 8: 1/16 of the input's size.
int tiny_backbone(NetworkBuilder& net) {
  net.conv(16, 3).maxpool(2, 2);
  net.conv(32, 3).maxpool(2, 2);
  net.conv(64, 3).maxpool(2, 2);
  net.conv(128, 3).maxpool(2, 2);
  net.conv(256, 3);
  const int route = net.last();
  net.maxpool(2, 2).conv(512, 3).maxpool(2, 1).conv(1024, 3);
  return route;
}

// Whether `spec` begins with the layers of `part`, for whatever input size.
bool begins_with(const NetworkSpec& spec, const NetworkSpec& part) {
  return spec.layers.size() >= part.layers.size() &&
         std::equal(part.layers.begin(), part.layers.end(), spec.layers.begin(),
                    [](const Layer& a, const Layer& b) { return a.inputs == b.inputs && a.op == b.op; });
}

// --- What stands on it --------------------------------------------------------------------------------------------

// Five convolutions, 1x1 and 3x3 by turns.
void conv_set(NetworkBuilder& net, int filters) {
  net.conv(filters, 1).conv(2 * filters, 3).conv(filters, 1).conv(2 * filters, 3).conv(filters, 1);
}

// Spatial pyramid pooling: the map beside its maxima over 5x5, 9x9 and 13x13 cells.
void spatial_pyramid(NetworkBuilder& net) {
  const int map = net.last();
  net.maxpool(5, 1);
  const int pool_5 = net.last();
  net.route({map}).maxpool(9, 1);
  const int pool_9 = net.last();
  net.route({map}).maxpool(13, 1);
  net.route({net.last(), pool_9, pool_5, map});
}

// The set with the pyramid behind its third convolution.
void conv_set_with_pyramid(NetworkBuilder& net, int filters) {
  net.conv(filters, 1).conv(2 * filters, 3).conv(filters, 1);
  spatial_pyramid(net);
  net.conv(filters, 1).conv(2 * filters, 3).conv(filters, 1);
}

// A 3x3 convolution, the raw map of A*(5+K) channels, and the head that gives it its meaning.
void head(NetworkBuilder& net, int filters, const ModelOptions& options, const std::vector<int>& mask) {
  net.conv(filters, 3);
  net.conv(static_cast<int>(mask.size()) * (5 + options.classes), 1, 1, Activation::linear, false);
  net.yolo(options.anchors, mask, options.classes);
}

// From layer `from` to a map twice as large, joined with the backbone's map of that size.
void upsample_and_join(NetworkBuilder& net, int from, int filters, int backbone_map) {
  net.route({from}).conv(filters, 1).upsample();
  net.route({net.last(), backbone_map});
}

NetworkSpec make_yolov3(const ModelOptions& options, bool with_pyramid) {
  NetworkBuilder net(input_of(options));
  const auto [route_1, route_2, conv] = darknet53(net);

  with_pyramid ? conv_set_with_pyramid(net, 512) : conv_set(net, 512);  // large objects
  const int large = net.last();
  head(net, 1024, options, {6, 7, 8});

  upsample_and_join(net, large, 256, route_2);  // medium objects
  conv_set(net, 256);
  const int medium = net.last();
  head(net, 512, options, {3, 4, 5});

  upsample_and_join(net, medium, 128, route_1);  // small objects
  conv_set(net, 128);
  head(net, 256, options, {0, 1, 2});
  return net.build();
}

}  // namespace

NetworkSpec darknet53(int width, int height) {
  const ModelOptions options = complete({.width = width, .height = height, .anchors = {}}, "darknet53", {});
  NetworkBuilder net(input_of(options));
  darknet53(net);
  return net.build();
}

NetworkSpec yolov3(const ModelOptions& options) {
  return make_yolov3(complete(options, "yolov3", kCocoAnchors), false);
}

NetworkSpec yolov3_spp(const ModelOptions& options) {
  return make_yolov3(complete(options, "yolov3-spp", kCocoAnchors), true);
}

// The second head's mask is 0,1,2 as in the yolov3-tiny.cfg that Debian packages and Darknet's repository has; the
// published yolov3-tiny.weights were trained with 1,2,3: read that model with its own .cfg.
NetworkSpec yolov3_tiny(const ModelOptions& given) {
  const ModelOptions options = complete(given, "yolov3-tiny", kTinyCocoAnchors);
  NetworkBuilder net(input_of(options));
  const int route = tiny_backbone(net);
  net.conv(256, 1);
  const int large = net.last();
  head(net, 512, options, {3, 4, 5});

  upsample_and_join(net, large, 128, route);
  head(net, 256, options, {0, 1, 2});
  return net.build();
}

int backbone_layers(const NetworkSpec& spec) {
  NetworkBuilder tiny({3, 416, 416});
  tiny_backbone(tiny);
  for (const NetworkSpec& backbone : {darknet53(), tiny.build()}) {
    if (begins_with(spec, backbone)) return static_cast<int>(backbone.layers.size());
  }
  fail("the network begins neither with Darknet-53 nor with yolov3-tiny's backbone; say how many layers are meant");
}

NetworkSpec make_model(const std::string& name, const ModelOptions& options) {
  if (name == "yolov3") return yolov3(options);
  if (name == "yolov3-spp") return yolov3_spp(options);
  if (name == "yolov3-tiny") return yolov3_tiny(options);
  const std::string near = closest_match(name, {"yolov3", "yolov3-spp", "yolov3-tiny"});
  fail_usage("no model is called '{}'{}; there are yolov3, yolov3-spp and yolov3-tiny, or give a .cfg file", name,
             near.empty() ? "" : ": did you mean " + near + "?");
}

}  // namespace yolov3
