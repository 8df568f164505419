// From examples to what the network sees: read, augmented, letterboxed, as planes of numbers.
//
// The order of augmentations: in the picture's pixels those of the notes (augment.h) and the vertical flip; then into the
// network's input, alone or as one of four in a mosaic, turned, enlarged, slanted and moved on the way; then mixup with
// another one made so; then colours, blur, noise and cut-out. The notes' steps draw from `rng`, all others from a stream
// of their own, so that switching one on changes no flip, crop or translation.
//
// Frame: objects leave in the network's pixels. Errors: Error, naming picture and origin. Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/rng.h"
#include "data/dataset.h"
#include "data/sampling.h"
#include "image/letterbox.h"

namespace yolov3 {

struct LoaderOptions;

// One example as the network sees it.
// Crowd regions are kept, with their flag: training ignores them, evaluation needs them.
struct PreparedSample {
  std::vector<Annotation> objects_net;
  Letterbox letterbox;  // of the augmented picture; of the input itself where a mosaic or an affine map made it
  int image_width = 0, image_height = 0;
};

// `planes`: (3,height,width), written. A mosaic or mixup takes its other pictures from `dataset` by `sampler`, one at a
// time, so that only one is in memory decoded.
PreparedSample prepare_sample(const Dataset& dataset, const PictureSampler& sampler, int64_t example,
                              const LoaderOptions& options, int width, int height, Rng rng, float* planes);

// The same of a single picture, without mosaic and mixup.
PreparedSample prepare_sample(const Example& example, const LoaderOptions& options, int width, int height, Rng rng,
                              float* planes);

// The objects of prepare_sample without augmentation, at options.width x height: no picture is opened, so the example
// must say its size. Errors: it does not.
std::vector<Annotation> objects_in_net(const Example& example, const LoaderOptions& options);

// Objects narrower or lower than min_box_px in the network's input, which prepare_sample leaves out, of pictures as they
// are. Crowd regions and pictures of unknown size (Example::width 0) are not looked at.
struct TinyObjects {
  int64_t tiny = 0, objects = 0;
  std::string first;  // the picture and box of one
};
TinyObjects find_tiny_objects(const Dataset& dataset, const LoaderOptions& options);

// `message` with the names of the picture and of the file that names it, where it does not say them.
std::string with_picture(const std::string& message, const Example& example);

}  // namespace yolov3
