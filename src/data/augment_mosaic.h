// Several pictures in one: four around a seam (mosaic), or two half transparent (mixup).
//
// Frame: the pixels of the canvas. Source: mosaic as in arXiv 2004.10934 (YOLOv4), mixup for detection as in
// arXiv 1902.04103: both pictures' objects count fully.
#pragma once

#include "data/augment.h"

namespace yolov3 {

// A canvas of which a net_width x net_height window is looked at, and the seam where the four pictures meet.
struct MosaicPlan {
  int width = 0, height = 0;
  int net_width = 0, net_height = 0;
  int seam_x = 0, seam_y = 0;
};

// The seam lies between 20% and 80% of each side of the window. wide: the canvas is twice as wide and high, the window
// in its middle, for a map that shows more than the window.
MosaicPlan plan_mosaic(int net_width, int net_height, bool wide, Rng& rng);

// Fits the picture into the window's size and lays it into a quadrant (0 top left, 1 top right, 2 bottom left, 3 bottom
// right) of `canvas`, whose picture must have the plan's size. Which part of it shows, where it is larger than the
// quadrant, is drawn; where it is smaller it touches the seam. Objects: cut to the quadrant; of which less than
// min_visible of the area shows go, crowd regions stay.
void lay_tile(Sample& canvas, const MosaicPlan& plan, int quadrant, const Sample& tile, double min_visible, Rng& rng);

// Beta(32, 32), as Ultralytics has it: near a half. Drawn as the middle of 63 even draws.
double random_mixup_share(Rng& rng);

// share of `sample`, the rest of `other`; both of one size. Objects of both.
void mix_in(Sample& sample, const Sample& other, double share);

}  // namespace yolov3
