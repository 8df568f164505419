// What `yolov3 export` writes, by the words of --to.
//
// Errors: as the writers say; class names that a list of names cannot hold. Nothing that exists is overwritten, and what
// fails leaves nothing.
#pragma once

#include <filesystem>

#include "format/model_file.h"

namespace yolov3 {

// FILE.weights, and beside it FILE.cfg and FILE.names, without which no program can use it. Gamma is rescaled to
// Darknet's epsilon.
void export_darknet(const Model& model, const std::filesystem::path& out);

// Keras' save_weights layout, gamma for Keras' epsilon (format/keras_weights.h).
void export_keras(const Model& model, const std::filesystem::path& out);

// Our own model file, which knows its network and classes.
void export_h5(const Model& model, const std::filesystem::path& out);

}  // namespace yolov3
