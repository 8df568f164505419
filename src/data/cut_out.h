// The part of a picture around a box, for pages that show single objects.
#pragma once

#include "base/box.h"
#include "image/image.h"
#include "image/letterbox.h"

namespace yolov3 {

struct CutOut {
  Image image;
  int x0 = 0, y0 = 0;  // where it begins in the picture
  Letterbox grown;     // from the part's pixels to those of `image`

  Box cut_from_image(const Box& box_image) const;
};

// Twice the box's size and at least a quarter of the picture, grown or shrunk so that its longer side is `longest_px`.
CutOut cut_out(const Image& image, const Box& box_image, int longest_px);

// The whole picture, shrunk so that no side is longer.
Image shrunk(const Image& image, int longest_px);

}  // namespace yolov3
