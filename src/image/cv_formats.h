// BMP, WebP and TIFF through OpenCV, with what OpenCV leaves out done here: the size in the header is checked before
// anything is allocated, kinds that it would read wrongly are refused by name, EXIF orientation of WebP is applied.
//
// TIFF: 8 bits of any photometric kind (an alpha that is not premultiplied is multiplied in by libtiff), 16 bits of
// grey and RGB; the first page. Missing data is an Error; damage inside a compressed (LZW, deflate) strip goes
// unnoticed, because OpenCV lets libtiff carry on after it.
// Threads: any.
#pragma once

#include <string>
#include <string_view>

#include "image/image.h"

namespace yolov3 {

Image decode_bmp(std::string_view bytes, const std::string& name);
Image decode_webp(std::string_view bytes, const std::string& name);
Image decode_tiff(std::string_view bytes, const std::string& name);

}  // namespace yolov3
