// What changes colours and sharpness and moves nothing: boxes stay as they are.
//
// Pixels are those of the network's input, so that a blur of 2 px is as strong in any picture.
// Arithmetic: single precision or whole numbers, the same bytes for any number of threads. Threads: any.
#pragma once

#include "data/augment.h"

namespace yolov3 {

struct ColorChange {
  double hue = 0;         // added, share of the circle
  double saturation = 1;  // factors
  double value = 1;
  bool operator==(const ColorChange&) const = default;
};

ColorChange random_color(const AugmentOptions& options, Rng& rng);

// In HSV: hue turned, saturation and value (the largest of R, G, B) multiplied and cut at their most. What is grey stays
// grey. Source: Darknet's distort_image, Ultralytics' RandomHSV.
void change_color(Image& image, const ColorChange& change);

void remove_color(Image& image);  // luma of BT.601

// Standard deviation in pixels; edges are repeated. Source: Gaussian, cut at three deviations.
void gaussian_blur(Image& image, double deviation_px);

// Of this standard deviation in grey levels, each channel by itself. The sum of four even draws in place of a Gaussian.
void add_noise(Image& image, double deviation, Rng& rng);

// Those of options in this order: colour, grey, blur (deviation 0.5 to 2 px), noise (deviation 2 to 16 levels). Draws the
// same numbers whatever is off, but for the noise itself, which is last.
void augment_pixels(Image& image, const AugmentOptions& options, Rng& rng);

}  // namespace yolov3
