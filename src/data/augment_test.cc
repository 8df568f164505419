#include "data/augment.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/error.h"
#include "image/letterbox.h"

namespace yolov3 {
namespace {

constexpr uint8_t kPaint[3] = {255, 0, 255};  // occurs nowhere in the backgrounds below

Image textured(int width, int height) {
  Image image(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      uint8_t* pixel = image.pixel(x, y);
      pixel[0] = static_cast<uint8_t>((7 * x + 3 * y) % 120);
      pixel[1] = static_cast<uint8_t>(1 + x % 100);
      pixel[2] = static_cast<uint8_t>(y % 100);
    }
  }
  return image;
}

void paint(Image& image, int x0, int y0, int x1, int y1) {
  for (int y = y0; y < y1; ++y) {
    for (int x = x0; x < x1; ++x) std::copy_n(kPaint, 3, image.pixel(x, y));
  }
}

// Where the paint is, by looking.
Box painted(const Image& image) {
  Box box{1e9f, 1e9f, -1, -1};
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      if (!std::equal(kPaint, kPaint + 3, image.pixel(x, y))) continue;
      box = {std::min(box.x0, float(x)), std::min(box.y0, float(y)), std::max(box.x1, float(x + 1)),
             std::max(box.y1, float(y + 1))};
    }
  }
  return box;
}

Sample with_rectangle(int width, int height, int x0, int y0, int x1, int y1) {
  Sample sample{textured(width, height), {}};
  paint(sample.image, x0, y0, x1, y1);
  Annotation object;
  object.box = {float(x0), float(y0), float(x1), float(y1)};
  object.area = object.box.area();
  sample.objects = {object};
  return sample;
}

Annotation object_at(Box box) { return {.box = box, .class_id = 3, .area = box.area()}; }

void expect_inside(const Sample& sample) {
  for (const Annotation& object : sample.objects) {
    EXPECT_GE(object.box.x0, 0);
    EXPECT_GE(object.box.y0, 0);
    EXPECT_LE(object.box.x1, sample.image.width);
    EXPECT_LE(object.box.y1, sample.image.height);
    EXPECT_GT(object.box.width(), 0);
    EXPECT_GT(object.box.height(), 0);
  }
}

TEST(Augment, TheFlipMirrorsEveryRowOfAnyWidth) {
  for (int width = 1; width <= 40; ++width) {
    Sample sample{textured(width, 3), {}};
    const Image before = sample.image;
    Rng rng(1);
    random_horizontal_flip(sample, 1.0, rng);
    for (int y = 0; y < 3; ++y) {
      for (int x = 0; x < width; ++x) {
        ASSERT_TRUE(std::equal(before.pixel(x, y), before.pixel(x, y) + 3, sample.image.pixel(width - 1 - x, y)))
            << "width " << width << ", pixel " << x << "," << y;
      }
    }
  }
}

TEST(Augment, TheFlipMirrorsBoxes) {
  Sample sample{Image(100, 50), {object_at({10.25f, 5, 30.5f, 20})}};
  Rng rng(1);
  random_horizontal_flip(sample, 1.0, rng);
  ASSERT_EQ(sample.objects.size(), 1u);
  EXPECT_EQ(sample.objects[0].box, (Box{69.5f, 5, 89.75f, 20}));
  EXPECT_EQ(sample.objects[0].class_id, 3);
}

TEST(Augment, TheVerticalFlipMirrorsColumnsAndBoxes) {
  for (int height = 1; height <= 9; ++height) {
    Sample sample{textured(7, height), {object_at({1, 0.25f, 3, 0.75f})}};
    const Image before = sample.image;
    Rng rng(1);
    random_vertical_flip(sample, 1.0, rng);
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < 7; ++x) {
        ASSERT_TRUE(std::equal(before.pixel(x, y), before.pixel(x, y) + 3, sample.image.pixel(x, height - 1 - y)));
      }
    }
    EXPECT_EQ(sample.objects[0].box, (Box{1, float(height) - 0.75f, 3, float(height) - 0.25f}));
  }
}

TEST(Augment, ARectangleStaysExactlyUnderItsBox) {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Rng place(99, seed);
    const int width = static_cast<int>(place.integer(2, 90)), height = static_cast<int>(place.integer(2, 70));
    const int x0 = static_cast<int>(place.integer(0, width - 1)), y0 = static_cast<int>(place.integer(0, height - 1));
    const int x1 = static_cast<int>(place.integer(x0 + 1, width)), y1 = static_cast<int>(place.integer(y0 + 1, height));
    Sample sample = with_rectangle(width, height, x0, y0, x1, y1);
    Rng rng(7, seed);
    augment(sample, {.flip = 0.5, .crop = 0.7, .translate = 0.7}, rng);
    random_vertical_flip(sample, 0.5, rng);
    ASSERT_EQ(sample.objects.size(), 1u);
    ASSERT_EQ(sample.objects[0].box, painted(sample.image)) << "seed " << seed;
    ASSERT_EQ(sample.image.rgb.size(), size_t(sample.image.width) * size_t(sample.image.height) * 3);
    expect_inside(sample);
  }
}

// Cropping and translating move the whole picture, not only what lies under a box.
TEST(Augment, EveryPixelMovesWithTheBox) {
  const Sample before = with_rectangle(61, 47, 20, 15, 33, 30);
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Sample after = before;
    Rng rng(seed);
    augment(after, {.flip = 0, .crop = 0.5, .translate = 1}, rng);
    const int dx = int(after.objects[0].box.x0) - 20, dy = int(after.objects[0].box.y0) - 15;
    int moved = 0;
    for (int y = 0; y < after.image.height; ++y) {
      for (int x = 0; x < after.image.width; ++x) {
        const uint8_t* pixel = after.image.pixel(x, y);
        const int from_x = x - dx, from_y = y - dy;
        const bool same = from_x >= 0 && from_y >= 0 && from_x < 61 && from_y < 47 &&
                          std::equal(pixel, pixel + 3, before.image.pixel(from_x, from_y));
        const bool grey = pixel[0] == kPadGrey && pixel[1] == kPadGrey && pixel[2] == kPadGrey;
        ASSERT_TRUE(same || grey) << "seed " << seed << ", pixel " << x << "," << y;
        moved += same;
      }
    }
    EXPECT_GE(moved, 13 * 15);
  }
}

// D1: the original's crop never took anything off the right and the bottom. With margins of 40, 30, 20 and 50 pixels
// each cut is uniform: its mean is half the margin, give or take 5 deviations of the mean (margin / sqrt(12 * 2000))
// and the half pixel of rounding outwards.
TEST(Augment, D1EverySideIsCropped) {
  constexpr int kDraws = 2000;
  const double margins[4] = {40, 30, 20, 50};  // left, top, right, bottom
  double cut[4] = {};
  int tight[4] = {};
  for (int i = 0; i < kDraws; ++i) {
    Sample sample = with_rectangle(40 + 25 + 20, 30 + 10 + 50, 40, 30, 65, 40);
    Rng rng(5, static_cast<uint64_t>(i));
    random_crop(sample, 1.0, rng);
    const Box box = sample.objects[0].box;
    EXPECT_EQ(box.width(), 25);
    EXPECT_EQ(box.height(), 10);
    const double left[4] = {box.x0, box.y0, sample.image.width - box.x1, sample.image.height - box.y1};
    for (int side = 0; side < 4; ++side) {
      cut[side] += (margins[side] - left[side]) / kDraws;
      tight[side] += left[side] < 0.1 * margins[side];
    }
  }
  for (int side = 0; side < 4; ++side) {
    EXPECT_NEAR(cut[side], margins[side] / 2, 0.5 + 5 * margins[side] / std::sqrt(12.0 * kDraws)) << "side " << side;
    EXPECT_GT(tight[side], 0) << "side " << side;
  }
}

// D2: a box beyond the picture made an empty crop.
TEST(Augment, D2BoxesAreClippedFirst) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const auto left = object_at({-20, -10, 20, 30}), outside = object_at({70, 10, 90, 20});
    Sample sample{textured(60, 40), {left, outside, object_at({50, 39, 80, 90})}};
    Rng rng(3, seed);
    augment(sample, {.flip = 0.5, .crop = 1, .translate = 1}, rng);
    ASSERT_FALSE(sample.image.empty());
    ASSERT_EQ(sample.objects.size(), 2u);
    expect_inside(sample);
    EXPECT_FLOAT_EQ(sample.objects[0].box.width(), 20);
    EXPECT_FLOAT_EQ(sample.objects[0].box.height(), 30);
    EXPECT_FLOAT_EQ(sample.objects[0].area, 600);  // of 1600 stated, 600 of 1600 pixels are inside
    EXPECT_FLOAT_EQ(sample.objects[1].box.height(), 1);
  }
}

// D3: margins of 3 and 2 pixels give the shifts -3 .. 2, all of them, and the bare rim is the letterbox's grey.
TEST(Augment, D3TranslationReachesTheEdgesAndNoFurther) {
  std::set<int> seen_x, seen_y;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Sample sample = with_rectangle(3 + 8 + 2, 0 + 6 + 1, 3, 0, 11, 6);
    Rng rng(11, seed);
    random_translate(sample, 1.0, rng);
    EXPECT_EQ(sample.image.width, 13);
    EXPECT_EQ(sample.image.height, 7);
    ASSERT_EQ(painted(sample.image), sample.objects[0].box);
    seen_x.insert(int(sample.objects[0].box.x0) - 3);
    seen_y.insert(int(sample.objects[0].box.y0));
    if (sample.objects[0].box.y0 == 1) {
      EXPECT_EQ(sample.image.pixel(5, 0)[0], kPadGrey);
    }
  }
  EXPECT_EQ(seen_x, (std::set<int>{-3, -2, -1, 0, 1, 2}));
  EXPECT_EQ(seen_y, (std::set<int>{0, 1}));
}

// D4: the original's boxes were integers and lost up to a pixel a step.
TEST(Augment, D4BoxesKeepTheirFractions) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const auto small = object_at({100.25f, 50.5f, 103.625f, 52.75f}), large = object_at({300.125f, 200, 310, 290.5f});
    Sample sample{textured(640, 480), {small, large}};
    Rng rng(13, seed);
    augment(sample, {.flip = 0.5, .crop = 1, .translate = 1}, rng);
    expect_inside(sample);
    EXPECT_EQ(sample.objects[0].box.width(), 3.375f);  // eighths are exact in float
    EXPECT_EQ(sample.objects[0].box.height(), 2.25f);
    EXPECT_EQ(sample.objects[1].box.width(), 9.875f);
    EXPECT_EQ(std::abs(sample.objects[1].box.y0 - sample.objects[0].box.y0), 149.5f);
  }
}

TEST(Augment, BackgroundPicturesPassAndKeepAtLeastHalfOfEachSide) {
  std::set<std::pair<int, int>> sizes;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Sample sample{textured(80, 60), {}};
    Rng rng(17, seed);
    random_crop(sample, 1.0, rng);
    EXPECT_GE(sample.image.width, 40);
    EXPECT_GE(sample.image.height, 30);
    sizes.insert({sample.image.width, sample.image.height});

    Sample moved{Image(80, 60, 7), {}};
    random_translate(moved, 1.0, rng);
    const auto kept = std::ranges::count(moved.image.rgb, 7) / 3;
    EXPECT_GE(kept, 60 * 45);
  }
  EXPECT_GT(sizes.size(), 100u);
}

TEST(Augment, TheSmallestPicturesSurvive) {
  for (int width = 1; width <= 3; ++width) {
    for (int height = 1; height <= 3; ++height) {
      for (uint64_t seed = 0; seed < 20; ++seed) {
        Sample background{textured(width, height), {}}, full = with_rectangle(width, height, 0, 0, width, height);
        Rng rng(19, seed);
        augment(background, {1, 1, 1}, rng);
        EXPECT_FALSE(background.image.empty());
        augment(full, {1, 1, 1}, rng);
        ASSERT_EQ(full.objects.size(), 1u);
        EXPECT_EQ(full.objects[0].box, (Box{0, 0, float(width), float(height)}));
      }
    }
  }
}

TEST(Augment, ProbabilityZeroChangesNothingAndHalfIsHalf) {
  const Sample before = with_rectangle(50, 40, 5, 6, 20, 30);
  int flipped = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    Sample sample = before;
    Rng rng(23, seed);
    augment(sample, {0, 0, 0}, rng);
    ASSERT_EQ(sample.image, before.image);
    ASSERT_EQ(sample.objects, before.objects);
    random_horizontal_flip(sample, 0.5, rng);
    flipped += sample.objects[0].box.x0 != 5;
  }
  EXPECT_NEAR(flipped, 500, 5 * std::sqrt(250.0));  // five deviations of the binomial
}

TEST(Augment, OptionsThatMakeNoSenseAreRefusedByName) {
  const auto refused = [](AugmentOptions options) -> std::string {
    try {
      check_augment_options(options);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refused({}), "");
  EXPECT_TRUE(refused({.mosaic = 1.5}).starts_with("--mosaic 1.5: "));
  EXPECT_TRUE(refused({.degrees = -1}).starts_with("--degrees -1: "));
  EXPECT_TRUE(refused({.shear = 45}).starts_with("--shear 45: "));
  EXPECT_TRUE(refused({.hsv_h = 0.6}).starts_with("--hsv-h 0.6: "));
  EXPECT_TRUE(refused({.saturation = 0.5}).starts_with("--saturation 0.5: "));
  EXPECT_TRUE(refused({.hsv_s = 0.5, .saturation = 1.5}).find("give one") != std::string::npos);
  EXPECT_TRUE(refused({.hsv_v = 0.5, .exposure = 1.5}).find("give one") != std::string::npos);
  EXPECT_TRUE(refused({.min_visible = std::nan("")}).starts_with("--min-visible nan: "));
}

TEST(Augment, WithoutTheStrongTheMildStay) {
  const AugmentOptions mild{
      .flip = 0.1, .crop = 0.2, .translate = 0.3, .flipud = 0.4, .hsv_h = 0.1, .hsv_s = 0.2, .exposure = 2};
  EXPECT_FALSE(has_strong(mild));
  EXPECT_FALSE(has_strong({}));
  for (double AugmentOptions::*strong :
       {&AugmentOptions::mosaic, &AugmentOptions::mixup, &AugmentOptions::cutout, &AugmentOptions::blur,
        &AugmentOptions::noise, &AugmentOptions::grey, &AugmentOptions::degrees, &AugmentOptions::scale,
        &AugmentOptions::shear, &AugmentOptions::shift}) {
    AugmentOptions options = mild;
    options.*strong = 0.5;
    EXPECT_TRUE(has_strong(options));
    EXPECT_EQ(without_strong(options), mild);
  }
}

TEST(Augment, TheSameRngGivesTheSameSample) {
  const Sample before = with_rectangle(50, 40, 5, 6, 20, 30);
  Sample a = before, b = before;
  Rng rng_a(29, 2, 4), rng_b(29, 2, 4);
  augment(a, {}, rng_a);
  augment(b, {}, rng_b);
  EXPECT_EQ(a.image, b.image);
  EXPECT_EQ(a.objects, b.objects);
}

}  // namespace
}  // namespace yolov3
