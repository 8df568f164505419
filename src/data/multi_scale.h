// The square input sizes that training changes between.
#pragma once

#include <vector>

namespace yolov3 {

constexpr int kLargestTrainingSize = 8192;  // pixels

// Errors: Kind::usage for --multi-scale, where one is no multiple of 32 from 32 to kLargestTrainingSize.
void check_multi_scale(const std::vector<int>& sizes);

}  // namespace yolov3
