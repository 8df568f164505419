// yolov3 calibrate, apart from where its engines come from: a test brings its own int8.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace yolov3 {

using EngineMaker =
    std::function<std::unique_ptr<Engine>(const EngineOptions&, const NetworkSpec&, std::shared_ptr<const Weights>)>;

// Asks `make` for engines of precision "f32" and "int8". Returns or throws as a command does (app/program.h); when the
// accuracy gate fails, Error::Kind::accuracy, and the model is as it was.
int run_calibrate_with(const EngineMaker& make, const std::vector<std::string>& arguments);

}  // namespace yolov3
