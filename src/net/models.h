// The networks of the family, built layer by layer as the papers draw them.
// Source: the notes, Figure 1 and section 2; Redmon and Farhadi, arXiv 1804.02767; Darknet's cfg/yolov3*.cfg.
#pragma once

#include <array>
#include <string>

#include "net/spec.h"

namespace yolov3 {

class NetworkBuilder;

struct ModelOptions {
  int classes = 80;
  int width = 416, height = 416;  // multiples of 32
  std::vector<Anchor> anchors;    // pixels, small first; empty = the model's own (COCO)
};

NetworkSpec yolov3(const ModelOptions& options = {});
NetworkSpec yolov3_spp(const ModelOptions& options = {});
NetworkSpec yolov3_tiny(const ModelOptions& options = {});

// The backbone alone: its last layer is the (1024, H/32, W/32) map.
NetworkSpec darknet53(int width = 416, int height = 416);

// How many of the first layers are the backbone, which transfer learning keeps: Darknet-53's 75 (yolov3, yolov3-spp and
// .cfg files that begin with them), the 13 of yolov3-tiny up to the convolution of 1024 filters. What stands behind is
// neck and heads. Errors: any other network.
int backbone_layers(const NetworkSpec& spec);

// By name: "yolov3", "yolov3-spp", "yolov3-tiny". Errors: an unknown name, with a "did you mean".
NetworkSpec make_model(const std::string& name, const ModelOptions& options);

}  // namespace yolov3
