// The notes' augmentation: random horizontal flip, crop and translation of a picture and its boxes.
//
// Frame: box_image, float from end to end; pixels move by whole pixels and boxes by exactly as much. Source: the notes'
// parse_annotation; the original's defects D1-D4 are absent: every side can be cropped, boxes are clipped first,
// translation never pushes a box out, the pad is the letterbox's grey.
//
// What must stay in the picture is the union of all boxes, crowd regions too. In a picture without objects the middle
// half of each side takes its place, so that at least that much of a background is always seen.
//
// Errors: an empty picture. Threads: any; nothing is shared.
#pragma once

#include <vector>

#include "base/objects.h"
#include "base/rng.h"
#include "image/image.h"

namespace yolov3 {

struct AugmentOptions {
  double flip = 0.5;  // probability of each, as in the notes
  double crop = 0.5;
  double translate = 0.5;
  bool operator==(const AugmentOptions&) const = default;
};

struct Sample {
  Image image;
  std::vector<Annotation> objects;  // boxes in the pixels of `image`
};

// The three steps in this order. Draws from `rng` in a fixed order, so that the same Rng gives the same sample.
// Pictures without objects pass too: flipped, and cropped and translated freely.
void augment(Sample& sample, const AugmentOptions& options, Rng& rng);

// The steps, each usable alone. Each clips the boxes to the picture first, whatever it draws, and leaves out those with
// nothing inside.
void random_horizontal_flip(Sample& sample, double probability, Rng& rng);

// Each side moves inwards by U(0, distance to the union of the boxes), rounded outwards to whole pixels.
void random_crop(Sample& sample, double probability, Rng& rng);

// The picture keeps its size and moves by any whole number of pixels that leaves every box inside, on grey (kPadGrey).
void random_translate(Sample& sample, double probability, Rng& rng);

}  // namespace yolov3
