// EXIF orientation: which way up a camera says its picture is.
// Source: EXIF 2.32, tag 0x0112; TIFF 6.0 for the structure.
#pragma once

#include <string_view>

#include "image/image.h"

namespace yolov3 {

// 1 to 8 from a TIFF structure ("II*\0..." or "MM\0*...", an "Exif\0\0" before it is skipped). Orientation is metadata:
// a damaged or absent one is 1, never an error.
int exif_orientation(std::string_view tiff);

// The picture the right way up. 2 mirrored, 3 half a turn, 4 upside-down mirrored, 5 transposed, 6 needs a quarter turn
// clockwise, 7 transposed along the other diagonal, 8 needs a quarter turn counter-clockwise; 1 and others: as it is.
Image upright(Image image, int orientation);

inline bool swaps_sides(int orientation) { return orientation >= 5 && orientation <= 8; }

}  // namespace yolov3
