// What a calibration found, for people and for programs (docs/formats.md).
#pragma once

#include <string>

#include "net/spec.h"
#include "quant/calibrate.h"

namespace yolov3 {

std::string to_string(FloatReason reason);  // "reads the picture", ...

// The part of the network's multiply-adds that int8 does, 0 to 1.
double int8_share(const NetworkSpec& spec, const Quantization& quantization);

std::string calibration_table(const NetworkSpec& spec, const Calibration& calibration);
std::string calibration_json(const NetworkSpec& spec, const Calibration& calibration);

// One line for the model's facts and the log: "mAP50 0.9101 of 0.9123, mse, 72 of 75 convolutions in int8".
std::string calibration_summary(const NetworkSpec& spec, const Calibration& calibration);

}  // namespace yolov3
