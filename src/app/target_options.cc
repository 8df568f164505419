#include "app/target_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/usage.h"

namespace yolov3 {
namespace {

template <class Value>
using Words = std::vector<std::pair<std::string, Value>>;

const Words<Matching> kMatching = {{"threshold", Matching::threshold}, {"best", Matching::best}};
const Words<AnchorMeasure> kMeasures = {
    {"cell", AnchorMeasure::cell}, {"shape", AnchorMeasure::shape}, {"ratio", AnchorMeasure::ratio}};
const Words<CollisionRule> kCollisions = {{"last", CollisionRule::last},
                                          {"first", CollisionRule::first},
                                          {"smaller", CollisionRule::smaller},
                                          {"fit", CollisionRule::fit},
                                          {"free", CollisionRule::free}};
const Words<bool> kIgnoreBoxes = {{"own", false}, {"all", true}};
const Words<BoxLoss> kBoxLosses = {{"giou", BoxLoss::giou},
                                   {"iou", BoxLoss::iou},
                                   {"diou", BoxLoss::diou},
                                   {"ciou", BoxLoss::ciou},
                                   {"mse", BoxLoss::mse}};
const Words<ObjectnessTarget> kObjectnessTargets = {{"one", ObjectnessTarget::one}, {"iou", ObjectnessTarget::iou}};
const Words<LossNorm> kNorms = {
    {"batch", LossNorm::batch}, {"positives", LossNorm::positives}, {"means", LossNorm::means}};
const Words<SmoothTo> kSmoothTo = {{"uniform", SmoothTo::uniform}, {"half", SmoothTo::half}};

template <class Value>
std::vector<std::string> words_of(const Words<Value>& words) {
  std::vector<std::string> names;
  for (const auto& [name, value] : words) names.push_back(name);
  return names;
}

// The option has refused other words.
template <class Value>
Value meaning(const Words<Value>& words, const std::string& word) {
  return std::ranges::find(words, word, [](const auto& entry) { return entry.first; })->second;
}

// Only what was typed: args.toml and presets say every option, those without effect too.
void refuse(const Options& options, const std::vector<std::string>& names, const std::string& reason) {
  for (const std::string& name : names) {
    if (!options.was_typed(name)) continue;
    fail_usage("--{} has no effect here: {}", name, reason);
  }
}

}  // namespace

Option& add_target_options(Options& options, AssignOptions& assign, TargetWords& words) {
  options
      .add("matching", &words.matching,
           "which anchors answer for an object: all that fit better than a threshold, or the best of all heads alone")
      .choices(words_of(kMatching));
  options
      .add("anchor-fit", &words.anchor_fit,
           "how well an anchor fits: IoU with the anchor in the middle of the object's cell, IoU of the two shapes at "
           "one centre, or the larger ratio of their sides")
      .choices(words_of(kMeasures));
  options.add("positive-iou", &assign.positive_iou, "an anchor answers for an object that it overlaps more than this")
      .range(0, 1);
  options
      .add("positive-ratio", &assign.positive_ratio,
           "with --anchor-fit ratio: an anchor answers for an object of less than this times its sides, either way")
      .range(1, 1000);
  Option& best_of_all =
      options.add("best-of-all", &assign.best_of_all, "when no anchor does, the best of all heads answers");
  options
      .add("collision", &words.collision,
           "which of the objects that want one cell's anchor gets it: the last or first in the file, the smaller, the "
           "one it fits best; free = the later takes the next best anchor that is free")
      .choices(words_of(kCollisions));
  options
      .add("ignore-boxes", &words.ignore_boxes,
           "the objects that spare background which overlaps them: those that its scale answers for, or all")
      .choices(words_of(kIgnoreBoxes));
  return best_of_all;
}

void add_ignore_iou_option(Options& options, double& ignore_iou) {
  options.add("ignore-iou", &ignore_iou, "background whose box overlaps an object this much is not punished")
      .range(0, 1);
}

void add_loss_options(Options& options, LossOptions& loss, LossWords& words) {
  options.add("label-smoothing", &loss.label_smoothing, "share of the class target that is spread").range(0, 1);
  options
      .add("smooth-to", &words.smooth_to,
           "what label smoothing leads to: 1 / classes, or a half, as independent classes need")
      .choices(words_of(kSmoothTo));
  options
      .add("box-loss", &words.box_loss,
           "of the box part: 1 - an overlap, or mse, the squared errors of its coordinates as in the paper")
      .choices(words_of(kBoxLosses));
  options.add("small-box-weight", &loss.small_box_weight,
              "a box counts 2 - its share of the picture, so small ones up to twice");
  options
      .add("objectness-target", &words.objectness_target,
           "of cells that answer: 1, or how well their box overlaps the object at present")
      .choices(words_of(kObjectnessTargets));
  options
      .add("focal-power", &loss.focal_power,
           "objectness counts by its error to this power, so that easy background fades; 0 = plain cross entropy, "
           "else at least 1")
      .range(0, 10);
  options
      .add("focal-balance", &loss.focal_balance,
           "a: objectness of cells that answer counts a, of background 1 - a; 0 = both 1")
      .range(0, 0.999);
  options
      .add("normalize", &words.normalize,
           "divide the sums by the pictures, by the cells that answer, or each part by its own number of terms")
      .choices(words_of(kNorms));
  options.add("head-balance", &loss.head_balance,
              "weights of the heads' objectness, small objects first, e.g. 4,1,0.4; empty = 1 each");
  options.add("box-gain", &loss.box_gain, "weight of the box part").range(0, 1e6);
  options.add("obj-gain", &loss.obj_gain, "weight of the objectness part").range(0, 1e6);
  options.add("cls-gain", &loss.cls_gain, "weight of the class part").range(0, 1e6);
}

std::vector<std::string> target_and_loss_names() {
  return {"matching",      "anchor-fit",   "positive-iou",     "positive-ratio",    "best-of-all",
          "collision",     "ignore-boxes", "ignore-iou",       "box-loss",          "label-smoothing",
          "smooth-to",     "normalize",    "small-box-weight", "objectness-target", "focal-power",
          "focal-balance", "head-balance", "box-gain",         "obj-gain",          "cls-gain"};
}

void finish_target_options(const Options& options, const TargetWords& words, AssignOptions& assign) {
  if (words.matching == "best") {
    refuse(options, {"positive-iou", "positive-ratio", "best-of-all"},
           "--matching best gives an object its best anchor, however well that fits");
  }
  if (words.anchor_fit == "ratio") {
    refuse(options, {"positive-iou"}, "--anchor-fit ratio compares sides; --positive-ratio is its threshold");
  } else {
    refuse(options, {"positive-ratio"}, "it goes with --anchor-fit ratio");
  }
  assign.matching = meaning(kMatching, words.matching);
  assign.measure = meaning(kMeasures, words.anchor_fit);
  assign.collision = meaning(kCollisions, words.collision);
  assign.ignore_all = meaning(kIgnoreBoxes, words.ignore_boxes);
}

void finish_loss_options(const Options& options, const LossWords& words, LossOptions& loss) {
  if (loss.label_smoothing == 0) refuse(options, {"smooth-to"}, "--label-smoothing is 0");
  loss.box_loss = meaning(kBoxLosses, words.box_loss);
  loss.objectness_target = meaning(kObjectnessTargets, words.objectness_target);
  loss.norm = meaning(kNorms, words.normalize);
  loss.smooth_to = meaning(kSmoothTo, words.smooth_to);
}

}  // namespace yolov3
