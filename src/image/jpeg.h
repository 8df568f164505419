// JPEG through libjpeg-turbo. Baseline, extended and progressive Huffman JPEGs of 8 bits: grey, YCbCr, RGB, CMYK, YCCK.
//
// A warning of libjpeg that means lost picture data is an Error here. Read without complaint, because no pixel is lost:
// junk between header markers, anything after EOI, up to kMaxExtraBytes stray bytes between the last MCU and its next
// marker, and a single-scan file whose every MCU is there and only the EOI marker is not.
// Threads: any.
#pragma once

#include <string>
#include <string_view>

#include "image/load.h"
#include "image/size.h"

namespace yolov3 {

constexpr int kMaxExtraBytes = 512;

LoadedImage decode_jpeg(std::string_view bytes, const std::string& name, const LoadOptions& options);

// Upright, from the header alone: `bytes` need not go on behind it. Errors: no whole header in them.
PictureSize jpeg_size(std::string_view bytes, const std::string& name);

// Whole file bytes; quality 1..100, 4:2:0 below 90 and 4:4:4 from there.
std::string encode_jpeg(const Image& image, int quality);

}  // namespace yolov3
