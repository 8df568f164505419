#include "app/model_option.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/usage.h"
#include "data/source.h"

namespace yolov3 {

void add_model_options(Options& options, ModelChoice& choice) {
  options
      .add("weights", &choice.weights,
           "the model: an .h5 that training wrote, Darknet's .weights, or weights that Keras saved")
      .placeholder("FILE");
  options
      .add(
          "model", &choice.model,
          "the network of .weights and of Keras' weights: yolov3, yolov3-spp, yolov3-tiny or a Darknet FILE.cfg; empty "
          "= the one of the three that has as many numbers")
      .alias("cfg")
      .placeholder("NAME|FILE.cfg");
}

void add_names_option(Options& options, ModelChoice& choice) {
  options
      .add("names", &choice.names,
           "class names of .weights and of Keras' weights, one a line; empty = COCO's for 80 classes, else numbers")
      .placeholder("FILE");
}

LoadedModel load_chosen(const ModelChoice& choice, bool names_of_data) {
  ModelSource source{choice.weights, choice.model, {}, false};
  if (!choice.names.empty()) {
    const bool own = kind_of_model(choice.weights) == ModelKind::own;
    if (own && !names_of_data) {
      fail_usage("--names: {} names its classes itself", choice.weights.string());
    }
    if (!own) source.names = read_class_names(choice.names);
  }
  return load_model(source);
}

}  // namespace yolov3
