#include "data/synthetic.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "base/rng.h"
#include "data/parallel_each.h"
#include "data/synthetic_layout.h"

namespace yolov3 {
namespace {

constexpr uint64_t kPlanStream = 0x53594e5448504cull;  // of Rng's epoch: apart from every real epoch
constexpr int64_t kSplitStride = int64_t{1} << 40;     // of SyntheticRef::index
constexpr int kMinSide = 320, kMaxSide = 480;
constexpr double kBackgroundShare = 0.03;
constexpr int kMaxDigits = 8;
constexpr double kMinHeight = 1.0 / 6;                                             // of the picture's longer side
constexpr double kMaxHeight[] = {0.45, 0.45, 0.38, 0.33, 0.30, 0.28, 0.26, 0.25};  // by the number of digits
constexpr double kHalfTan = 0.17632698070846498;                                   // tan(20 degrees / 2)
constexpr int kContrast = 80;  // luma of a digit against either end of its ground

int luma(const Colour& c) { return (299 * c[0] + 587 * c[1] + 114 * c[2]) / 1000; }

Colour random_colour(Rng& rng) {
  Colour colour;
  for (uint8_t& channel : colour) channel = static_cast<uint8_t>(rng.integer(0, 255));
  return colour;
}

SyntheticGround random_ground(Rng& rng) {
  SyntheticGround ground;
  ground.kind = static_cast<GroundKind>(rng.integer(0, 3));
  ground.dark = random_colour(rng);
  for (size_t c = 0; c < 3; ++c) {
    ground.light[c] = static_cast<uint8_t>(std::clamp<int64_t>(ground.dark[c] + rng.integer(-20, 60), 0, 255));
  }
  // A pattern's period is 12 to 80 px; a slope goes from one end to the other across the picture.
  const double period = ground.kind == GroundKind::slope ? 2.0 * kMaxSide : rng.uniform(12, 80);
  const double share = rng.uniform(-1, 1);
  ground.step_x = share / period;
  ground.step_y = (1 - (share < 0 ? -share : share)) / period;
  ground.cell_px = static_cast<int>(rng.integer(20, 90));
  return ground;
}

// Stands out from the ground, and if it can be from the digits that are there already.
Colour digit_colour(const SyntheticScene& scene, Rng& rng) {
  const int dark = luma(scene.ground.dark), light = luma(scene.ground.light);
  Colour best = dark + light > 255 ? Colour{0, 0, 0} : Colour{255, 255, 255};
  int best_distance = -1;
  for (int attempt = 0; attempt < 24; ++attempt) {
    const Colour colour = random_colour(rng);
    if (std::min(std::abs(luma(colour) - dark), std::abs(luma(colour) - light)) < kContrast) continue;
    int distance = 3 * 255;
    for (const SyntheticDigit& other : scene.digits) {
      int apart = 0;
      for (size_t c = 0; c < 3; ++c) apart += std::abs(colour[c] - other.colour[c]);
      distance = std::min(distance, apart);
    }
    if (distance <= best_distance) continue;
    best_distance = distance;
    best = colour;
    if (distance > 200) break;
  }
  return best;
}

SyntheticDigit random_digit(const SyntheticScene& scene, int wanted, Rng& rng) {
  SyntheticDigit digit;
  digit.digit = static_cast<int>(rng.integer(0, 9));
  const double side = std::max(scene.width, scene.height);
  digit.height_px = side * rng.uniform(kMinHeight, kMaxHeight[wanted - 1]);
  digit.stretch = rng.uniform(0.9, 1.25);
  digit.radius_px = digit.height_px * rng.uniform(0.045, 0.075);
  const double t = rng.uniform(-kHalfTan, kHalfTan);  // half-angle form: cosine and sine without a library
  digit.cosine = (1 - t * t) / (1 + t * t);
  digit.sine = 2 * t / (1 + t * t);
  digit.center_x = rng.uniform();  // where in a pixel; the place itself is SyntheticLayout's
  digit.center_y = rng.uniform();
  digit.colour = digit_colour(scene, rng);
  return digit;
}

std::vector<Annotation> objects_of(const SyntheticScene& scene) {
  std::vector<Annotation> objects;
  for (const SyntheticDigit& digit : scene.digits) {
    Annotation object;
    object.box = digit.box_image;
    object.class_id = digit.digit;
    object.area = object.box.area();
    objects.push_back(object);
  }
  return objects;
}

}  // namespace

SyntheticScene plan_synthetic(const SyntheticRef& ref) {
  Rng rng(ref.seed, kPlanStream, static_cast<uint64_t>(ref.index));
  SyntheticScene scene;
  scene.ref = ref;
  scene.width = static_cast<int>(rng.integer(kMinSide, kMaxSide));
  scene.height = static_cast<int>(rng.integer(kMinSide, kMaxSide));
  scene.ground = random_ground(rng);
  if (rng.chance(kBackgroundShare)) return scene;
  const int wanted = static_cast<int>(rng.integer(1, kMaxDigits));
  SyntheticLayout layout(scene);
  for (int i = 0; i < wanted; ++i) layout.place(random_digit(scene, wanted, rng), rng);
  return scene;
}

Image draw_synthetic(const SyntheticRef& ref, std::vector<Annotation>* objects) {
  const SyntheticScene scene = plan_synthetic(ref);
  if (objects) *objects = objects_of(scene);
  return paint(scene);
}

Dataset synthetic_dataset(uint64_t seed, const std::string& split, int64_t count) {
  const int64_t part = split == "train" ? 0 : split == "val" ? 1 : split == "test" ? 2 : -1;
  check(part >= 0, "synthetic: no split \"{}\"; it has train, val, test", split);
  check(count >= 1 && count < kSplitStride, "synthetic: expected at least one picture, found {}", count);
  Dataset dataset;
  for (int digit = 0; digit < 10; ++digit) dataset.names.push_back(std::to_string(digit));
  dataset.examples.resize(static_cast<size_t>(count));
  parallel_each(count, 0, "", [&](int64_t i) {
    Example& example = dataset.examples[static_cast<size_t>(i)];
    example.synthetic = SyntheticRef{seed, part * kSplitStride + i};
    const SyntheticScene scene = plan_synthetic(*example.synthetic);
    example.objects = objects_of(scene);
    example.width = scene.width;
    example.height = scene.height;
    example.image = fmt::format("synthetic/{}/{}/{:06}.png", seed, split, i);
    example.image_id = i;
    example.origin = example.image.string();
  });
  return dataset;
}

}  // namespace yolov3
