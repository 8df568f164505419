// The options that say which anchors answer for an object and what their answers cost, the same for every command that
// has them.
#pragma once

#include <string>
#include <vector>

#include "app/options.h"
#include "detect/assign.h"
#include "train/options.h"

namespace yolov3 {

// Values of options that are words.
struct TargetWords {
  std::string matching = "threshold", anchor_fit = "cell", collision = "last", ignore_boxes = "own";
};
struct LossWords {
  std::string box_loss = "giou", objectness_target = "one", normalize = "batch", smooth_to = "uniform";
};

// Returns --best-of-all, for an alias.
Option& add_target_options(Options& options, AssignOptions& assign, TargetWords& words);
void add_ignore_iou_option(Options& options, double& ignore_iou);
void add_loss_options(Options& options, LossOptions& loss, LossWords& words);

// The names of all these.
std::vector<std::string> target_and_loss_names();

// After parsing: the words' meaning. Errors: an option was typed that the others leave without effect.
void finish_target_options(const Options& options, const TargetWords& words, AssignOptions& assign);
void finish_loss_options(const Options& options, const LossWords& words, LossOptions& loss);

}  // namespace yolov3
