// In which format a data set that is read would be written again.
#pragma once

#include "data/source.h"
#include "data/write.h"

namespace yolov3 {

// The format of its first source; synthetic data as lines.
DataFormat format_of(const DataOptions& options);

}  // namespace yolov3
