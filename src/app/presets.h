// Named sets of training options: `yolov3 train --preset NAME`. docs/loss.md says where each comes from.
#pragma once

#include <vector>

#include "app/options.h"

namespace yolov3 {

const std::vector<Preset>& training_presets();

}  // namespace yolov3
