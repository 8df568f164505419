// The engine that is the truth: plain loops over float32, every layer as net/spec.h states it, batch normalisation
// applied as it is written and not folded. The others are held against it; it also serves builds without LibTorch.
//
// A result has the same bits on every x86-64 processor and for any number of threads, apart from logistic, mish and
// swish activations, which are as exact as the C library's exp.
#pragma once

#include <memory>

#include "engine/engine.h"

namespace yolov3 {

struct ReferenceOptions {
  // As a training step's forward pass: batch norm by the statistics of the images, those of the first layers excepted.
  // Dropout stays identity.
  bool batch_statistics = false;
  int frozen_layers = 0;
};

// Networks without a [yolo] layer are refused when they are run: they have no raw maps.
// Errors: a spec or weights that are not valid.
std::unique_ptr<Engine> make_reference_engine(const NetworkSpec& spec, std::shared_ptr<const Weights> weights,
                                              const ReferenceOptions& options = {});

}  // namespace yolov3
