// What stands behind the raw maps in an ONNX file: decode (detect/decode.h, number for number) and suppression.
#pragma once

#include <string>
#include <vector>

#include "format/onnx.h"
#include "format/onnx_graph.h"

namespace yolov3 {

// N,M,...: all heads' rows, small objects first.
struct OnnxBoxes {
  std::string boxes;         // N,M,4 corners
  std::string scores;        // N,M,K
  std::string class_logits;  // N,M,K
};

// raw_maps: one a head. images: the graph's input, whose size dynamic strides are computed from.
OnnxBoxes write_onnx_decode(OnnxGraph& graph, const std::vector<std::string>& raw_maps, const std::string& images,
                            const std::vector<Head>& heads, const OnnxOptions& options);

// Of S boxes.
struct OnnxKept {
  std::string image, class_id;  // (S) int64
  std::string score;            // (S)
  std::string box;              // S,4
};
OnnxKept write_onnx_nms(OnnxGraph& graph, const OnnxBoxes& found, int classes, const OnnxOptions& options);

}  // namespace yolov3
