#include "quant/observe.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/files.h"
#include "image/save.h"
#include "quant/test_int8_engine.h"
#include "quant/test_pictures.h"

namespace yolov3 {
namespace {

using testing::Pictures;
using testing::white_finder;

std::vector<std::string> origins(const Dataset& dataset) {
  std::vector<std::string> found;
  for (const Example& example : dataset.examples) found.push_back(example.origin);
  return found;
}

TEST(Observe, PicturesAreChosenByTheSeedAlone) {
  const Pictures pictures(12);
  const Dataset a = choose_pictures(pictures.dataset, 5, 7), b = choose_pictures(pictures.dataset, 5, 7);
  EXPECT_EQ(a.examples.size(), 5u);
  EXPECT_EQ(origins(a), origins(b));
  EXPECT_TRUE(std::ranges::is_sorted(origins(a)));
  EXPECT_EQ(a.names, pictures.dataset.names);
  bool differs = false;
  for (uint64_t seed = 0; seed < 5; ++seed)
    differs |= origins(choose_pictures(pictures.dataset, 5, seed)) != origins(a);
  EXPECT_TRUE(differs);
  EXPECT_EQ(origins(choose_pictures(pictures.dataset, 100, 0)), origins(pictures.dataset));
}

TEST(Observe, PicturesThatCannotBeLoadedArePassedOver) {
  const Pictures pictures(3);
  Dataset dataset = pictures.dataset;
  write_file(dataset.examples[1].image, "no picture");
  EXPECT_EQ(origins(choose_pictures(dataset, 2, 0)).size(), 2u);
  dataset.examples = {dataset.examples[1]};
  EXPECT_THROW(choose_pictures(dataset, 2, 0), Error);
  dataset.examples.clear();
  EXPECT_THROW(choose_pictures(dataset, 2, 0), Error);
}

// A cell of the picture is white or black, so layer 0 holds 1 or 0 beside the constant; s is handed on to the head.
TEST(Observe, CountsEveryLayersMap) {
  const Pictures pictures(6);  // of each, one of four quarters is white
  const auto finder = white_finder({true, false});
  const std::unique_ptr<Engine> engine = finder.factory()(nullptr);
  const std::vector<Histogram> maps = observe_maps(*engine, finder.spec, pictures.dataset, {.batch = 4});
  ASSERT_EQ(maps.size(), 5u);
  for (const Histogram& map : maps) EXPECT_GT(map.count(), 0);
  EXPECT_EQ(maps[0].count(), 6 * 2 * 4);
  EXPECT_EQ(maps[0].largest(), 500);
  EXPECT_EQ(maps[0].bins()[4000], 6 * 4);  // 500 in a range of 512
  EXPECT_EQ(maps[0].bins()[0], 6 * 3);
  EXPECT_NEAR(maps[1].largest(), 1, 1e-5);
  EXPECT_NEAR(maps[3].largest(), 10, 1e-4);  // the logits: -10 and 10, and four of 0
  EXPECT_EQ(maps[3].count(), 6 * 7 * 4);
}

TEST(Observe, BatchesDoNotMatter) {
  const Pictures pictures(5);
  const auto finder = white_finder({false});
  const std::unique_ptr<Engine> engine = finder.factory()(nullptr);
  const std::vector<Histogram> one = observe_maps(*engine, finder.spec, pictures.dataset, {.batch = 1});
  const std::vector<Histogram> all = observe_maps(*engine, finder.spec, pictures.dataset, {.batch = 9});
  for (size_t i = 0; i < one.size(); ++i) EXPECT_EQ(one[i].bins(), all[i].bins()) << i;
}

TEST(Observe, InputsAreSinglePictures) {
  const Pictures pictures(3);
  const NetworkSpec spec = white_finder({}).spec;
  const std::vector<Tensor> inputs = load_inputs(pictures.dataset, 2, spec, {});
  ASSERT_EQ(inputs.size(), 2u);
  EXPECT_EQ(inputs[0].shape(), (Shape{1, 3, 64, 64}));
  EXPECT_EQ(inputs[0].at(0, 1, 16, 16), 1);  // its first quarter is white
  EXPECT_EQ(inputs[1].at(0, 1, 16, 16), 0);
  EXPECT_EQ(load_inputs(pictures.dataset, 9, spec, {}).size(), 3u);
  EXPECT_TRUE(load_inputs(pictures.dataset, 0, spec, {}).empty());
}

TEST(Observe, ABrokenNetworkIsNamedByItsLayer) {
  const Pictures pictures(1);
  auto finder = white_finder({false});
  Weights weights = *finder.weights;
  weights.tensors[2][0] = std::numeric_limits<float>::quiet_NaN();
  finder.weights = std::make_shared<const Weights>(weights);
  const std::unique_ptr<Engine> engine = finder.factory()(nullptr);
  try {
    observe_maps(*engine, finder.spec, pictures.dataset, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("layer 1 (convolutional): it holds values that are not finite"),
              std::string::npos)
        << error.what();
  }
}

TEST(Observe, AnEngineThatShowsNothingIsRefused) {
  const Pictures pictures(1);
  const auto finder = white_finder({false});
  const Quantization quantization{std::vector<float>(finder.spec.layers.size(), 1.0f), {}};
  const std::unique_ptr<Engine> engine = finder.factory()(std::make_shared<const Quantization>(quantization));
  EXPECT_THROW(observe_maps(*engine, finder.spec, pictures.dataset, {}), Error);
}

}  // namespace
}  // namespace yolov3
