// Any model file that the program takes after --weights: our own .h5, Darknet's .weights, Keras' saved weights. What it
// is shows in its bytes, not in its name.
//
// Errors: as format/model_file.h, darknet_weights.h, keras_weights.h and choose_network.h say; settings that the file
// makes pointless (Kind::usage); numbers that stand in wrong places, are infinite or none.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "format/model_file.h"

namespace yolov3 {

enum class ModelKind { own, darknet, keras };

struct ModelSource {
  std::filesystem::path weights;
  // Of files that say neither their network nor their classes:
  std::string model;               // yolov3, yolov3-spp, yolov3-tiny or FILE.cfg; empty = which of the three fits
  std::vector<std::string> names;  // of the classes; empty = COCO's for 80
  bool transfer = false;           // a backbone and other class counts will do (format/choose_network.h)
};

struct LoadedModel {
  Model model;  // of a backbone: its layers, no head, no names
  ModelKind kind = ModelKind::own;
  bool named = true;  // false: nobody says what the classes are called, and their names are their numbers
};

ModelKind kind_of_model(const std::filesystem::path& path);

LoadedModel load_model(const ModelSource& source);

}  // namespace yolov3
