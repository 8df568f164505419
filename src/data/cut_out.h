// Single objects as pictures, for pages: the part around a box, with the box marked.
#pragma once

#include <optional>

#include "base/box.h"
#include "image/image.h"

namespace yolov3 {

// Twice the box's size and at least a quarter of the picture, grown or shrunk so that its longer side is `longest_px`.
// `box_image` is marked in red, `other_image` dashed in yellow; one too small to be seen gets a ring and a cross.
Image cut_out(const Image& image, const Box& box_image, const std::optional<Box>& other_image, int longest_px);

// The whole picture, shrunk so that no side is longer.
Image shrunk(const Image& image, int longest_px);

}  // namespace yolov3
