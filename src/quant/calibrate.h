// int8 for a trained network, with an accuracy gate: scales from training pictures, mAP50 in int8 against mAP50 in
// float32, and convolutions put back into floating point, the most sensitive first, until the loss is small enough.
//
// mAP50 is COCO's AP50 (eval/metrics.h) of the data set that judges. Between ways to find scales that all pass, COCO's AP
// (mAP50-95) decides: on a small set mAP50 moves by more than they differ, and it does not see boxes that drift. The same pictures, seed and engines give the same
// result. Threads: one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "net/quantization.h"
#include "quant/engine_factory.h"
#include "quant/observe.h"
#include "quant/scales.h"

namespace yolov3 {

struct CalibrateOptions {
  std::vector<ScaleMethod> methods = {ScaleMethod::mse};  // of several, the best: who passes, then mAP50-95
  double percentile = 99.99;                              // of ScaleMethod::percentile
  int images = 64;                                        // training pictures whose maps are observed
  int scan_images = 4;                                    // of those, for the scan of single layers
  double max_drop = 0.5;                                  // points: 0.5 = 0.005 of mAP50
  bool first_in_float = false;  // convolutions that read the picture: its bytes go in exactly, as unsigned numbers
  bool heads_in_float = true;   // convolutions that feed a yolo layer: their map is the answer
  int timed_runs = 5;           // of each engine on one picture; 0 = not timed
  int judge_batch = 8;          // pictures at once while mAP50 is measured
  uint64_t seed = 0;            // which training pictures
  PictureOptions pictures;
};

enum class FloatReason { first, head, sensitive };

struct FloatLayer {
  int layer = 0;
  FloatReason reason = FloatReason::sensitive;
  std::optional<double> deviation;  // of the raw maps when it alone is int8, where that was measured
};

struct Calibration {
  Quantization quantization;  // the best found, also when it did not pass
  bool passed = false;
  ScaleMethod method = ScaleMethod::mse;
  double f32_map50 = 0, int8_map50 = 0;   // 0 to 1
  double f32_map = 0, int8_map = 0;       // mAP50-95, 0 to 1
  double max_drop = 0;                    // points, as asked for
  std::vector<FloatLayer> float_layers;   // ascending, those of `quantization`
  int images = 0, judged = 0;             // pictures observed, pictures judged
  std::string f32_engine, int8_engine;    // names
  std::optional<double> f32_ms, int8_ms;  // a picture through the network alone, median

  double drop() const { return 100 * (f32_map50 - int8_map50); }  // points
};

// train: pictures to observe; judge: pictures with truth. Both with the network's classes.
// Errors: an engine that has no int8 (said first); no truth to judge by (Kind::bad_data); a float32 network that finds
// nothing, or that leaves no convolution for int8 (Kind::accuracy).
Calibration calibrate(const NetworkSpec& spec, const EngineFactory& make, const Dataset& train, const Dataset& judge,
                      const CalibrateOptions& options);

}  // namespace yolov3
