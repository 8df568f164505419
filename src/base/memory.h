// How much memory there is.
#pragma once

#include <cstdint>

namespace yolov3 {

// Bytes: what this machine has, or where a control group allows less (a container), that.
int64_t machine_memory();

}  // namespace yolov3
