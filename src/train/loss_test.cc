#include "train/loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "detect/golden_test.h"
#include "net/models.h"

namespace yolov3 {
namespace {

constexpr std::array<int, 3> kStrides{8, 16, 32};

torch::Tensor as_tensor(const GoldenArray& array) {
  return torch::tensor(array.values, torch::kFloat64).view(array.shape);
}

// One case of the golden file: loss/K.
struct GoldenCase {
  std::vector<Head> heads;
  std::vector<torch::Tensor> raw;  // N,A*(5+K),G_h,G_w float64
  std::vector<std::vector<Annotation>> objects;
  std::string path;
};

GoldenCase load_case(int number) {
  GoldenCase golden;
  golden.path = "loss/" + std::to_string(number);
  const GoldenArray size = golden_attribute(golden.path, "input_size");
  const int classes = static_cast<int>(golden_number(golden.path, "num_classes"));
  const int width = static_cast<int>(size.values.front()), height = static_cast<int>(size.values.back());
  golden.heads = heads(yolov3({.classes = classes, .width = width, .height = height}));
  for (size_t s = 0; s < kStrides.size(); ++s) {
    const torch::Tensor raw = as_tensor(golden_array(golden.path + "/raw_" + std::to_string(s)));  // b,g,g,3,5+C
    golden.raw.push_back(raw.permute({0, 3, 4, 1, 2}).reshape({raw.size(0), -1, raw.size(1), raw.size(2)}));
  }
  for (int64_t image = 0; image < golden.raw[0].size(0); ++image) {
    const GoldenArray boxes = golden_array(golden.path + "/boxes_" + std::to_string(image));
    std::vector<Annotation> objects;
    for (int64_t i = 0; i < boxes.rows(); ++i) {
      const double* b = boxes.row(i);
      objects.push_back({.box = {static_cast<float>(b[0]), static_cast<float>(b[1]), static_cast<float>(b[2]),
                                 static_cast<float>(b[3])},
                         .class_id = static_cast<int>(b[4])});
    }
    golden.objects.push_back(objects);
  }
  return golden;
}

// Largest |got - want| over the largest |want|.
double relative_error(const torch::Tensor& got, const torch::Tensor& want) {
  const double largest = std::max(want.abs().max().item<double>(), 1e-300);
  return (got.to(torch::kFloat64) - want).abs().max().item<double>() / largest;
}

void expect_golden(int number, torch::ScalarType type, double tolerance) {
  const GoldenCase golden = load_case(number);
  SCOPED_TRACE(golden.path);
  std::vector<torch::Tensor> raw;
  for (const torch::Tensor& map : golden.raw) raw.push_back(map.to(type).clone().set_requires_grad(true));
  const Targets targets = assign(golden.objects, golden.heads);
  const YoloLoss loss = yolo_loss(raw, golden.heads, golden.objects, targets, {});
  loss.parts.total().backward();

  const torch::Tensor want = as_tensor(golden_array(golden.path + "/losses"));
  const torch::Tensor counts = as_tensor(golden_array(golden.path + "/ignored_positive"));
  for (size_t s = 0; s < 3; ++s) {
    SCOPED_TRACE("scale " + std::to_string(s));
    const LossParts& parts = loss.heads[s].parts;
    const torch::Tensor got = torch::stack({parts.giou, parts.conf, parts.prob}).to(torch::kFloat64);
    EXPECT_LE(relative_error(got, want[static_cast<int64_t>(s)]), tolerance);
    EXPECT_EQ(loss.heads[s].ignored.sum().item<int64_t>(), counts[static_cast<int64_t>(s)][0].item<int64_t>());
    EXPECT_EQ(loss.heads[s].positives, counts[static_cast<int64_t>(s)][1].item<int64_t>());
    const torch::Tensor grad = as_tensor(golden_array(golden.path + "/grad_" + std::to_string(s)));
    EXPECT_LE(relative_error(raw[s].grad(), grad.permute({0, 3, 4, 1, 2}).reshape(raw[s].sizes())), tolerance);
  }
  const double total = golden_number(golden.path, "total");
  EXPECT_NEAR(loss.parts.total().item<double>(), total, tolerance * total);
}

TEST(Loss, AgreesWithGoldenInFloat64) {
  for (int number = 0; number < 5; ++number) expect_golden(number, torch::kFloat64, 1e-10);
}

TEST(Loss, AgreesWithGoldenInFloat32) {
  for (int number = 0; number < 5; ++number) expect_golden(number, torch::kFloat32, 1e-5);
}

TEST(Loss, IouAndGiouAgreeWithGolden) {
  const torch::Tensor a = as_tensor(golden_array("giou/a")), b = as_tensor(golden_array("giou/b"));
  EXPECT_LE(relative_error(iou_centers(a, b), as_tensor(golden_array("giou/iou"))), 1e-12);
  EXPECT_LE(relative_error(giou_centers(a, b), as_tensor(golden_array("giou/giou"))), 1e-12);
}

TEST(Loss, EmptyBoxesGiveFiniteGiouAndGradient) {  // D25
  torch::Tensor a = torch::tensor({{5.0f, 5.0f, 0.0f, 0.0f}, {5.0f, 5.0f, 0.0f, 3.0f}}).set_requires_grad(true);
  const torch::Tensor b = torch::tensor({{5.0f, 5.0f, 0.0f, 0.0f}, {9.0f, 5.0f, 2.0f, 2.0f}});
  const torch::Tensor giou = giou_centers(a, b);
  EXPECT_TRUE(giou.isfinite().all().item<bool>());
  giou.sum().backward();
  EXPECT_TRUE(a.grad().isfinite().all().item<bool>());
}

// D24, D26: a width that overflows float32 in a background cell must not reach the loss.
TEST(Loss, OverflowInABackgroundCellStaysThere) {
  const std::vector<Head> net_heads = heads(yolov3({.classes = 2, .width = 64, .height = 64}));
  const std::vector<std::vector<Annotation>> objects{{{.box = {8, 8, 24, 24}, .class_id = 1}}};
  std::vector<torch::Tensor> raw;
  for (const Head& head : net_heads) {
    raw.push_back(torch::zeros({1, 21, head.grid_height, head.grid_width}).set_requires_grad(true));
  }
  {
    const torch::NoGradGuard no_grad;
    raw[0].index_put_({0, 2, 7, 7}, 1000.0f);  // tw of anchor 0, cell (7,7)
    raw[2].index_put_({0, 3, 1, 1}, 1000.0f);
  }
  const YoloLoss loss = yolo_loss(raw, net_heads, objects, assign(objects, net_heads), {});
  loss.parts.total().backward();
  EXPECT_TRUE(loss.parts.total().isfinite().item<bool>());
  for (const torch::Tensor& map : raw) EXPECT_TRUE(map.grad().isfinite().all().item<bool>());
}

TEST(Loss, BackgroundPicturesHaveOnlyObjectness) {
  const std::vector<Head> net_heads = heads(yolov3({.classes = 1, .width = 32, .height = 32}));
  const std::vector<std::vector<Annotation>> objects{{}};
  std::vector<torch::Tensor> raw;
  for (const Head& head : net_heads) raw.push_back(torch::zeros({1, 18, head.grid_height, head.grid_width}));
  const YoloLoss loss = yolo_loss(raw, net_heads, objects, assign(objects, net_heads), {});
  EXPECT_EQ(loss.parts.giou.item<double>(), 0.0);
  EXPECT_EQ(loss.parts.prob.item<double>(), 0.0);
  // (16 + 4 + 1) cells of 3 anchors, each 0.5^2 * ln 2.
  EXPECT_NEAR(loss.parts.conf.item<double>(), 63 * 0.25 * std::log(2.0), 1e-4);
}

TEST(Loss, GainsWeighTheParts) {
  const GoldenCase golden = load_case(0);
  const Targets targets = assign(golden.objects, golden.heads);
  const YoloLoss plain = yolo_loss(golden.raw, golden.heads, golden.objects, targets, {});
  const YoloLoss weighed =
      yolo_loss(golden.raw, golden.heads, golden.objects, targets, {.box_gain = 2, .obj_gain = 3, .cls_gain = 0.5});
  EXPECT_DOUBLE_EQ(weighed.parts.giou.item<double>(), 2 * plain.parts.giou.item<double>());
  EXPECT_DOUBLE_EQ(weighed.parts.conf.item<double>(), 3 * plain.parts.conf.item<double>());
  EXPECT_DOUBLE_EQ(weighed.parts.prob.item<double>(), 0.5 * plain.parts.prob.item<double>());
}

// At logit 0 each of the two classes costs ln 2, whatever the target: a positive costs 2 ln 2 times its class's weight.
TEST(Loss, ClassWeightsMultiplyTheClassPartOfTheirPositives) {
  const std::vector<Head> net_heads = heads(yolov3({.classes = 2, .width = 64, .height = 64}));
  std::vector<torch::Tensor> raw;
  for (const Head& head : net_heads) {
    raw.push_back(torch::zeros({1, 21, head.grid_height, head.grid_width}, torch::kFloat64));
  }
  const LossOptions weighted{.class_weights = {0.5, 3}};
  for (const int class_id : {0, 1}) {
    const std::vector<std::vector<Annotation>> objects{{{.box = {8, 8, 24, 24}, .class_id = class_id}}};
    const Targets targets = assign(objects, net_heads);
    const YoloLoss plain = yolo_loss(raw, net_heads, objects, targets, {});
    const YoloLoss loss = yolo_loss(raw, net_heads, objects, targets, weighted);
    const auto positives = static_cast<double>(targets.positives.size());
    ASSERT_GT(positives, 0);
    EXPECT_NEAR(plain.parts.prob.item<double>(), 2 * std::log(2.0) * positives, 1e-12);
    EXPECT_NEAR(loss.parts.prob.item<double>(), (class_id == 0 ? 0.5 : 3.0) * 2 * std::log(2.0) * positives, 1e-12);
    EXPECT_EQ(loss.parts.giou.item<double>(), plain.parts.giou.item<double>());
    EXPECT_EQ(loss.parts.conf.item<double>(), plain.parts.conf.item<double>());
  }
}

}  // namespace
}  // namespace yolov3
