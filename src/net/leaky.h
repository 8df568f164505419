// The slope of leaky ReLU below zero, the same for all who compute it, start from it or write it into a file.
#pragma once

namespace yolov3 {

inline constexpr float kLeakySlope = 0.1f;  // Darknet's

}  // namespace yolov3
