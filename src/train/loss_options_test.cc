// What each option of the loss does, on networks of one and two heads whose losses can be worked out by hand.
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/rng.h"
#include "train/loss.h"

namespace yolov3 {
namespace {

using torch::Tensor;
using Objects = std::vector<std::vector<Annotation>>;

const double kLn2 = std::log(2.0);
double softplus(double x) { return std::log1p(std::exp(x)); }  // cross entropy of logit x against 0; -x against 1
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

Annotation object(float x, float y, float width, float height, int class_id = 0) {
  return {box_from_center(x, y, width, height), class_id};
}

// One head of one anchor 32x32 over two cells of 32 pixels, beside each other. Logits 0: both answer with their middle
// and 32x32.
std::vector<Head> one_head(int classes = 1, float scale_xy = 1) {
  return {{0, classes, {{32, 32}}, scale_xy, 1, 2, 32, 32}};
}

// Input 64x64: 2 x 2 cells with an anchor of 32x32, and one cell with an anchor of 64x64.
std::vector<Head> two_heads(int classes) {
  return {{0, classes, {{32, 32}}, 1, 2, 2, 32, 32}, {1, classes, {{64, 64}}, 1, 1, 1, 64, 64}};
}

std::vector<Tensor> zeros(const std::vector<Head>& heads, int64_t batch = 1) {
  std::vector<Tensor> raw;
  for (const Head& head : heads) {
    raw.push_back(torch::zeros({batch, 5 + head.classes, head.grid_height, head.grid_width}, torch::kFloat64));
  }
  return raw;
}

YoloLoss loss_of(const std::vector<Tensor>& raw, const std::vector<Head>& heads, const Objects& objects,
                 const LossOptions& options) {
  return yolo_loss(raw, heads, objects, assign(objects, heads), options);
}

double conf(const YoloLoss& loss) { return loss.parts.conf.item<double>(); }
double box(const YoloLoss& loss) { return loss.parts.giou.item<double>(); }
double prob(const YoloLoss& loss) { return loss.parts.prob.item<double>(); }

// The object is the anchor of the first cell, whose objectness has logit 1; the other cell's has logit 0.
TEST(LossOptions, FocalPowerAndBalance) {
  const std::vector<Head> heads = one_head();
  std::vector<Tensor> raw = zeros(heads);
  raw[0][0][4][0][0] = 1;
  const Objects objects = {{object(16, 16, 32, 32)}};
  const double error = 1 - sigmoid(1), positive = softplus(-1), background = kLn2;
  for (const double power : {0.0, 1.0, 1.5, 2.0, 3.0}) {
    const double p = std::pow(error, power) * positive, b = std::pow(0.5, power) * background;
    EXPECT_NEAR(conf(loss_of(raw, heads, objects, {.focal_power = power})), p + b, 1e-14) << power;
    EXPECT_NEAR(conf(loss_of(raw, heads, objects, {.focal_power = power, .focal_balance = 0.25})), 0.25 * p + 0.75 * b,
                1e-14)
        << power;
  }
}

// The answer lies 4 pixels beside the object: IoU 28 / 36.
TEST(LossOptions, ObjectnessThatIsTheOverlap) {
  const std::vector<Head> heads = one_head();
  std::vector<Tensor> raw = zeros(heads);
  raw[0][0][4][0][0] = 1;
  raw[0].set_requires_grad(true);
  const Objects objects = {{object(20, 16, 32, 32)}};
  const YoloLoss loss = loss_of(raw, heads, objects, {.objectness_target = ObjectnessTarget::iou, .focal_power = 0});
  EXPECT_NEAR(conf(loss), softplus(1) - 28.0 / 36 + kLn2, 1e-14);
  loss.parts.conf.backward();
  const Tensor slopes = raw[0].grad()[0].select(1, 0);  // 6 channels, 2 cells
  EXPECT_NEAR(slopes[4][0].item<double>(), sigmoid(1) - 28.0 / 36, 1e-14);
  EXPECT_NEAR(slopes[4][1].item<double>(), 0.5, 1e-14);
  EXPECT_EQ(slopes.narrow(0, 0, 4).abs().sum().item<double>(), 0) << "no gradient through the target";
  // The focal weight is of the error against it.
  const double error = 28.0 / 36 - sigmoid(1);
  EXPECT_NEAR(conf(loss_of(raw, heads, objects, {.objectness_target = ObjectnessTarget::iou})),
              error * error * (softplus(1) - 28.0 / 36) + 0.25 * kLn2, 1e-14);
}

// Four pictures, the first with an object a head; three classes. All logits are 0 but one: the answer of the first head
// is twice as wide as its object, IoU 1/2. 16 and 4 cells cost 0.5^2 ln 2 each, a positive's classes 3 ln 2.
TEST(LossOptions, Normalisation) {
  const std::vector<Head> heads = two_heads(3);
  std::vector<Tensor> raw = zeros(heads, 4);
  raw[0][0][2][0][0] = kLn2;
  const Objects objects = {{object(16, 16, 32, 32), object(32, 32, 64, 64, 2)}, {}, {}, {}};
  const auto of = [&](LossNorm norm) {
    return loss_of(raw, heads, objects, {.box_loss = BoxLoss::iou, .small_box_weight = false, .norm = norm});
  };
  const YoloLoss batch = of(LossNorm::batch), positives = of(LossNorm::positives), means = of(LossNorm::means);
  EXPECT_NEAR(box(batch), 0.5 / 4, 1e-14);
  EXPECT_NEAR(conf(batch), (4 + 1) * kLn2 / 4, 1e-14);
  EXPECT_NEAR(prob(batch), 6 * kLn2 / 4, 1e-14);
  EXPECT_NEAR(box(positives), 0.5 / 2, 1e-14);
  EXPECT_NEAR(conf(positives), (4 + 1) * kLn2 / 2, 1e-14);
  EXPECT_NEAR(prob(positives), 6 * kLn2 / 2, 1e-14);
  EXPECT_NEAR(box(means), 0.5, 1e-14);
  EXPECT_NEAR(conf(means), 0.25 * kLn2 + 0.25 * kLn2, 1e-14);
  EXPECT_NEAR(prob(means), kLn2 + kLn2, 1e-14);
}

TEST(LossOptions, NormalisationOfBackgroundAlone) {
  const std::vector<Head> heads = one_head();
  for (const auto& [norm, want] :
       {std::pair(LossNorm::positives, 0.5 * kLn2), std::pair(LossNorm::means, 0.25 * kLn2)}) {
    const YoloLoss loss = loss_of(zeros(heads), heads, {{}}, {.norm = norm});
    EXPECT_EQ(box(loss), 0);
    EXPECT_EQ(prob(loss), 0);
    EXPECT_NEAR(conf(loss), want, 1e-14);
  }
}

TEST(LossOptions, HeadBalance) {
  const std::vector<Head> heads = two_heads(1);
  const Objects objects = {{object(16, 16, 32, 32), object(32, 32, 64, 64)}};
  const YoloLoss plain = loss_of(zeros(heads), heads, objects, {});
  const YoloLoss balanced = loss_of(zeros(heads), heads, objects, {.obj_gain = 3, .head_balance = {2, 0.5}});
  EXPECT_NEAR(conf(plain), 1.25 * kLn2, 1e-14);
  EXPECT_NEAR(conf(balanced), 3 * (2 * 1 + 0.5 * 0.25) * kLn2, 1e-14);
  EXPECT_EQ(box(plain), box(balanced));
  EXPECT_EQ(prob(plain), prob(balanced));
  EXPECT_THROW(loss_of(zeros(heads), heads, objects, {.head_balance = {1, 1, 1}}), Error);
}

// 32x32 of 64x64 pixels: weight 2 - 1/4.
TEST(LossOptions, SmallBoxWeight) {
  const std::vector<Head> heads = two_heads(1);
  std::vector<Tensor> raw = zeros(heads);
  raw[0][0][2][0][0] = kLn2;
  const Objects objects = {{object(16, 16, 32, 32)}};
  EXPECT_NEAR(box(loss_of(raw, heads, objects, {.box_loss = BoxLoss::iou})), 1.75 * 0.5, 1e-14);
  EXPECT_NEAR(box(loss_of(raw, heads, objects, {.box_loss = BoxLoss::iou, .small_box_weight = false})), 0.5, 1e-14);
}

// Twice as wide, around the same centre: IoU 1/2, which is GIoU and DIoU too. Proportions 2 and 1: the number of
// train.BoxLoss.OverlapsByHand without its distance of 1/20.
TEST(LossOptions, BoxLosses) {
  const std::vector<Head> heads = one_head();
  std::vector<Tensor> raw = zeros(heads);
  raw[0][0][2][0][0] = kLn2;
  const Objects objects = {{object(16, 16, 32, 32)}};
  const auto of = [&](BoxLoss kind) {
    return box(loss_of(raw, heads, objects, {.box_loss = kind, .small_box_weight = false}));
  };
  EXPECT_NEAR(of(BoxLoss::iou), 0.5, 1e-14);
  EXPECT_NEAR(of(BoxLoss::giou), 0.5, 1e-14);
  EXPECT_NEAR(of(BoxLoss::diou), 0.5, 1e-14);
  EXPECT_NEAR(of(BoxLoss::ciou), 0.5 + 0.45 - 0.446751870701443, 1e-14);
  EXPECT_NEAR(of(BoxLoss::mse), 0.5 * kLn2 * kLn2, 1e-14);
}

// Darknet's gradients: the object lies at 0.625 and 0.5 of the cell, is twice as wide and half as high as the anchor,
// and covers half of the input, so that it counts 1.5.
TEST(LossOptions, MseHasDarknetsGradients) {
  const std::vector<Head> heads = one_head();
  std::vector<Tensor> raw = zeros(heads);
  raw[0].set_requires_grad(true);
  loss_of(raw, heads, {{object(20, 16, 64, 16)}}, {.box_loss = BoxLoss::mse}).parts.giou.backward();
  const std::vector<double> want = {1.5 * (0.5 - 0.625), 0, -1.5 * kLn2, 1.5 * kLn2};
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(raw[0].grad()[0][i][0][0].item<double>(), want[static_cast<size_t>(i)], 1e-7) << i;  // float boxes
    EXPECT_EQ(raw[0].grad()[0][i][0][1].item<double>(), 0);
  }
}

// With scale_x_y too: logits whose decoded box is the object's cost nothing.
TEST(LossOptions, MseOfTheObjectsOwnLogitsIsNothing) {
  for (const float scale : {1.0f, 1.2f, 2.0f}) {
    const std::vector<Head> heads = one_head(1, scale);
    std::vector<Tensor> raw = zeros(heads);
    raw[0][0].select(1, 0).select(1, 0).narrow(0, 0, 4).copy_(torch::tensor({0.7, -0.4, 0.3, -0.2}, torch::kFloat64));
    const auto place = [&](double logit) {
      return static_cast<float>(32 * (sigmoid(logit) * scale - 0.5 * (double{scale} - 1)));
    };
    const Annotation own = object(place(0.7), place(-0.4), static_cast<float>(32 * std::exp(0.3)),
                                  static_cast<float>(32 * std::exp(-0.2)));
    const YoloLoss loss = loss_of(raw, heads, {{own}}, {.box_loss = BoxLoss::mse});
    EXPECT_EQ(loss.heads[0].positives, 1);
    EXPECT_NEAR(box(loss), 0, 1e-11) << scale;
  }
}

// One class: 1/K is 1, so that smoothing towards it does nothing, and the class should always be 1.
TEST(LossOptions, SmoothingAndOneClass) {
  const Objects objects = {{object(16, 16, 32, 32)}};
  const auto of = [&](int classes, const LossOptions& options) {
    const std::vector<Head> heads = one_head(classes);
    std::vector<Tensor> raw = zeros(heads);
    raw[0][0][5][0][0] = 1;  // the class of the object; the others' logits are 0
    return prob(loss_of(raw, heads, objects, options));
  };
  const auto entropy = [](double logit, double target) { return softplus(logit) - target * logit; };
  EXPECT_NEAR(of(1, {.label_smoothing = 0.2}), entropy(1, 1), 1e-14);
  EXPECT_NEAR(of(1, {.label_smoothing = 0.2, .smooth_to = SmoothTo::half}), entropy(1, 0.9), 1e-14);
  EXPECT_NEAR(of(4, {.label_smoothing = 0.2}), entropy(1, 0.85) + 3 * kLn2, 1e-14);
  EXPECT_NEAR(of(4, {.label_smoothing = 0.2, .smooth_to = SmoothTo::half}), entropy(1, 0.9) + 3 * kLn2, 1e-14);
}

// The second head's answer overlaps the first one's object by a quarter: background of its own, spared if all objects
// are seen.
TEST(LossOptions, IgnoreSeesOwnObjectsOrAll) {
  const std::vector<Head> heads = two_heads(1);
  const Objects objects = {{object(16, 16, 32, 32)}};
  const LossOptions options{.ignore_iou = 0.25};
  for (const bool all : {false, true}) {
    const YoloLoss loss = yolo_loss(zeros(heads), heads, objects, assign(objects, heads, {.ignore_all = all}), options);
    EXPECT_EQ(loss.heads[1].ignored.sum().item<int64_t>(), all ? 1 : 0);
    EXPECT_NEAR(loss.heads[1].parts.conf.item<double>(), all ? 0 : 0.25 * kLn2, 1e-14);
  }
}

TEST(LossOptions, NonsenseIsRefused) {
  for (const LossOptions& bad :
       {LossOptions{.label_smoothing = 1}, LossOptions{.focal_power = 0.5}, LossOptions{.focal_power = -1},
        LossOptions{.focal_balance = 1}, LossOptions{.head_balance = {1, -1}}}) {
    EXPECT_THROW(check_loss_options(bad), Error);
  }
  EXPECT_NO_THROW(check_loss_options({}));
  EXPECT_NO_THROW(check_loss_options({.focal_power = 0, .focal_balance = 0.25, .head_balance = {4, 1, 0}}));
}

// ---- gradients ------------------------------------------------------------------------------------------------------

std::vector<LossOptions> many_options() {
  return {{},
          {.box_loss = BoxLoss::iou, .focal_power = 0, .norm = LossNorm::means},
          {.box_loss = BoxLoss::diou, .focal_power = 1, .norm = LossNorm::positives, .head_balance = {4, 0.4}},
          {.box_loss = BoxLoss::mse, .small_box_weight = false, .focal_power = 1.5, .focal_balance = 0.25},
          {.label_smoothing = 0.1, .box_gain = 0.05, .box_loss = BoxLoss::giou, .smooth_to = SmoothTo::half}};
}

Objects crowded_pictures() {
  return {{object(15, 17, 30, 20), object(30, 33, 60, 50, 1), object(49, 50, 25, 33)}, {object(40, 20, 33, 29, 1)}};
}

std::vector<Tensor> random_maps(const std::vector<Head>& heads, double deviation) {
  Rng rng(5);
  std::vector<Tensor> raw = zeros(heads, 2);
  for (Tensor& map : raw) {
    for (int64_t i = 0; i < map.numel(); ++i) map.view({-1})[i] = deviation * rng.normal();
  }
  return raw;
}

// Every logit moved by h = 1e-6 both ways: the error is of the order h^2, and 1e-16 / h of a loss of about 10.
TEST(LossOptions, SlopesAreTheCentralDifferences) {
  constexpr double kStep = 1e-6;
  const std::vector<Head> heads = two_heads(2);
  for (const LossOptions& options : many_options()) {
    const auto total = [&](const std::vector<Tensor>& raw) {
      return loss_of(raw, heads, crowded_pictures(), options).parts.total();
    };
    std::vector<Tensor> raw = random_maps(heads, 0.7);
    for (Tensor& map : raw) map.set_requires_grad(true);
    total(raw).backward();
    for (size_t h = 0; h < heads.size(); ++h) {
      for (int64_t i = 0; i < raw[h].numel(); ++i) {
        const auto moved = [&](double by) {
          std::vector<Tensor> other;
          for (const Tensor& map : raw) other.push_back(map.detach().clone());
          other[h].view({-1})[i] += by;
          return total(other).item<double>();
        };
        const double slope = (moved(kStep) - moved(-kStep)) / (2 * kStep);
        EXPECT_NEAR(raw[h].grad().reshape({-1})[i].item<double>(), slope, 1e-7) << "head " << h << ", logit " << i;
      }
    }
  }
}

// Logits of any size, in single precision, as a run that goes wrong has them.
TEST(LossOptions, NeverNan) {
  std::vector<LossOptions> all = many_options();
  for (const BoxLoss kind : {BoxLoss::iou, BoxLoss::giou, BoxLoss::diou, BoxLoss::ciou, BoxLoss::mse}) {
    for (const ObjectnessTarget target : {ObjectnessTarget::one, ObjectnessTarget::iou}) {
      for (const double power : {0.0, 1.0, 1.5, 2.0}) {
        all.push_back({.box_loss = kind, .objectness_target = target, .focal_power = power, .focal_balance = 0.25});
      }
    }
  }
  const std::vector<Head> heads = two_heads(2);
  const Objects objects = crowded_pictures();
  for (const double deviation : {10.0, 100.0, 1000.0, 1e4}) {
    for (const LossOptions& options : all) {
      std::vector<Tensor> raw;
      for (const Tensor& map : random_maps(heads, deviation)) {
        raw.push_back(map.to(torch::kFloat32).set_requires_grad(true));
      }
      const YoloLoss loss = yolo_loss(raw, heads, objects, assign(objects, heads, {.ignore_all = true}), options);
      loss.parts.total().backward();
      EXPECT_TRUE(loss.parts.total().isfinite().item<bool>());
      for (const Tensor& map : raw) EXPECT_TRUE(map.grad().isfinite().all().item<bool>()) << deviation;
    }
  }
}

}  // namespace
}  // namespace yolov3
