// A model as an ONNX file, for other runtimes: ONNX Runtime, OpenCV, TensorRT, OpenVINO, ...
//
// Input "images": N,3,H,W RGB in [0,1], letterboxed or stretched by the caller. Outputs, by head (docs/formats.md):
//   raw    raw0, raw1, ...: N,A*(5+K),G_h,G_w logits, small objects first, as engines give them
//   boxes  boxes: N,M,4 corners x0,y0,x1,y1 in network pixels, unclipped; scores: N,M,K objectness * class probability;
//          M counts head by head, anchor by anchor, cell by cell (rows of cells from the top)
//   nms    of S boxes that stay: image (S) and class_id (S) int64, score (S), box (S,4); class by class, best first
// Parameters stand in the file under their slots' names (net/weights.h) with the same bits; batch normalisation is not
// folded, runtimes do that when they load. Metadata says names, anchors, sizes and how pictures become inputs.
//
// Errors: no head, options out of range, a file beyond protobuf's 2 GB, anything that ONNX's own checker and its shape
// inference have against the finished bytes.
// Source: onnx.ai, operators of opset 11 to 17; detect/decode.h for what the heads' outputs are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/model_file.h"

namespace yolov3 {

enum class OnnxHead { raw, boxes, nms };
OnnxHead parse_onnx_head(const std::string& text);

constexpr int kMinOpset = 11, kMaxOpset = 17;

struct OnnxOptions {
  OnnxHead head = OnnxHead::raw;
  int opset = kMinOpset;      // the lowest that can say all this: what most runtimes read
  int batch = 1;              // 0: any number of pictures
  bool dynamic_size = false;  // any height and width that the network can take
  float max_exp_logit = 8;    // the limit of exp's argument (detect/decode.h, kMaxExpLogit)
  // nms:
  float score_threshold = 0.25f;
  float iou_threshold = 0.45f;
  bool multi_label = false;  // every class over the threshold, not only a box's best
  int max_detections = 0;    // a class and picture; 0 = all
  std::string producer_version;
};

// The whole file, checked.
std::string make_onnx(const Model& model, const OnnxOptions& options);

// Names of the outputs, in order.
std::vector<std::string> onnx_outputs(const NetworkSpec& spec, OnnxHead head);

}  // namespace yolov3
