// Bytes as letters that any text may hold.
#pragma once

#include <string>
#include <string_view>

namespace yolov3 {

std::string base64(std::string_view bytes);  // RFC 4648

}  // namespace yolov3
