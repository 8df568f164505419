// The network whose heads and anchors a command looks at: by name, from a .cfg, or a model file.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "app/options.h"
#include "format/load_model.h"

namespace yolov3 {

struct HeadChoice {
  std::string model = "yolov3";
  std::filesystem::path weights;
  ImageSize imgsz;
};

void add_head_options(Options& options, HeadChoice& choice);

struct ChosenNetwork {
  NetworkSpec spec;
  std::optional<Model> model;  // with --weights; its spec is above, at the size asked for
  bool named = true;           // the model names its classes
};

// classes: of a model by name. Errors: those of load_model; Kind::usage when both --model and an .h5 were given.
ChosenNetwork choose_network(const Options& options, const HeadChoice& choice, int classes = 1);

}  // namespace yolov3
