#include "data/multi_scale.h"

#include <algorithm>

#include "base/usage.h"

namespace yolov3 {

void check_multi_scale(const std::vector<int>& sizes) {
  for (const int size : sizes) {
    check_usage(size >= 32 && size <= kLargestTrainingSize && size % 32 == 0,
                "--multi-scale {}: sizes are multiples of 32 up to {}, e.g. {}", size, kLargestTrainingSize,
                std::clamp(size, 32, kLargestTrainingSize) / 32 * 32);
  }
}

}  // namespace yolov3
