// The options of augmentation, the same for `train` and for `data preview`.
#pragma once

#include "app/options.h"
#include "data/augment.h"

namespace yolov3 {

void add_augment_options(Options& options, AugmentOptions& augment);

// Errors: Kind::usage, values that contradict each other, or an option on the command line that has no effect.
void check_augment_options(const Options& options, const AugmentOptions& augment);

}  // namespace yolov3
