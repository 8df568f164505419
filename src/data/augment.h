// What may be done to a picture before it is trained on, and the notes' part of it: random horizontal flip, crop and
// translation of a picture and its boxes. The others are in augment_affine.h, augment_pixels.h, augment_cutout.h and
// augment_mosaic.h; data/prepare.h calls them in order. docs/augment.md shows each.
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

// "Strong" are those that make pictures unlike those that the network is used on: a run may end without them.
struct AugmentOptions {
  double flip = 0.5;  // probability of each, as in the notes
  double crop = 0.5;
  double translate = 0.5;
  // Beyond the notes, all off. Probabilities:
  double flipud = 0;  // mirror top and bottom
  double mosaic = 0;  // strong: four pictures in one
  double mixup = 0;   // strong: the picture and another, half transparent
  double cutout = 0;  // strong: grey rectangles hide parts
  double blur = 0;    // strong: Gaussian blur
  double noise = 0;   // strong: Gaussian noise
  double grey = 0;    // strong: no colours
  // Strong, about the middle of the network's input; each drawn evenly from minus to plus this:
  double degrees = 0;  // turned
  double scale = 0;    // enlarged by the factor 1 + it
  double shear = 0;    // slanted along either axis, degrees
  double shift = 0;    // moved, share of the input's side
  // Colours, as Ultralytics has them; each drawn evenly from minus to plus this:
  double hsv_h = 0;  // hue, turned by this share of the circle
  double hsv_s = 0;  // saturation, times 1 + it
  double hsv_v = 0;  // brightness, times 1 + it
  // The same as Darknet has it: times or divided by a factor drawn evenly from 1 to this.
  double saturation = 1;
  double exposure = 1;
  double min_visible =
      0.25;  // an object of which a mosaic, an affine map or a cut-out leaves less than this share goes
  bool operator==(const AugmentOptions&) const = default;
};

// Errors: a value that makes no sense, or two that contradict each other, named as the options of `yolov3 train`.
void check_augment_options(const AugmentOptions& options);

bool has_strong(const AugmentOptions& options);
AugmentOptions without_strong(AugmentOptions options);
AugmentOptions no_augmentation();  // the notes' three off too

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

void random_vertical_flip(Sample& sample, double probability, Rng& rng);

// Each side moves inwards by U(0, distance to the union of the boxes), rounded outwards to whole pixels.
void random_crop(Sample& sample, double probability, Rng& rng);

// The picture keeps its size and moves by any whole number of pixels that leaves every box inside, on grey (kPadGrey).
void random_translate(Sample& sample, double probability, Rng& rng);

}  // namespace yolov3
