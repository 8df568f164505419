// prepare_sample: one picture and its boxes on their way into the network.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "base/error.h"
#include "data/drawn_pictures.h"
#include "data/loader.h"

namespace yolov3 {
namespace {

using LoaderSampleTest = DrawnPictures;

// Where red stands out from green by more than half: half way up a bilinear edge is the edge itself, so the find is
// within half a pixel, and the rounding of the resized side adds another half at most.
Box find_paint(const float* planes, int width, int height) {
  Box box{1e9f, 1e9f, -1, -1};
  const int plane = width * height;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      if (planes[y * width + x] - planes[plane + y * width + x] <= 0.5f) continue;
      box = {std::min(box.x0, float(x)), std::min(box.y0, float(y)), std::max(box.x1, float(x + 1)),
             std::max(box.y1, float(y + 1))};
    }
  }
  return box;
}

void expect_near(const Box& got, const Box& want, float tolerance, const std::string& what) {
  EXPECT_NEAR(got.x0, want.x0, tolerance) << what;
  EXPECT_NEAR(got.y0, want.y0, tolerance) << what;
  EXPECT_NEAR(got.x1, want.x1, tolerance) << what;
  EXPECT_NEAR(got.y1, want.y1, tolerance) << what;
}

constexpr float kPixel = 1.001f;

TEST_F(LoaderSampleTest, ARectangleStaysUnderItsBoxThereAndBack) {
  const struct {
    int width, height;
    Box box;
  } pictures[] = {{300, 200, {50, 60, 151, 120}},
                  {113, 157, {0, 0, 40, 50}},
                  {500, 375, {401, 300, 500, 375}},
                  {40, 40, {10, 11, 30, 27}}};
  for (const auto& picture : pictures) {
    const Example one = example("one", picture.width, picture.height, picture.box);
    for (const bool letterbox : {true, false}) {
      LoaderOptions options;
      options.letterbox = letterbox;
      std::vector<float> planes(3 * 160 * 128);
      const PreparedSample got = prepare_sample(one, options, 160, 128, Rng(1), planes.data());
      const std::string what = std::to_string(picture.width) + (letterbox ? " letterboxed" : " stretched");
      ASSERT_EQ(got.objects_net.size(), 1u) << what;
      const Box found = find_paint(planes.data(), 160, 128);
      expect_near(found, got.objects_net[0].box, kPixel, what);
      expect_near(image_from_net(got.letterbox, got.objects_net[0].box), picture.box, 1e-3f, what);
      const auto pixel = static_cast<float>(std::max(1.0, 1 / std::min(got.letterbox.scale_x, got.letterbox.scale_y)));
      expect_near(image_from_net(got.letterbox, found), picture.box, kPixel * pixel, what);
      EXPECT_EQ(got.image_width, picture.width);
      EXPECT_EQ(got.image_height, picture.height);
      const auto area = static_cast<float>(picture.box.area() * got.letterbox.scale_x * got.letterbox.scale_y);
      EXPECT_NEAR(got.objects_net[0].area, area, 1e-4f * area) << what;
    }
  }
}

TEST_F(LoaderSampleTest, ARectangleStaysUnderItsBoxThroughEveryAugmentation) {
  const Box box{70, 45, 131, 104};
  const Example one = example("one", 210, 150, box);
  LoaderOptions options;
  options.augmented = true;
  std::vector<float> planes(3 * 96 * 128);
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const PreparedSample got = prepare_sample(one, options, 96, 128, Rng(31, seed), planes.data());
    ASSERT_EQ(got.objects_net.size(), 1u);
    expect_near(find_paint(planes.data(), 96, 128), got.objects_net[0].box, kPixel, "seed " + std::to_string(seed));
    const Box back = image_from_net(got.letterbox, got.objects_net[0].box);
    EXPECT_NEAR(back.width(), 61, 1e-3);
    EXPECT_NEAR(back.height(), 59, 1e-3);
  }
}

// Each augmentation beyond the notes, alone and with theirs. Where the picture is turned the corners that point outwards
// end up to 3/4 px before their last pixel's centre; where colours fade half of the paint is no longer half way.
TEST_F(LoaderSampleTest, ARectangleStaysUnderItsBoxThroughEachNewAugmentation) {
  const Box box{70, 45, 131, 104};
  const Example one = example("one", 210, 150, box);
  const struct {
    const char* name;
    AugmentOptions augment;
    float tolerance;
  } cases[] = {{"flipud", {.flipud = 0.5}, kPixel},
               {"degrees", {.degrees = 25}, 1.5f},
               {"scale", {.scale = 0.4}, kPixel},
               {"shear", {.shear = 10}, 1.5f},
               {"shift", {.shift = 0.3}, kPixel},
               {"all affine", {.degrees = 15, .scale = 0.3, .shear = 5, .shift = 0.2}, 1.5f},
               {"hsv", {.hsv_h = 0.03, .hsv_s = 0.2, .hsv_v = 0.2}, 1.25f},
               {"darknet's hsv", {.hsv_h = 0.03, .saturation = 1.2, .exposure = 1.2}, 1.25f},
               {"noise", {.noise = 1}, kPixel},
               {"blur", {.blur = 1}, kPixel}};
  std::vector<float> planes(3 * 96 * 128);
  for (const auto& c : cases) {
    LoaderOptions options;
    options.augmented = true;
    options.augment = c.augment;
    int shown = 0;
    for (uint64_t seed = 0; seed < 100; ++seed) {
      const PreparedSample got = prepare_sample(one, options, 96, 128, Rng(31, seed), planes.data());
      if (got.objects_net.empty()) continue;  // cut off by more than three quarters
      ++shown;
      const Box& box_net = got.objects_net[0].box;
      if (box_net.width() < 4 || box_net.height() < 4) continue;
      expect_near(find_paint(planes.data(), 96, 128), box_net, c.tolerance,
                  std::string(c.name) + ", " + std::to_string(seed));
    }
    EXPECT_GT(shown, 80) << c.name;
  }
}

TEST_F(LoaderSampleTest, EachNewAugmentationDoesSomething) {
  const Example one = example("one", 210, 150, {70, 45, 131, 104}), two = jpeg_example("two", 90, 80, {10, 10, 50, 60});
  Dataset dataset;
  dataset.names = {"a", "b", "c"};
  dataset.examples = {one, two};
  const PictureSampler sampler(dataset, 0);
  LoaderOptions options;
  options.augmented = true;
  std::vector<float> usual(3 * 64 * 64), got(usual.size());
  const Rng rng(1, 2, 3);
  prepare_sample(dataset, sampler, 0, options, 64, 64, rng, usual.data());
  std::set<std::vector<float>> all{usual};
  for (const AugmentOptions& augment : {AugmentOptions{.flipud = 1},
                                        {.mosaic = 1},
                                        {.mixup = 1},
                                        {.cutout = 1},
                                        {.blur = 1},
                                        {.noise = 1},
                                        {.grey = 1},
                                        {.degrees = 20},
                                        {.scale = 0.5},
                                        {.shear = 20},
                                        {.shift = 0.3},
                                        {.hsv_h = 0.2},
                                        {.hsv_s = 0.7},
                                        {.hsv_v = 0.4},
                                        {.saturation = 1.5},
                                        {.exposure = 1.5}}) {
    options.augment = augment;
    prepare_sample(dataset, sampler, 0, options, 64, 64, rng, got.data());
    EXPECT_TRUE(all.insert(got).second) << "picture " << all.size();
    std::vector<float> again(got.size());
    prepare_sample(dataset, sampler, 0, options, 64, 64, rng, again.data());
    EXPECT_EQ(again, got);
  }
}

// What the notes' steps draw does not change when another augmentation joins them: the boxes are the same.
TEST_F(LoaderSampleTest, ColoursChangeNoFlipCropOrTranslation) {
  const Example one = example("one", 210, 150, {70, 45, 131, 104});
  LoaderOptions plain, coloured;
  plain.augmented = coloured.augmented = true;
  coloured.augment.hsv_s = coloured.augment.hsv_v = 0.5;
  coloured.augment.noise = coloured.augment.grey = 0.5;
  std::vector<float> planes(3 * 64 * 64);
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const auto a = prepare_sample(one, plain, 64, 64, Rng(5, seed), planes.data());
    const auto b = prepare_sample(one, coloured, 64, 64, Rng(5, seed), planes.data());
    EXPECT_EQ(a.objects_net, b.objects_net);
    EXPECT_TRUE(same_letterbox(a.letterbox, b.letterbox));
  }
}

TEST_F(LoaderSampleTest, CrowdsAndDifficultObjectsFollowThroughEverything) {
  Example one = example("one", 200, 160, {});
  one.objects = {{.box = {10, 10, 190, 150}, .class_id = 0, .crowd = true, .area = 180 * 140},
                 {.box = {60, 40, 140, 120}, .class_id = 1, .difficult = true, .area = 80 * 80}};
  LoaderOptions options;
  options.augmented = true;
  options.augment = {.flipud = 0.5, .mosaic = 0.5, .cutout = 0.3, .degrees = 20, .scale = 0.3, .shift = 0.1};
  Dataset dataset;
  dataset.names = {"a", "b"};
  dataset.examples = {one};
  const PictureSampler sampler(dataset, 0);
  std::vector<float> planes(3 * 64 * 64);
  int crowds = 0, difficult = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    for (const Annotation& object :
         prepare_sample(dataset, sampler, 0, options, 64, 64, Rng(7, seed), planes.data()).objects_net) {
      EXPECT_EQ(object.crowd, object.class_id == 0);
      EXPECT_EQ(object.difficult, object.class_id == 1);
      (object.crowd ? crowds : difficult) += 1;
    }
  }
  EXPECT_GE(crowds, 50);
  EXPECT_GE(difficult, 40);
}

// A 400 x 200 picture into 100 x 100 shrinks to a quarter: 4 px are the limit.
TEST_F(LoaderSampleTest, TinyObjectsAreCounted) {
  Dataset dataset;
  Example wide;
  wide.image = "wide.jpg";
  wide.origin = "list.txt:9";
  wide.width = 400;
  wide.height = 200;
  const auto add = [&](Box box, bool crowd) {
    wide.objects.push_back({.box = box, .crowd = crowd, .area = box.area()});
  };
  add({10, 10, 14, 50}, false);       // 1 px wide: stays
  add({10, 10, 13.9f, 50}, false);    // under it
  add({10, 10, 90, 12}, false);       // half a pixel high
  add({396.5f, 10, 440, 50}, false);  // what is inside is 7/8 px wide
  add({10, 10, 11, 11}, true);        // a crowd region is no object
  Example unknown = wide;
  unknown.width = unknown.height = 0;
  dataset.examples = {unknown, wide};
  LoaderOptions options;
  options.width = options.height = 100;
  const TinyObjects found = find_tiny_objects(dataset, options);
  EXPECT_EQ(found.objects, 4);
  EXPECT_EQ(found.tiny, 3);
  EXPECT_EQ(found.first, "wide.jpg (list.txt:9): 0.97 x 10.00 px");
}

// 1603 x 1201 decodes at a quarter for a 160 x 128 input; boxes stay in full pixels all the same.
TEST_F(LoaderSampleTest, AReducedDecodeMovesNoBox) {
  const Box box{403, 299, 1003, 1001};
  const Example one = jpeg_example("large", 1603, 1201, box);
  LoaderOptions reduced, exact;
  exact.exact_decode = true;
  std::vector<float> planes(3 * 160 * 128);
  const PreparedSample a = prepare_sample(one, exact, 160, 128, Rng(1), planes.data());
  const PreparedSample b = prepare_sample(one, reduced, 160, 128, Rng(1), planes.data());
  EXPECT_LT(load_example(one, {160, 128}).image.width, 1603) << "the picture was not reduced: this tests nothing";
  EXPECT_EQ(a.objects_net, b.objects_net);
  EXPECT_TRUE(same_letterbox(a.letterbox, b.letterbox));
  EXPECT_EQ(b.image_width, 1603);
  EXPECT_EQ(b.image_height, 1201);
  expect_near(find_paint(planes.data(), 160, 128), b.objects_net.at(0).box, kPixel, "reduced");
  reduced.augmented = true;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const PreparedSample c = prepare_sample(one, reduced, 160, 128, Rng(3, seed), planes.data());
    expect_near(find_paint(planes.data(), 160, 128), c.objects_net.at(0).box, kPixel, "seed " + std::to_string(seed));
    EXPECT_EQ(c.image_width, 1603);
  }
}

TEST_F(LoaderSampleTest, BoxesAreClippedAndTinyOnesLeftOutCrowdsKept) {
  Example one = example("one", 128, 128, {});
  const auto add = [&](Box box, bool crowd) {
    one.objects.push_back({.box = box, .crowd = crowd, .area = box.area()});
  };
  add({-20, -20, 20, 20}, false);   // clipped to 20 x 20: 10 x 10 in the network
  add({10, 10, 11.5f, 60}, false);  // 0.75 wide
  add({10, 10, 60, 11.5f}, false);  // 0.75 high
  add({10, 10, 12, 12}, false);     // 1 x 1: just stays
  add({130, 10, 150, 60}, false);   // outside
  add({0, 0, 128, 128}, true);      // a crowd
  LoaderOptions options;
  std::vector<float> planes(3 * 64 * 64);
  for (const bool augmented : {false, true}) {
    options.augmented = augmented;
    options.augment = {0, 0, 0};
    const auto objects = prepare_sample(one, options, 64, 64, Rng(1), planes.data()).objects_net;
    ASSERT_EQ(objects.size(), 3u);
    EXPECT_EQ(objects[0].box, (Box{0, 0, 10, 10}));
    EXPECT_FLOAT_EQ(objects[0].area, 100);
    EXPECT_EQ(objects[1].box, (Box{5, 5, 6, 6}));
    EXPECT_TRUE(objects[2].crowd);
    EXPECT_EQ(objects[2].box, (Box{0, 0, 64, 64}));
  }
}

// anchors looks at sizes alone; what training meets must be the same to the last bit.
TEST_F(LoaderSampleTest, ObjectsWithoutPixelsAreThoseOfTheSample) {
  Example one = jpeg_example("one", 1000, 700, {50, 60, 151, 120});
  one.objects.push_back({{-5, 600, 300, 705}, 1, true, false, 9});
  one.objects.push_back({{10, 10, 12, 300}, 1, false, true, 40});  // under a pixel wide in the network
  LoaderOptions options;
  options.width = 160;
  options.height = 128;
  EXPECT_THROW(objects_in_net(one, options), Error) << "its size is not known";
  one.width = 1000;
  one.height = 700;
  std::vector<float> planes(3 * 160 * 128);
  for (const bool letterbox : {true, false}) {
    options.letterbox = letterbox;
    const PreparedSample sample = prepare_sample(one, options, 160, 128, Rng(1), planes.data());
    EXPECT_EQ(sample.objects_net.size(), 2u);
    EXPECT_EQ(objects_in_net(one, options), sample.objects_net);
  }
}

}  // namespace
}  // namespace yolov3
