// PNG through libpng: every colour type and depth, interlaced or not. 16 bits become 8 by value / 257 rounded; alpha
// and tRNS are dropped, gamma and profiles are not applied. Orientation from eXIf, or from ImageMagick's "Raw profile"
// text.
// A bad CRC in a critical chunk, damaged or missing data, or no IEND is an Error.
// Threads: any.
#pragma once

#include <string>
#include <string_view>

#include "image/image.h"

namespace yolov3 {

Image decode_png(std::string_view bytes, const std::string& name);  // upright
std::string encode_png(const Image& image);

}  // namespace yolov3
