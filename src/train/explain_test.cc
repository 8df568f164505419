// detect/explain says what the loss ignores: here beside the loss itself, which computes it another way.
#include "detect/explain.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "net/models.h"
#include "train/loss.h"

namespace yolov3 {
namespace {

// Boxes of all sizes, some of them on top of each other.
std::vector<Annotation> crowded_picture(Rng& rng) {
  std::vector<Annotation> objects;
  for (int i = 0; i < 40; ++i) {
    const double width = std::exp(rng.uniform(std::log(8.0), std::log(150.0))), height = width * rng.uniform(0.5, 2);
    const double x = rng.uniform(1, 159), y = rng.uniform(1, 95);
    const Box box = clip(box_from_center(static_cast<float>(x), static_cast<float>(y), static_cast<float>(width),
                                         static_cast<float>(height)),
                         160, 96);
    if (box.width() > 2 && box.height() > 2) objects.push_back({box, static_cast<int>(rng.integer(0, 1))});
    if (i % 7 == 0 && !objects.empty()) objects.push_back(objects.back());
  }
  return objects;
}

void expect_same_ignored(const AssignOptions& options) {
  const std::vector<Head> all = heads(yolov3({.classes = 2, .width = 160, .height = 96}));
  Rng rng(3);
  int64_t seen = 0;
  for (int round = 0; round < 5; ++round) {
    const std::vector<Annotation> objects = crowded_picture(rng);
    std::vector<Tensor> raw;
    std::vector<torch::Tensor> raw_torch;
    for (const Head& head : all) {
      raw.emplace_back(Shape{1, 21, head.grid_height, head.grid_width});
      for (float& value : raw.back().values()) value = static_cast<float>(0.5 * rng.normal());
      raw_torch.push_back(torch::from_blob(raw.back().data(), raw.back().shape()).clone());
    }
    const YoloLoss loss = yolo_loss(raw_torch, all, {objects}, assign({objects}, all, options), {});
    const Answers answers =
        explain_answers(views_of(raw), all, objects, explain_targets(objects, all, options), LossOptions{}.ignore_iou);
    std::vector<torch::Tensor> mine;
    for (const Head& head : all) mine.push_back(torch::zeros({1, 3, head.grid_height, head.grid_width}, torch::kBool));
    for (const IgnoredPrediction& i : answers.ignored)
      mine[static_cast<size_t>(i.head)][0][i.anchor][i.gy][i.gx] = true;
    for (size_t h = 0; h < all.size(); ++h) EXPECT_TRUE(mine[h].equal(loss.heads[h].ignored)) << "head " << h;
    seen += static_cast<int64_t>(answers.ignored.size());
  }
  EXPECT_GT(seen, 50);
}

TEST(Explain, IgnoresWhatTheLossIgnores) { expect_same_ignored({}); }

TEST(Explain, IgnoresWhatTheLossIgnoresByOtherRules) {
  expect_same_ignored({.ignore_all = true});
  expect_same_ignored({.matching = Matching::best, .measure = AnchorMeasure::shape, .ignore_all = true});
  expect_same_ignored({.measure = AnchorMeasure::ratio, .collision = CollisionRule::free});
}

}  // namespace
}  // namespace yolov3
