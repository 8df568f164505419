#include "net/fold.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "net/builder.h"
#include "net/coco_names.h"
#include "net/models.h"

namespace yolov3 {
namespace {

TEST(Fold, AnotherEpsilonKeepsTheOutputs) {
  NetworkBuilder net({1, 1, 1}, 1e-3f);
  const NetworkSpec spec = net.conv(3, 1).conv(2, 1, 1, Activation::linear, false).build();
  Weights weights = zero_weights(spec);
  const float gamma[] = {0.5f, -2, 3}, mean[] = {0.1f, -4, 7}, var[] = {1e-6f, 0.25f, 90};
  for (int f = 0; f < 3; ++f) {
    weights.tensors[0][f] = 1.5f;
    weights.tensors[1][f] = gamma[f];
    weights.tensors[2][f] = mean[f];
    weights.tensors[3][f] = var[f];
  }
  const Rescaled rescaled = with_bn_epsilon(spec, weights, 1e-5f);
  EXPECT_EQ(rescaled.spec.bn_epsilon, 1e-5f);
  for (int f = 0; f < 3; ++f) {
    const double before = gamma[f] / std::sqrt(double{var[f]} + 1e-3f);
    const double after = rescaled.weights.tensors[1][f] / std::sqrt(double{var[f]} + 1e-5f);
    EXPECT_NEAR(after, before, std::abs(before) * std::ldexp(1, -24)) << f;
  }
  Weights others = rescaled.weights;
  others.tensors[1] = weights.tensors[1];
  EXPECT_EQ(others, weights) << "gamma alone changes";
  EXPECT_EQ(with_bn_epsilon(spec, weights, 1e-3f).weights, weights);
  weights.tensors[3][1] = -5e-4f;
  EXPECT_THROW(with_bn_epsilon(spec, weights, 1e-5f), Error);
}

TEST(Spec, AnotherNumberOfClasses) {
  EXPECT_EQ(with_classes(yolov3({.classes = 80}), 3), yolov3({.classes = 3}));
  EXPECT_EQ(with_classes(yolov3_tiny({.classes = 1}), 20), yolov3_tiny({.classes = 20}));
  NetworkBuilder net({3, 32, 32});
  net.conv(7, 32, 32, Activation::linear, false).maxpool(1, 1).yolo({{9, 9}}, {0}, 2);
  EXPECT_THROW(with_classes(net.build(), 3), Error) << "its head stands behind a pool";
  EXPECT_EQ(first_layers(yolov3(), 75), darknet53());
  EXPECT_THROW(first_layers(darknet53(), 76), Error);
}

TEST(CocoNames, VocsWordsMeanTheSame) {
  EXPECT_EQ(coco_names().size(), 80u);
  EXPECT_TRUE(same_class("aeroplane", "airplane"));
  EXPECT_TRUE(same_class("tv", "tvmonitor"));
  EXPECT_TRUE(same_class("dog", "dog"));
  EXPECT_FALSE(same_class("sofa", "chair"));
}

// As annotations/instances_val2017.json has them.
TEST(CocoNames, CategoryIdsAreCocosWhereTheClassesAre) {
  const std::vector<int> ids = coco_category_ids(coco_names());
  ASSERT_EQ(ids.size(), 80u);
  EXPECT_EQ(ids[0], 1);    // person
  EXPECT_EQ(ids[11], 13);  // stop sign
  EXPECT_EQ(ids[16], 18);  // dog
  EXPECT_EQ(ids[60], 67);  // dining table
  EXPECT_EQ(ids[79], 90);  // toothbrush
  EXPECT_EQ(coco_category_ids({"person", "dog"}), (std::vector<int>{0, 1}));
}

}  // namespace
}  // namespace yolov3
