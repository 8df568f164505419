// --weights, --model and --names: the model of every command that uses one.
#pragma once

#include <filesystem>
#include <string>

#include "app/options.h"
#include "format/load_model.h"

namespace yolov3 {

struct ModelChoice {
  std::filesystem::path weights;
  std::string model;            // what --weights does not say itself
  std::filesystem::path names;  // of the classes, likewise
};

// --weights and --model; --names is the command's own, where a data set has names too.
void add_model_options(Options& options, ModelChoice& choice);

// --names of a command without a data set.
void add_names_option(Options& options, ModelChoice& choice);

// Errors, beside those of load_model: --names for a file that names its classes, unless the names are a data set's.
LoadedModel load_chosen(const ModelChoice& choice, bool names_of_data = false);

}  // namespace yolov3
