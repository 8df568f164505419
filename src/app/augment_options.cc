#include "app/augment_options.h"

#include "base/error.h"
#include "base/usage.h"
#include "data/augment_affine.h"

namespace yolov3 {
namespace {

void add_probabilities(Options& options, AugmentOptions& a) {
  options.group("Augmentation: probability of each, 0 = never (docs/augment.md has a picture of each)");
  options.add("flip", &a.flip, "mirror left and right").alias("fliplr").range(0, 1);
  options.add("flipud", &a.flipud, "mirror top and bottom").range(0, 1);
  options.add("crop", &a.crop, "cut off borders that hold no whole object").range(0, 1);
  options.add("translate", &a.translate, "shift the picture, keeping every object inside").range(0, 1);
  options.add("mosaic", &a.mosaic, "four pictures in one").range(0, 1);
  options.add("mixup", &a.mixup, "the picture and another one, half transparent, with the objects of both").range(0, 1);
  options.add("cutout", &a.cutout, "one to four grey rectangles hide parts").range(0, 1);
  options.add("blur", &a.blur, "Gaussian blur of 0.5 to 2 px of the network's input").range(0, 1);
  options.add("noise", &a.noise, "Gaussian noise of 2 to 16 levels of 255").range(0, 1);
  options.add("grey", &a.grey, "no colours").alias("gray").range(0, 1);
}

void add_reaches(Options& options, AugmentOptions& a) {
  options.group("Augmentation: how far at most, either way; drawn anew for every picture, 0 = not at all");
  options.add("degrees", &a.degrees, "turn").alias("angle").range(0, 180);
  options.add("scale", &a.scale, "enlarge by the factor 1 + this, or shrink by 1 - this").range(0, 0.9);
  options.add("shear", &a.shear, "slant along either axis, degrees").range(0, 40);
  options.add("shift", &a.shift, "move, share of the input's sides; objects may leave the picture").range(0, 0.9);
  options.add("hsv-h", &a.hsv_h, "turn the hue, share of the colour circle; 0.015 is usual").alias("hue").range(0, 0.5);
  options.add("hsv-s", &a.hsv_s, "saturation times 1 + this; 0.7 is usual").range(0, 1);
  options.add("hsv-v", &a.hsv_v, "brightness times 1 + this; 0.4 is usual").range(0, 1);
  options.add("saturation", &a.saturation, "Darknet's way: times or divided by up to this, 1.5 is usual; 1 = off")
      .range(1, 10);
  options.add("exposure", &a.exposure, "brightness, Darknet's way: times or divided by up to this; 1 = off")
      .range(1, 10);
  options
      .add("min-visible", &a.min_visible,
           "share of an object that a mosaic, a turn, a shift or a cut-out must leave to be seen; with less it is no "
           "longer an object")
      .range(0, 1);
}

}  // namespace

void add_augment_options(Options& options, AugmentOptions& augment) {
  add_probabilities(options, augment);
  add_reaches(options, augment);
}

void check_augment_options(const Options& options, const AugmentOptions& augment) {
  check_augment_options(augment);
  if (options.was_typed("min-visible") && augment.mosaic == 0 && augment.cutout == 0 && !has_affine(augment)) {
    fail_usage(
        "--min-visible has no effect here: nothing cuts objects; add --mosaic, --cutout, --degrees, --scale, --shear "
        "or "
        "--shift");
  }
}

}  // namespace yolov3
