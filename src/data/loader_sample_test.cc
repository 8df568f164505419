// prepare_sample: one picture and its boxes on their way into the network.
#include <gtest/gtest.h>

#include <algorithm>
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
