// What the maps of a network hold on training pictures: the pictures are chosen, letterboxed as detection does it, and
// shown to the engine, whose maps are counted layer by layer.
#pragma once

#include <cstdint>
#include <vector>

#include "data/dataset.h"
#include "engine/engine.h"
#include "quant/histogram.h"

namespace yolov3 {

struct PictureOptions {
  int batch = 4;              // pictures at once
  bool letterbox = true;      // false: stretch
  bool exact_decode = false;  // never decode JPEGs at reduced size
};

// `count` examples (all, if there are fewer) by the seed alone, in the data set's order. Pictures that cannot be loaded
// are passed over with a warning. Errors: none is left.
Dataset choose_pictures(const Dataset& dataset, int count, uint64_t seed);

// The first `count` pictures, each as the network takes it: 1,3,H,W.
std::vector<Tensor> load_inputs(const Dataset& pictures, int count, const NetworkSpec& spec,
                                const PictureOptions& options);

// One histogram a layer, empty where the engine does not show it. Shows progress with ETA.
// Errors: an engine that shows nothing; a map that is not finite, naming its layer.
std::vector<Histogram> observe_maps(Engine& engine, const NetworkSpec& spec, const Dataset& pictures,
                                    const PictureOptions& options);

}  // namespace yolov3
