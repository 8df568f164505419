// Every engine and precision against the plain loops, over every kind of layer, odd shapes and batches. A new engine is
// one line in precisions().
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <thread>

#include "base/error.h"
#include "engine/checked_engine.h"
#include "engine/dnnl_engine.h"
#include "engine/engine.h"
#include "engine/plan.h"
#include "engine/test_networks.h"
#include "engine/torch_engine.h"
#include "net/models.h"

namespace yolov3 {
namespace {

struct Contestant {
  std::string kind, precision;
};

std::vector<Contestant> contestants() {
  std::vector<Contestant> all{{"dnnl", "f32"}, {"dnnl", "int8"}};
  if (cpu_computes_bf16()) all.push_back({"dnnl", "bf16"});
  if (have_torch()) all.push_back({"torch", "f32"});
  return all;
}

double norm(const Tensor& tensor) {
  double sum = 0;
  for (const float value : tensor.values()) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

void expect_agree(const std::vector<Tensor>& got, const std::vector<Tensor>& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t h = 0; h < got.size(); ++h) {
    ASSERT_EQ(got[h].shape(), want[h].shape());
    Tensor difference = got[h];
    int64_t worst = 0;
    for (int64_t i = 0; i < difference.size(); ++i) {
      difference[i] -= want[h][i];
      if (!(std::abs(difference[i]) <= std::abs(difference[worst]))) worst = i;
    }
    EXPECT_GT(norm(want[h]), 0);
    EXPECT_LE(norm(difference), tolerance * norm(want[h]))
        << "head " << h << ": worst at " << worst << ": " << got[h][worst] << " for " << want[h][worst];
  }
}

void expect_conformance(const NetworkSpec& spec, int64_t batch) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer has nothing to see here: one thread, and minutes of plain loops";
#endif
  const std::shared_ptr<const Weights> weights = lively_weights(spec);
  const Tensor images = random_images(batch, spec.input.height, spec.input.width);
  const std::vector<Tensor> want = make_reference_engine(spec, weights)->forward(images);
  const auto scales = measured_scales(spec, weights, images);
  for (const Contestant& c : contestants()) {
    SCOPED_TRACE(c.kind + " " + c.precision + ", batch " + std::to_string(batch) + ", " +
                 std::to_string(spec.input.width) + "x" + std::to_string(spec.input.height));
    EngineOptions options{.kind = c.kind, .precision = c.precision, .plan = "rule", .quantization = scales};
    const std::vector<Tensor> got = make_engine(options, spec, weights)->forward(images);
    expect_agree(got, want, precision_tolerance(c.precision, conv_layers(spec).size()));
  }
}

class Conformance : public testing::TestWithParam<NamedCfg> {};

TEST_P(Conformance, EveryEngineAgreesWithTheReference) {
  for (const auto& [width, height] : {std::pair{32, 32}, std::pair{72, 40}}) {
    for (const int64_t batch : {1, 2, 5}) expect_conformance(spec_of(GetParam().text, width, height), batch);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Conformance, testing::ValuesIn(kinds_of_networks()),
                         [](const auto& info) { return info.param.name; });

TEST(ConformanceOfModels, Tiny) { expect_conformance(yolov3_tiny({.classes = 4, .width = 96, .height = 64}), 3); }
TEST(ConformanceOfModels, SlowSpp) { expect_conformance(yolov3_spp({.classes = 2, .width = 64, .height = 96}), 1); }
TEST(ConformanceOfModels, SlowFull) { expect_conformance(yolov3({.classes = 3, .width = 160, .height = 96}), 2); }

// A program for one shape must not disturb that of another, and old ones must come back unchanged.
TEST(Dnnl, SizesAndBatchesInAnyOrder) {
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 64, .height = 64});
  const auto weights = lively_weights(spec);
  const auto reference = make_reference_engine(spec, weights);
  const auto engine = make_engine({.kind = "dnnl", .plan = "rule"}, spec, weights);
  for (const auto& [n, h, w] : {std::tuple{1, 64, 64},
                                {2, 96, 64},
                                {1, 32, 32},
                                {3, 64, 64},
                                {1, 128, 96},
                                {1, 64, 64},
                                {1, 160, 160},
                                {2, 96, 64},
                                {1, 32, 32}}) {
    const Tensor images = random_images(n, h, w);
    expect_agree(engine->forward(images), reference->forward(images), precision_tolerance("f32", 13));
  }
  EXPECT_EQ(engine->describe().size(), kKeptPrograms + 2) << "a line a program, what they share, and the plan";
}

std::vector<float> numbers_of(const std::vector<RawMap>& maps, int64_t images) {
  std::vector<float> numbers;
  for (const RawMap& map : maps) {
    EXPECT_EQ(map.images, images);
    for (int64_t n = 0; n < images; ++n) {
      for (int64_t c = 0; c < map.channels; ++c) {
        for (int64_t cell = 0; cell < map.cells(); ++cell) numbers.push_back(map.at(n, c, cell));
      }
    }
  }
  return numbers;
}

TEST(Dnnl, AShortBatchRidesInTheFullOnesProgram) {
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 96, .height = 64});
  const auto engine = make_dnnl_engine(rule_plan(spec, "f32", nullptr), 0, spec, lively_weights(spec));
  const std::vector<Image> pictures = random_pictures(4, 64, 96);
  const std::span<const Image> first_three = std::span(pictures).first(3);
  std::vector<RawMap> whole = engine->forward_pictures(pictures);
  for (RawMap& map : whole) map.images = 3;
  const std::vector<float> expected = numbers_of(whole, 3);
  EXPECT_EQ(numbers_of(engine->forward_pictures(first_three), 3), expected) << "the same program, the same bits";
  EXPECT_EQ(engine->describe().size(), 2u) << "one program, and the plan";

  engine->forward_pictures(std::span(pictures).first(2));
  EXPECT_EQ(engine->describe().size(), 2u) << "another size that comes for the first time";
  const std::vector<float> own = numbers_of(engine->forward_pictures(first_three), 3);
  EXPECT_EQ(engine->describe().size(), 4u) << "what comes again gets a program; they tell what they share";
  ASSERT_EQ(own.size(), expected.size());
  for (size_t i = 0; i < own.size(); ++i) ASSERT_NEAR(own[i], expected[i], 1e-4 * (1 + std::abs(expected[i]))) << i;
}

// Winograd's algorithm is for 3x3 alone: what the plan wants and oneDNN has not is said, not hidden.
TEST(Dnnl, ToldOfWhatIsDoneOtherwiseThanThePlanSays) {
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 64, .height = 64});
  Plan plan = rule_plan(spec, "f32", nullptr);
  plan.convolutions.back() = {NumberType::f32, ConvAlgorithm::winograd};  // a 1x1
  const auto engine = make_dnnl_engine(plan, 0, spec, lively_weights(spec));
  engine->forward_pictures(random_pictures(1, 64, 64));
  const std::vector<std::string> lines = engine->describe();
  EXPECT_EQ(std::ranges::count_if(lines,
                                  [](const std::string& line) {
                                    return line.find("layer 22 ") == 0 &&
                                           line.find("f32-direct instead of f32-winograd") != std::string::npos;
                                  }),
            1);
}

TEST(Dnnl, PicturesAreTheSameAsPlanes) {
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 96, .height = 64});
  const auto weights = lively_weights(spec);
  const std::vector<Image> pictures = random_pictures(2, 64, 96);
  Tensor planes({2, 3, 64, 96});
  for (int64_t i = 0; i < planes.size(); ++i) {
    const int64_t p = i % (64 * 96), c = i / (64 * 96) % 3, n = i / (3 * 64 * 96);
    planes[i] = static_cast<float>(pictures[static_cast<size_t>(n)].rgb[static_cast<size_t>(3 * p + c)] / 255.0);
  }
  for (const Contestant& c : contestants()) {
    SCOPED_TRACE(c.kind + " " + c.precision);
    const auto scales = measured_scales(spec, weights, planes);
    EngineOptions options{.kind = c.kind, .precision = c.precision, .plan = "rule", .quantization = scales};
    const auto engine = make_engine(options, spec, weights);
    const std::vector<Tensor> want = engine->forward(planes);
    const std::vector<RawMap> got = engine->forward_pictures(pictures);
    for (size_t h = 0; h < want.size(); ++h) {
      ASSERT_EQ(got[h].images * got[h].channels * got[h].cells(), want[h].size());
      for (int64_t i = 0; i < want[h].size(); ++i) {
        const int64_t cells = got[h].cells(), channels = got[h].channels;
        ASSERT_EQ(got[h].at(i / cells / channels, i / cells % channels, i % cells), want[h][i]);
      }
    }
    EXPECT_THROW(engine->forward_pictures({}), Error);
    std::vector<Image> unequal = pictures;
    unequal[1] = Image(64, 64);
    EXPECT_THROW(engine->forward_pictures(unequal), Error);
  }
}

TEST(Dnnl, SharedEnginesGiveTheSameBits) {
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 64, .height = 64});
  const auto weights = lively_weights(spec);
  const auto engine = make_engine({.kind = "dnnl", .threads = 1, .plan = "rule"}, spec, weights);
  const auto other = engine->share();
  const Tensor images = random_images(1, 64, 64);
  EXPECT_EQ(engine->forward(images), other->forward(images));
  EXPECT_EQ(engine->forward(images),
            make_engine({.kind = "dnnl", .threads = 1, .plan = "rule"}, spec, weights)->forward(images))
      << "the same plan, weights and threads: the same bits";
}

// Whichever shapes came before or lie between, and after the engine's programs have been dropped and made anew.
TEST(Dnnl, TheOrderOfShapesChangesNoBit) {
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 64, .height = 64});
  const auto weights = lively_weights(spec);
  std::vector<Tensor> images;
  for (const auto& [n, h, w] :
       {std::tuple{1, 64, 64}, {8, 64, 64}, {2, 96, 160}, {3, 32, 32}, {1, 416, 416}, {5, 96, 96}}) {
    images.push_back(random_images(n, h, w));
  }
  for (const std::string& precision : {std::string("f32"), std::string("bf16")}) {
    if (precision == "bf16" && !cpu_computes_bf16()) continue;
    const Plan plan = rule_plan(spec, precision, nullptr);
    const auto forwards = make_dnnl_engine(plan, 0, spec, weights),
               backwards = make_dnnl_engine(plan, 0, spec, weights);
    std::vector<std::vector<Tensor>> want(images.size());
    for (size_t i = 0; i < images.size(); ++i) want[i] = forwards->forward(images[i]);
    for (size_t i = images.size(); i-- > 0;) EXPECT_EQ(backwards->forward(images[i]), want[i]) << precision << " " << i;
  }
}

TEST(Dnnl, SharedEnginesRunSideBySide) {
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 64, .height = 64});
  const auto engine = make_engine({.kind = "dnnl", .threads = 1, .plan = "rule"}, spec, lively_weights(spec));
  const std::vector<Tensor> images{random_images(1, 64, 64), random_images(2, 64, 64), random_images(1, 96, 64)};
  std::vector<std::vector<Tensor>> want(images.size()), got(images.size());
  for (size_t i = 0; i < images.size(); ++i) want[i] = engine->forward(images[i]);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < images.size(); ++i) {
    threads.emplace_back([&, i, own = std::shared_ptr<Engine>(engine->share())] {
      for (int round = 0; round < 3; ++round) got[i] = own->forward(images[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(got, want);
}

TEST(Dnnl, RefusesWhatDoesNotFit) {
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 64, .height = 64});
  const auto weights = lively_weights(spec);
  const auto engine = make_engine({.kind = "dnnl", .plan = "rule"}, spec, weights);
  EXPECT_THROW(engine->forward(Tensor({1, 4, 64, 64})), Error);
  EXPECT_THROW(engine->forward(Tensor({3, 64, 64})), Error);
  EXPECT_THROW(engine->forward(Tensor({1, 3, 64, 60})), Error);
  EXPECT_EQ(engine->forward(Tensor({1, 3, 64, 64})).size(), 2u) << "after errors it works as before";
  EXPECT_THROW(make_engine({.kind = "dnnl", .device = "cuda"}, spec, weights), Error);
  EXPECT_THROW(make_engine({.kind = "dnnl", .precision = "f16"}, spec, weights), Error);
  EXPECT_THROW(make_engine({.kind = "dnnl", .precision = "int8"}, spec, weights), Error) << "no scales";
  EXPECT_THROW(make_engine({.kind = "dnnl"}, spec, nullptr), Error);
  Plan int8 = rule_plan(spec, "f32", nullptr);
  int8.convolutions[3] = {NumberType::s8, ConvAlgorithm::direct};
  EXPECT_THROW(make_dnnl_engine(int8, 1, spec, weights)->forward(Tensor({1, 3, 64, 64})), Error) << "no scales";
  EXPECT_THROW(make_engine({.kind = "dnnl"}, darknet53(64, 64), weights), Error);
  if (!cpu_computes_bf16()) {
    EXPECT_THROW(make_engine({.kind = "dnnl", .precision = "bf16"}, spec, weights), Error);
  }
}

// The checked engine passes where both agree, and names the layer where one has other weights.
TEST(Checked, NamesTheFirstLayerThatDiffers) {
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 64, .height = 64});
  const auto weights = lively_weights(spec);
  const Tensor images = random_images(1, 64, 64);
  EXPECT_EQ(make_engine({.kind = "checked", .plan = "rule"}, spec, weights)->forward(images).size(), 2u);
  auto other = std::make_shared<Weights>(*weights);
  const std::vector<ParamSlot> slots = param_slots(spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].layer == 4) other->tensors[i][0] += 1;
  }
  const auto checked = make_checked_engine(make_engine({.kind = "dnnl", .plan = "rule"}, spec, other),
                                           make_reference_engine(spec, weights), 1e-4);
  try {
    checked->forward(images);
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(std::string(error.what()).starts_with("the map of layer 4 differs first")) << error.what();
  }
}

}  // namespace
}  // namespace yolov3
