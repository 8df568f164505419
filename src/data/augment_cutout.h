// Grey rectangles that hide parts of the picture, so that a network learns to tell objects by what is left of them.
// Source: arXiv 1708.04552 (Cutout), 1708.04896 (several, of random shape).
//
// Frame: the sample's own pixels. A box keeps its place unless a rectangle takes the whole of one of its sides: then it
// ends where the object is seen to end. An object of which less than min_visible shows goes; crowd regions stay.
#pragma once

#include "data/augment.h"

namespace yolov3 {

// With this probability one to four rectangles, each side 5% to 30% of the picture's.
void random_cutout(Sample& sample, double probability, double min_visible, Rng& rng);

// Paints the rectangles (whole pixels, inside the picture) and judges the objects.
void cut_out(Sample& sample, const std::vector<Box>& rectangles, double min_visible);

}  // namespace yolov3
