#include "quant/sensitivity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "quant/observe.h"
#include "quant/scales.h"
#include "quant/test_int8_engine.h"
#include "quant/test_pictures.h"

namespace yolov3 {
namespace {

using testing::Pictures;
using testing::white_finder;

Tensor tensor_of(const Shape& shape, const std::vector<float>& values) {
  Tensor tensor(shape);
  std::copy(values.begin(), values.end(), tensor.data());
  return tensor;
}

TEST(Sensitivity, DeviationByHand) {
  const std::vector<Tensor> truth = {tensor_of({2}, {3, 0}), tensor_of({1}, {4})};
  EXPECT_EQ(relative_deviation(truth, truth), 0);
  // |(0,3,4) - (3,0,4)| = sqrt(18), |truth| = 5
  EXPECT_NEAR(relative_deviation(truth, std::vector<Tensor>{tensor_of({2}, {0, 3}), tensor_of({1}, {4})}),
              std::sqrt(18.0) / 5, 1e-12);
  const std::vector<Tensor> zeros = {Tensor({2}), Tensor({1})};
  EXPECT_NEAR(relative_deviation(truth, zeros), 1, 1e-12);
  EXPECT_EQ(relative_deviation(zeros, zeros), 0);
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(relative_deviation(zeros, truth), infinity);
  const std::vector<Tensor> broken = {Tensor({2}), tensor_of({1}, {std::numeric_limits<float>::quiet_NaN()})};
  EXPECT_EQ(relative_deviation(truth, broken), infinity);
  EXPECT_THROW(relative_deviation(truth, std::vector<Tensor>{Tensor({2})}), Error);
  EXPECT_THROW(relative_deviation(truth, std::vector<Tensor>{Tensor({2}), Tensor({2})}), Error);
}

TEST(Sensitivity, ConvolutionsInOrder) {
  EXPECT_EQ(convolutions(white_finder({true, false}).spec), (std::vector<int>{0, 1, 2, 3}));
}

// Layers 2 and 4 read s beside a constant 500 and lose it: the logits of the white cell are -10 instead of 10.
TEST(Sensitivity, TheLayersThatLoseMostComeFirst) {
  const Pictures pictures(4);
  const auto finder = white_finder({false, true, false, true, false});
  const std::unique_ptr<Engine> f32 = finder.factory()(nullptr);
  const std::vector<float> scales =
      scales_of_maps(finder.spec, observe_maps(*f32, finder.spec, pictures.dataset, {}), {.percentile = 100});
  const std::vector<Tensor> inputs = load_inputs(pictures.dataset, 2, finder.spec, {});
  std::vector<std::vector<Tensor>> truth;
  for (const Tensor& input : inputs) truth.push_back(f32->forward(input));
  const std::vector<int> candidates = {1, 2, 3, 4, 5};
  const std::vector<LayerDeviation> found =
      scan_layers(finder.spec, finder.factory(), scales, candidates, inputs, truth);
  ASSERT_EQ(found.size(), 5u);
  EXPECT_EQ(found[0].layer, 2);
  EXPECT_EQ(found[1].layer, 4);
  // Of 4 cells, each with three logits of 10 or -10, one cell has two of them turned round.
  for (size_t i = 0; i < 2; ++i) EXPECT_NEAR(found[i].deviation, std::sqrt(2 * 400.0 / (12 * 100)), 1e-3);
  for (size_t i = 2; i < 5; ++i) EXPECT_LT(found[i].deviation, 0.01) << found[i].layer;
  EXPECT_THROW(scan_layers(finder.spec, finder.factory(), scales, candidates, {}, {}), Error);
}

}  // namespace
}  // namespace yolov3
