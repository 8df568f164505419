// Figures as people read them in reports; never for parsing.
#pragma once

#include <cstdint>
#include <string>

namespace yolov3 {

std::string counted(int64_t number, const std::string& what);  // "1 box", "2 boxes", "0 pictures"
std::string percent_text(double share);                        // "38%"; "<1%" of what is there and rounds to 0

}  // namespace yolov3
