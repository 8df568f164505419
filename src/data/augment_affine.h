// A picture turned, enlarged, slanted and moved in one step, and its boxes with it.
//
// Frame: maps go from the picture's pixels to those of the frame that is looked at (the network's input), both
// continuous: pixel (x, y) covers [x, x+1) x [y, y+1). A map composed with the letterbox's reads each pixel of the input
// straight from the decoded picture, so that a picture is resampled once and an enlarged one is as sharp as it can be.
// Boxes: the hull of the box's image where it shows, exactly: a turned rectangle is the tightest box around it.
// Arithmetic: pixels in fixed point, the same bytes on every CPU. Threads: any.
#pragma once

#include <vector>

#include "data/augment.h"
#include "image/letterbox.h"

namespace yolov3 {

// x' = xx x + xy y + x0, y' = yx x + yy y + y0.
struct Affine {
  double xx = 1, xy = 0, x0 = 0;
  double yx = 0, yy = 1, y0 = 0;
};

Affine after(const Affine& second, const Affine& first);  // first `first`, then `second`
Affine inverse(const Affine& map);                        // Errors: everything falls on a line
Affine affine_of(const Letterbox& letterbox);             // net_from_image

bool has_affine(const AugmentOptions& options);

// Slanted, turned and enlarged about the middle of a width x height frame, then moved by shares of these sides.
Affine random_affine(const AugmentOptions& options, double width, double height, Rng& rng);

// The picture seen through the map in a width x height frame: bilinear, kPadGrey where the picture ends.
Image warp(const Image& image, const Affine& frame_from_image, int width, int height);

// The objects in the frame. Those outside go, and those of which less than min_visible of the area shows; crowd regions
// stay whatever shows. A stated area changes as its box does.
std::vector<Annotation> map_objects(const std::vector<Annotation>& objects, const Affine& frame_from_image, int width,
                                    int height, double min_visible);

}  // namespace yolov3
