#include "quant/calibrate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "quant/report.h"
#include "quant/test_int8_engine.h"
#include "quant/test_pictures.h"

namespace yolov3 {
namespace {

using testing::Finder;
using testing::Pictures;
using testing::white_finder;

// Counts the int8 engines it hands out.
EngineFactory counted(const Finder& finder, int& int8_engines) {
  return [make = finder.factory(), &int8_engines](std::shared_ptr<const Quantization> quantization) {
    int8_engines += quantization != nullptr;
    return make(std::move(quantization));
  };
}

CalibrateOptions small_options() {
  CalibrateOptions options;
  options.methods = {ScaleMethod::percentile};
  options.percentile = 100;
  options.images = 4;
  options.scan_images = 2;
  options.timed_runs = 1;
  options.first_in_float = true;
  return options;
}

std::vector<int> layers_of(const Calibration& c, FloatReason reason) {
  std::vector<int> found;
  for (const FloatLayer& layer : c.float_layers) {
    if (layer.reason == reason) found.push_back(layer.layer);
  }
  return found;
}

Error::Kind kind_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "no error";
  return Error::Kind::failure;
}

TEST(Calibrate, WhatPassesAtOnceKeepsOnlyTheEndsInFloat) {
  const Pictures pictures(8);
  const Finder finder = white_finder({false, false, false});
  int engines = 0;
  const Calibration c =
      calibrate(finder.spec, counted(finder, engines), pictures.dataset, pictures.dataset, small_options());
  EXPECT_TRUE(c.passed);
  EXPECT_EQ(c.f32_map50, 1);
  EXPECT_EQ(c.int8_map50, 1);
  EXPECT_EQ(c.drop(), 0);
  EXPECT_EQ(c.quantization.float_layers, (std::vector<int>{0, 4}));
  EXPECT_EQ(layers_of(c, FloatReason::first), (std::vector<int>{0}));
  EXPECT_EQ(layers_of(c, FloatReason::head), (std::vector<int>{4}));
  EXPECT_FALSE(c.float_layers[0].deviation.has_value());
  // s is 1 at most, exactly representable by scale 1/127; the map of the logits reaches 10.
  EXPECT_NEAR(c.quantization.scales[1], 1.0 / 127, 1e-6);
  EXPECT_NEAR(c.quantization.scales[4], 10.0 / 127, 1e-5);
  EXPECT_EQ(c.quantization.scales[4], c.quantization.scales[5]);
  EXPECT_EQ(c.images, 4);
  EXPECT_EQ(c.judged, 8);
  EXPECT_EQ(c.f32_engine, "reference");
  EXPECT_EQ(c.int8_engine, "test int8");
  EXPECT_TRUE(c.f32_ms && c.int8_ms);
  EXPECT_EQ(engines, 3);  // can it at all, judged, timed
}

// Three of eight layers lose what they read. 1 and 2 of the worst in float do not help, 4 do, and then 3 do.
TEST(Calibrate, TheWorstLayersGoBackToFloatAndNoMore) {
  const Pictures pictures(8);
  const Finder finder = white_finder({false, true, false, false, true, false, true, false});
  int engines = 0;
  const Calibration c =
      calibrate(finder.spec, counted(finder, engines), pictures.dataset, pictures.dataset, small_options());
  EXPECT_TRUE(c.passed);
  EXPECT_EQ(c.int8_map50, 1);
  EXPECT_EQ(c.quantization.float_layers, (std::vector<int>{0, 2, 5, 7, 9}));
  EXPECT_EQ(layers_of(c, FloatReason::sensitive), (std::vector<int>{2, 5, 7}));
  for (const FloatLayer& layer : c.float_layers) {
    EXPECT_EQ(layer.deviation.has_value(), layer.reason == FloatReason::sensitive);
    EXPECT_GT(layer.deviation.value_or(1), 0.5);
  }
  // 1 to see, 1 judged, 8 scanned, 1 2 4 3 tried, 1 timed.
  EXPECT_EQ(engines, 15);
}

TEST(Calibrate, AGateThatNothingPassesFails) {
  const Pictures pictures(8);
  const Finder finder = white_finder({true, true});
  const Calibration c = calibrate(finder.spec, finder.factory(), pictures.dataset, pictures.dataset, small_options());
  EXPECT_FALSE(c.passed);
  EXPECT_EQ(c.f32_map50, 1);
  EXPECT_EQ(c.int8_map50, 0);
  EXPECT_EQ(c.drop(), 100);
  CalibrateOptions lenient = small_options();
  lenient.max_drop = 100;
  EXPECT_TRUE(calibrate(finder.spec, finder.factory(), pictures.dataset, pictures.dataset, lenient).passed);
}

TEST(Calibrate, TheEndsMayBeInt8Too) {
  const Pictures pictures(8);
  const Finder finder = white_finder({false});
  CalibrateOptions options = small_options();
  options.first_in_float = options.heads_in_float = false;
  const Calibration c = calibrate(finder.spec, finder.factory(), pictures.dataset, pictures.dataset, options);
  EXPECT_TRUE(c.passed);
  EXPECT_TRUE(c.quantization.float_layers.empty());
}

// An int8 that works with the second method's scales only: the first engine shows that there is int8, the next three
// are judged.
TEST(Calibrate, OfSeveralMethodsTheMostAccurateIsTaken) {
  const Pictures pictures(8);
  const Finder good = white_finder({false});
  Weights weights = *good.weights;
  weights.tensors[5] = Tensor({7, 2, 1, 1});  // a head that answers the same to everything
  const Finder blind{good.spec, std::make_shared<const Weights>(weights)};
  int int8_engines = 0;
  const EngineFactory make = [&](std::shared_ptr<const Quantization> quantization) -> std::unique_ptr<Engine> {
    if (quantization == nullptr) return good.factory()(nullptr);
    const Finder& finder = ++int8_engines == 3 ? good : blind;
    return std::make_unique<testing::TestInt8Engine>(finder.spec, finder.weights, *quantization);
  };
  CalibrateOptions options = small_options();
  options.methods = {ScaleMethod::mse, ScaleMethod::percentile, ScaleMethod::entropy};
  options.timed_runs = 0;
  const Calibration c = calibrate(good.spec, make, pictures.dataset, pictures.dataset, options);
  EXPECT_TRUE(c.passed);
  EXPECT_EQ(c.method, ScaleMethod::percentile);
  EXPECT_EQ(c.int8_map50, 1);
  EXPECT_EQ(int8_engines, 5);  // the last for its name
  EXPECT_FALSE(c.f32_ms.has_value());
}

// Boxes that are 1.3 times too wide have an IoU of 0.77: mAP50 does not see it, mAP50-95 is 0.6.
TEST(Calibrate, OfSeveralMethodsThatPassTheOneWithTheBetterBoxesIsTaken) {
  const Pictures pictures(8);
  const Finder good = white_finder({false});
  Weights weights = *good.weights;
  weights.tensors[4][2] = std::log(1.3f);
  const Finder wide{good.spec, std::make_shared<const Weights>(weights)};
  int int8_engines = 0;
  const EngineFactory make = [&](std::shared_ptr<const Quantization> quantization) -> std::unique_ptr<Engine> {
    if (quantization == nullptr) return good.factory()(nullptr);
    const Finder& finder = ++int8_engines == 3 ? good : wide;
    return std::make_unique<testing::TestInt8Engine>(finder.spec, finder.weights, *quantization);
  };
  CalibrateOptions options = small_options();
  options.methods = {ScaleMethod::mse, ScaleMethod::percentile, ScaleMethod::entropy};
  const Calibration c = calibrate(good.spec, make, pictures.dataset, pictures.dataset, options);
  EXPECT_EQ(c.method, ScaleMethod::percentile);
  EXPECT_EQ(c.int8_map50, 1);
  EXPECT_NEAR(c.int8_map, 1, 1e-12);
  options.methods = {ScaleMethod::mse};
  const Calibration worse = calibrate(good.spec, make, pictures.dataset, pictures.dataset, options);
  EXPECT_TRUE(worse.passed);
  EXPECT_NEAR(worse.int8_map, 0.6, 1e-12);  // IoU thresholds 0.50, 0.55, ... 0.75 of ten
}

TEST(Calibrate, TheSameAgain) {
  const Pictures pictures(10);
  const Finder finder = white_finder({false, true, false});
  const auto once = [&] {
    return calibrate(finder.spec, finder.factory(), pictures.dataset, pictures.dataset, small_options()).quantization;
  };
  EXPECT_EQ(once(), once());
}

TEST(Calibrate, WhatCannotBeJudgedIsSaidBeforeTheWork) {
  const Pictures pictures(4);
  const Finder finder = white_finder({false});
  int engines = 0;
  const auto with = [&](const Finder& network, const Dataset& judge) {
    return kind_of(
        [&] { calibrate(network.spec, counted(network, engines), pictures.dataset, judge, small_options()); });
  };
  Dataset blank = pictures.dataset;
  for (Example& example : blank.examples) example.objects.clear();
  EXPECT_EQ(with(finder, blank), Error::Kind::bad_data);
  blank.examples[0].objects = pictures.dataset.examples[0].objects;
  blank.examples[0].objects[0].difficult = true;  // nobody has to find it
  EXPECT_EQ(with(finder, blank), Error::Kind::bad_data);
  blank.examples.clear();
  EXPECT_EQ(with(finder, blank), Error::Kind::bad_data);
  EXPECT_EQ(with(white_finder({}), pictures.dataset), Error::Kind::accuracy);  // its two convolutions are the ends
  EXPECT_EQ(engines, 0);

  Dataset elsewhere = pictures.dataset;  // f32 finds nothing of this truth
  for (Example& example : elsewhere.examples) example.objects[0].class_id = 0;
  EXPECT_EQ(with(finder, elsewhere), Error::Kind::accuracy);
}

TEST(Calibrate, AnEngineWithoutInt8IsSaidBeforeTheWork) {
  const Pictures pictures(4);
  const Finder finder = white_finder({false});
  int float_engines = 0;
  const EngineFactory make = [&](std::shared_ptr<const Quantization> quantization) -> std::unique_ptr<Engine> {
    if (quantization != nullptr) fail("no int8 here");
    ++float_engines;
    return finder.factory()(nullptr);
  };
  EXPECT_EQ(kind_of([&] { calibrate(finder.spec, make, pictures.dataset, pictures.dataset, small_options()); }),
            Error::Kind::failure);
  EXPECT_EQ(float_engines, 0);
}

TEST(Calibrate, OptionsOutOfRangeAreRefused) {
  const Pictures pictures(1);
  const Finder finder = white_finder({false});
  const auto refused = [&](auto change) {
    CalibrateOptions options = small_options();
    change(options);
    EXPECT_THROW(calibrate(finder.spec, finder.factory(), pictures.dataset, pictures.dataset, options), Error);
  };
  refused([](CalibrateOptions& o) { o.methods.clear(); });
  refused([](CalibrateOptions& o) { o.images = 0; });
  refused([](CalibrateOptions& o) { o.scan_images = -1; });
  refused([](CalibrateOptions& o) { o.max_drop = -0.1; });
  refused([](CalibrateOptions& o) { o.percentile = 0; });
}

}  // namespace
}  // namespace yolov3
