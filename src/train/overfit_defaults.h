// How `--overfit` trains where nothing else is asked for. Without LibTorch, for the program's options.
#pragma once

#include <algorithm>

#include "train/options.h"

namespace yolov3 {

constexpr double kOverfitMap50 = 0.95;  // over this the self-test is passed
constexpr int kOverfitBatches = 10;     // at least, an epoch: the pictures are shown again until it has so many

// options with batch, schedule, name and augmentation of the self-test: every batch the same pictures, as they are.
inline TrainOptions overfit_defaults(TrainOptions options) {
  options.batch = std::min(8, std::max(1, options.overfit));
  options.epochs = 40;
  options.lr0 = 1e-3;
  options.lr_end = 1e-5;
  options.warmup_epochs = 1;
  options.name = "overfit";
  options.augment = no_augmentation();
  options.close_mosaic = 0;
  options.image_weights = 0;
  options.multi_scale.clear();
  return options;
}

}  // namespace yolov3
