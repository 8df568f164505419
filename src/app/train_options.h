// The options of `yolov3 train` from the args.toml of a run.
#pragma once

#include <string>

#include "train/options.h"

namespace yolov3 {

// name: of the text, for messages. Errors: what --config would refuse.
TrainOptions parse_train_options(const std::string& args_toml, const std::string& name);

}  // namespace yolov3
