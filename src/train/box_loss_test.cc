#include "train/box_loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>

#include "base/error.h"
#include "base/rng.h"

namespace yolov3 {
namespace {

using torch::Tensor;
using Function = std::function<Tensor(const Tensor&)>;

constexpr BoxLoss kOverlaps[] = {BoxLoss::iou, BoxLoss::giou, BoxLoss::diou, BoxLoss::ciou};

Tensor rows(const std::vector<double>& numbers) { return torch::tensor(numbers, torch::kFloat64).view({-1, 4}); }

// d sum(function) / d at, number by number: (f(x+h) - f(x-h)) / 2h.
Tensor central_differences(const Function& function, const Tensor& at) {
  constexpr double kStep = 1e-6;
  Tensor slopes = torch::zeros_like(at);
  for (int64_t i = 0; i < at.numel(); ++i) {
    const auto moved = [&](double by) {
      Tensor x = at.clone();
      x.view({-1})[i] += by;
      return function(x).sum().item<double>();
    };
    slopes.view({-1})[i] = (moved(kStep) - moved(-kStep)) / (2 * kStep);
  }
  return slopes;
}

Tensor gradient(const Function& function, const Tensor& at) {
  const Tensor x = at.clone().set_requires_grad(true);
  function(x).sum().backward();
  return x.grad();
}

// Truncation is of the order h^2 = 1e-12, rounding of eps / h = 2e-10 times the values, which are about 1.
void expect_same_slopes(const Tensor& got, const Tensor& want) {
  EXPECT_LE((got - want).abs().max().item<double>(), 2e-8) << got << "\n" << want;
}

// Pairs without a tie of edges, where the slopes jump: overlapping, apart, one inside the other.
Tensor boxes_a() { return rows({10, 20, 30, 40, 5, 5, 4, 4, 50, 60, 7, 80, 30, 31, 8, 6, 100, 90, 300, 20}); }
Tensor boxes_b() { return rows({12, 18, 20, 50, 15, 5.5, 2, 6, 50.5, 60.25, 70, 8, 31, 30, 40, 50, 101, 91, 30, 200}); }

// Values by a program of its own, plain arithmetic on corners; the first two rows by hand: IoU 2/6 and 4/8, DIoU
// 1/3 - 1/13 and 1/2 - 1/20; the proportions of the first pair are equal, of the second 2 and 1.
TEST(BoxLoss, OverlapsByHand) {
  const Tensor a = rows({1, 1, 2, 2, 2, 1, 4, 2, 10, 20, 30, 40, 5, 5, 4, 4, 50, 60, 7, 80, 8, 8, 4, 4});
  const Tensor b = rows({2, 1, 2, 2, 1, 1, 2, 2, 12, 18, 20, 50, 15, 5, 2, 6, 50, 60, 70, 8, 8, 8, 4, 4});
  const std::vector<std::pair<BoxLoss, std::vector<double>>> cases = {
      {BoxLoss::iou, {1.0 / 3, 0.5, 0.571428571428571, 0, 0.052631578947368, 1}},
      {BoxLoss::giou, {1.0 / 3, 0.5, 0.504761904761905, -0.641025641025641, -0.757368421052632, 1}},
      {BoxLoss::diou, {10.0 / 39, 0.45, 0.569075630252101, -0.487804878048780, 0.052631578947368, 1}},
      {BoxLoss::ciou, {10.0 / 39, 0.446751870701443, 0.567354675297940, -0.494787099635552, -0.285926630777492, 1}}};
  for (const auto& [kind, want] : cases) {
    const Tensor got = overlap_centers(kind, a, b);
    EXPECT_LE((got - torch::tensor(want, torch::kFloat64)).abs().max().item<double>(), 2e-15)
        << static_cast<int>(kind) << got;
  }
  EXPECT_THROW(overlap_centers(BoxLoss::mse, a, b), Error);
}

TEST(BoxLoss, SlopesAreTheCentralDifferences) {
  for (const BoxLoss kind : {BoxLoss::iou, BoxLoss::giou, BoxLoss::diou}) {
    SCOPED_TRACE(static_cast<int>(kind));
    const Function overlap = [&](const Tensor& x) { return overlap_centers(kind, x, boxes_b()); };
    expect_same_slopes(gradient(overlap, boxes_a()), central_differences(overlap, boxes_a()));
  }
}

// alpha carries no gradient: the slopes are those of DIoU - alpha v with alpha as it is at the point.
TEST(BoxLoss, CiouSlopesHoldAlphaFast) {
  const Tensor a = boxes_a(), b = boxes_b();
  const auto v = [&](const Tensor& x) {
    const Tensor angles = (b.select(1, 2) / b.select(1, 3)).atan() - (x.select(1, 2) / x.select(1, 3)).atan();
    return 4 / std::pow(std::numbers::pi, 2) * angles * angles;
  };
  const Tensor alpha = v(a) / (1 - iou_centers(a, b) + v(a));
  const Function held = [&](const Tensor& x) { return diou_centers(x, b) - alpha * v(x); };
  const Function ciou = [&](const Tensor& x) { return ciou_centers(x, b); };
  expect_same_slopes(gradient(ciou, a), central_differences(held, a));
}

// D25, and what exp can make of a logit: nothing, almost nothing, a million pixels.
TEST(BoxLoss, DegenerateBoxesGiveFiniteValuesAndSlopes) {
  const std::vector<double> sides = {0, 1e-44, 1e-38, 1e-30, 1e-19, 1e-6, 1, 1e6};
  std::vector<double> first, second;
  for (const double w : sides) {
    for (const double h : sides) {
      for (const double shift : {0.0, 1e-20, 7.0}) {
        first.insert(first.end(), {shift, 5, w, h});
        second.insert(second.end(), {0, 5, 2, 3});  // a true box
        first.insert(first.end(), {shift, 5, w, h});
        second.insert(second.end(), {0, 5, 0, 0});  // none that assign lets pass
      }
    }
  }
  for (const auto type : {torch::kFloat32, torch::kFloat64}) {
    for (const BoxLoss kind : kOverlaps) {
      SCOPED_TRACE(static_cast<int>(kind));
      const Function overlap = [&](const Tensor& x) { return overlap_centers(kind, x, rows(second).to(type)); };
      const Tensor a = rows(first).to(type);
      EXPECT_TRUE(overlap(a).isfinite().all().item<bool>());
      EXPECT_LE(overlap(a).max().item<double>(), 1 + 1e-6);
      const Tensor bad = gradient(overlap, a).isfinite().logical_not().any(1).nonzero();
      EXPECT_EQ(bad.numel(), 0) << a.index_select(0, bad.view({-1}));
    }
  }
}

// sigmoid(0) = 1/2 against 1/4, sigmoid(1) = 0.7310585786 against 1/2; 0.5 against 0, -0.3 against 0.2. The cross
// entropies above their least: 1/4 ln(1/2) + 3/4 ln(3/2) and 1/2 ln(0.5 / 0.731...) + 1/2 ln(0.5 / 0.268...).
TEST(BoxLoss, CoordinatesByHand) {
  const Tensor logits = rows({0, 1, 0.5, -0.3}), targets = rows({0.25, 0.5, 0, 0.2});
  EXPECT_NEAR(coordinate_loss(logits, targets).item<double>(), 0.130812035941137 + 0.120114507 + 0.125 + 0.125, 1e-8);
  const Function loss = [&](const Tensor& x) { return coordinate_loss(x, targets); };
  const Tensor slopes = gradient(loss, logits);
  const std::vector<double> darknet = {0.25, 0.231058578630, 0.5, -0.5};
  EXPECT_LE((slopes - rows(darknet)).abs().max().item<double>(), 1e-11) << slopes;
  expect_same_slopes(slopes, central_differences(loss, logits));
}

TEST(BoxLoss, CoordinatesThatAreRightCostNothing) {
  const double place = 1 / (1 + std::exp(-1.5));
  const Tensor loss = coordinate_loss(rows({1.5, 0, -2, 7}), rows({place, 0.5, -2, 7}));
  EXPECT_NEAR(loss.item<double>(), 0, 1e-15);
  // Targets on the edges of the cell have no entropy: ln(1 + e^-9) for a logit that is nearly there.
  EXPECT_NEAR(coordinate_loss(rows({-9, 9, 0, 0}), rows({0, 1, 0, 0})).item<double>(), 2 * std::log1p(std::exp(-9.0)),
              1e-15);
}

}  // namespace
}  // namespace yolov3
