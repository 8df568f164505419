// Netpbm's PGM and PPM, text (P2, P3) and binary (P5, P6), of any maxval up to 65535: value * 255 / maxval, rounded.
// Of several pictures in one file the first is read. Threads: any.
#pragma once

#include <string>
#include <string_view>

#include "image/image.h"

namespace yolov3 {

Image decode_pnm(std::string_view bytes, const std::string& name);

}  // namespace yolov3
