// Where calibration gets its engines from: the program gives make_engine() with the user's options, a test its own.
#pragma once

#include <functional>
#include <memory>

#include "engine/engine.h"
#include "net/quantization.h"

namespace yolov3 {

// Nothing: the float32 engine that is the measure. A Quantization: the int8 engine that runs by it.
using EngineFactory = std::function<std::unique_ptr<Engine>(std::shared_ptr<const Quantization>)>;

}  // namespace yolov3
