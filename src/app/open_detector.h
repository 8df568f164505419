// The options that `eval` and `detect` share, and the detector made from them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "app/model_option.h"
#include "app/options.h"
#include "detect/detector.h"

namespace yolov3 {

struct DetectorChoice {
  ModelChoice model;
  bool names_of_data = false;  // --names are a data set's, which may be this model's too
  ImageSize imgsz;             // 0x0: the model's
  EngineOptions engine{"auto", "cpu", "f32", 0};
  DetectOptions detect;
  bool exact_decode = false;
};

void add_detector_options(Options& options, DetectorChoice& choice);

struct OpenDetector {
  Detector detector;
  std::vector<std::string> names;
  bool named = true;  // false: names are mere numbers
};

// Loads the model, and says on stderr what runs it.
OpenDetector open_detector(const DetectorChoice& choice);

}  // namespace yolov3
