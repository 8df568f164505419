// int8 scales for a benchmark, where speed is asked for and accuracy is not: the greatest magnitude of each map on one
// batch. Models that are to find something are calibrated with `yolov3 calibrate`.
#pragma once

#include "base/tensor.h"
#include "engine/engine.h"
#include "net/quantization.h"
#include "net/spec.h"

namespace yolov3 {

// scale = max|map| / 127. A map that the engine does not show, because it is fused into another, gets that one's scale.
// Convolutions that feed a head stay in floating point.
// Errors: an engine that does not show its layers.
Quantization scales_of_batch(Engine& engine, const NetworkSpec& spec, const Tensor& images);

}  // namespace yolov3
