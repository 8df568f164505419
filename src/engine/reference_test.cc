#include "engine/reference.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

#include "base/error.h"
#include "engine/reference_conv.h"
#include "net/builder.h"
#include "net/fold.h"
#include "net/models.h"

namespace yolov3 {
namespace {

Tensor random_tensor(Shape shape, uint64_t seed, double low = -1, double high = 1) {
  Tensor tensor(std::move(shape));
  Rng rng(seed);
  for (float& value : tensor.values()) value = static_cast<float>(rng.uniform(low, high));
  return tensor;
}

Tensor tensor_of(Shape shape, std::vector<float> values) {
  Tensor tensor(std::move(shape));
  std::ranges::copy(values, tensor.values().begin());
  return tensor;
}

// One output of a convolution as the textbook has it, in double, and the sum of the terms' magnitudes.
std::pair<double, double> plain_convolution(const Conv& conv, const Tensor& image, const Tensor& kernel, int64_t f,
                                            int64_t y, int64_t x) {
  const int64_t channels = kernel.dim(1), group = f / (conv.filters / conv.groups);
  double sum = 0, magnitude = 0;
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t ky = 0; ky < conv.size; ++ky) {
      for (int64_t kx = 0; kx < conv.size; ++kx) {
        const int64_t iy = y * conv.stride - conv.padding + ky, ix = x * conv.stride - conv.padding + kx;
        if (iy < 0 || iy >= image.dim(2) || ix < 0 || ix >= image.dim(3)) continue;
        const double term = double{kernel.at(f, c, ky, kx)} * image.at(0, group * channels + c, iy, ix);
        sum += term;
        magnitude += std::abs(term);
      }
    }
  }
  return {sum, magnitude};
}

struct ConvCase {
  Conv conv;
  int64_t channels, height, width;
};

// Sums of n terms in float are off by at most n * eps * sum of magnitudes; ours in blocks by less.
TEST(Reference, ConvolutionIsTheTextbooks) {
  const ConvCase cases[] = {
      {{.filters = 1, .size = 1}, 1, 1, 1},
      {{.filters = 7, .size = 3, .stride = 1, .padding = 1}, 5, 9, 11},
      {{.filters = 13, .size = 3, .stride = 2, .padding = 1}, 3, 17, 8},
      {{.filters = 9, .size = 3, .stride = 2, .padding = 1}, 4, 1, 70},
      {{.filters = 6, .size = 5, .stride = 3, .padding = 0}, 2, 23, 37},
      {{.filters = 8, .size = 5, .stride = 1, .padding = 4}, 2, 3, 2},
      {{.filters = 10, .size = 2, .stride = 1, .padding = 1}, 3, 6, 33},
      {{.filters = 12, .size = 3, .stride = 1, .padding = 1, .groups = 4}, 8, 7, 6},
      {{.filters = 6, .size = 3, .stride = 2, .padding = 1, .groups = 6}, 6, 33, 33},
      {{.filters = 255, .size = 1}, 300, 3, 5},
      {{.filters = 17, .size = 3, .stride = 1, .padding = 1}, 90, 4, 9},
      {{.filters = 3, .size = 1, .stride = 2, .padding = 0}, 4, 9, 7},
      {{.filters = 3, .size = 7, .stride = 4, .padding = 3}, 1, 5, 5},
  };
  double worst = 0;
  for (const auto& [conv, channels, height, width] : cases) {
    NetworkBuilder net({channels, height, width});
    const LayerShape out = net.add(conv, {kNetworkInput}).shape();
    const Tensor image = random_tensor({1, channels, height, width}, 1);
    const Tensor kernel = random_tensor({conv.filters, channels / conv.groups, conv.size, conv.size}, 2);
    const std::vector<ChannelMap> maps(static_cast<size_t>(conv.filters));
    const double terms = static_cast<double>(kernel.size()) / conv.filters;
    for (const std::string& isa : convolution_isas()) {
      Tensor got({1, out.channels, out.height, out.width});
      convolve(conv, {channels, height, width}, out, image.data(), kernel.data(), maps, got.data(), isa);
      for (int64_t f = 0; f < out.channels; ++f) {
        for (int64_t y = 0; y < out.height; ++y) {
          for (int64_t x = 0; x < out.width; ++x) {
            const auto [want, magnitude] = plain_convolution(conv, image, kernel, f, y, x);
            const double error = std::abs(got.at(0, f, y, x) - want), limit = terms * 0x1p-24 * magnitude + 1e-30;
            worst = std::max(worst, error / limit);
            ASSERT_LE(error, limit) << isa << " filters " << conv.filters << " at " << f << "," << y << "," << x;
          }
        }
      }
    }
  }
  RecordProperty("worst_error_of_its_limit", std::to_string(worst));
}

TEST(Reference, EveryInstructionSetGivesTheSameBits) {
  const Conv conv{.filters = 45, .size = 3, .padding = 1, .activation = Activation::leaky};
  const Tensor image = random_tensor({1, 70, 13, 19}, 3), kernel = random_tensor({45, 70, 3, 3}, 4);
  const std::vector<ChannelMap> maps(45, {.mean = 0.1, .deviation = 1.7, .gamma = 0.9, .beta = -0.2});
  std::vector<Tensor> results;
  for (const std::string& isa : convolution_isas()) {
    Tensor result({1, 45, 13, 19});
    convolve(conv, {70, 13, 19}, {45, 13, 19}, image.data(), kernel.data(), maps, result.data(), isa);
    results.push_back(std::move(result));
    EXPECT_EQ(results.back(), results[0]) << isa;
  }
  Tensor result({1, 45, 13, 19});
  EXPECT_THROW(convolve(conv, {70, 13, 19}, {45, 13, 19}, image.data(), kernel.data(), maps, result.data(), "mmx"),
               Error);
}

TEST(Reference, Activations) {
  // By hand: sigmoid(1) = 0.73105858, softplus(1) = 1.31326169, tanh of it = 0.86509839; at -2: 0.11920292, 0.12692801.
  const std::pair<Activation, std::array<double, 2>> wants[] = {
      {Activation::linear, {1, -2}},
      {Activation::leaky, {1, -0.2}},
      {Activation::relu, {1, 0}},
      {Activation::logistic, {0.73105858, 0.11920292}},
      {Activation::mish, {0.86509839, -2 * 0.12625090}},
      {Activation::swish, {0.73105858, -2 * 0.11920292}},
  };
  for (const auto& [activation, want] : wants) {
    float values[] = {1, -2};
    activate(activation, values);
    EXPECT_NEAR(values[0], want[0], 1e-6) << static_cast<int>(activation);
    EXPECT_NEAR(values[1], want[1], 1e-6) << static_cast<int>(activation);
  }
  float far[] = {-1000, 1000};  // no overflow far out
  activate(Activation::mish, far);
  EXPECT_EQ(far[0], 0);
  EXPECT_EQ(far[1], 1000);
}

// Ends a network with a 1x1 convolution that passes its input on unchanged, and a head of `channels` = 6 k, one class.
NetworkSpec pass_to_head(NetworkBuilder& net) {
  const int channels = static_cast<int>(net.shape().channels);
  EXPECT_EQ(channels % 6, 0);
  std::vector<int> mask(static_cast<size_t>(channels / 6));
  return net.yolo(std::vector<Anchor>(mask.size(), {1, 1}), mask, 1).build();
}

// The raw map of a network whose convolutions, if any, all have the value 1 everywhere in their kernels.
Tensor run_one(const NetworkSpec& spec, const Tensor& images) {
  auto weights = std::make_shared<Weights>(zero_weights(spec));
  const auto slots = param_slots(spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].kind == ParamKind::kernel) std::ranges::fill(weights->tensors[i].values(), 1.0f);
  }
  return make_reference_engine(spec, weights)->forward(images).at(0);
}

// Six planes: c * 100 + the values given.
Tensor six_planes(int64_t height, int64_t width, const std::vector<float>& values) {
  Tensor images({1, 6, height, width});
  for (int64_t i = 0; i < images.size(); ++i) {
    images[i] = values[static_cast<size_t>(i % (height * width))] + 100 * static_cast<float>(i / (height * width));
  }
  return images;
}

TEST(Reference, MaxPoolByHand) {
  const Tensor images = six_planes(3, 3,
                                   {-1, -2, -3,  //
                                    -4, -5, -6,  //
                                    -9, -8, -7});
  NetworkBuilder halving({6, 3, 3});  // padding 1: none before, one after; values below zero must win against padding
  EXPECT_EQ(run_one(pass_to_head(halving.maxpool(2, 2)), images), six_planes(2, 2, {-1, -3, -8, -7}));
  NetworkBuilder same({6, 3, 3});
  EXPECT_EQ(run_one(pass_to_head(same.maxpool(3, 1)), images), six_planes(3, 3, {-1, -1, -2, -1, -1, -2, -4, -4, -5}));
  NetworkBuilder tiny({6, 3, 3});  // YOLOv3-tiny's layer 11: keeps the size
  EXPECT_EQ(run_one(pass_to_head(tiny.maxpool(2, 1)), images), six_planes(3, 3, {-1, -2, -3, -4, -5, -6, -8, -7, -7}));
  NetworkBuilder bare({6, 3, 3});
  EXPECT_EQ(run_one(pass_to_head(bare.add(MaxPool{2, 1, 0}, {-1})), images), six_planes(2, 2, {-1, -2, -4, -5}));
}

TEST(Reference, MaxPoolLetsNansThrough) {
  NetworkBuilder net({6, 1, 6});
  const Tensor got = run_one(pass_to_head(net.maxpool(2, 2)), six_planes(1, 6, {NAN, 1, 2, NAN, 3, 4}));
  ASSERT_EQ(got.shape(), (Shape{1, 6, 1, 3}));
  for (int64_t c = 0; c < 6; ++c) {
    EXPECT_TRUE(std::isnan(got[3 * c]) && std::isnan(got[3 * c + 1])) << c;
    EXPECT_EQ(got[3 * c + 2], static_cast<float>(100 * c + 4));
  }
}

TEST(Reference, UpsampleByHand) {
  NetworkBuilder net({6, 1, 2});
  EXPECT_EQ(run_one(pass_to_head(net.upsample(3)), six_planes(1, 2, {5, 7})),
            six_planes(3, 6, {5, 5, 5, 7, 7, 7, 5, 5, 5, 7, 7, 7, 5, 5, 5, 7, 7, 7}));
}

TEST(Reference, RouteJoinsInOrderAndTakesGroups) {
  NetworkBuilder net({6, 1, 1});
  net.dropout(0.3f);     // 0: passes
  net.route({0}, 2, 1);  // 1: channels 3,4,5
  net.route({1, 0});     // 2: 3,4,5,0,1,2,3,4,5
  net.route({2, 1});     // 3: ... and 3,4,5
  const Tensor got = run_one(pass_to_head(net), tensor_of({1, 6, 1, 1}, {0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(got, tensor_of({1, 12, 1, 1}, {3, 4, 5, 0, 1, 2, 3, 4, 5, 3, 4, 5}));
}

TEST(Reference, ShortcutOfDifferentChannelCounts) {
  NetworkBuilder more({6, 1, 1});
  more.dropout(0).route({0}, 3, 2);  // 1: channels 4,5
  more.route({0}).shortcut(1);       // 3: 6 channels + 2 channels
  const Tensor images = tensor_of({1, 6, 1, 1}, {0, 1, 2, 3, 4, -5});
  EXPECT_EQ(run_one(pass_to_head(more), images), tensor_of({1, 6, 1, 1}, {4, -4, 2, 3, 4, -5}));
  NetworkBuilder fewer({12, 1, 1});
  fewer.dropout(0).route({0}, 2, 0).shortcut(0, Activation::relu);  // 6 channels + the first 6 of 12
  const Tensor twelve = tensor_of({1, 12, 1, 1}, {0, 1, 2, 3, -4, 5, 6, 7, 8, 9, 10, 11});
  EXPECT_EQ(run_one(pass_to_head(fewer), twelve), tensor_of({1, 6, 1, 1}, {0, 2, 4, 6, 0, 10}));
}

TEST(Reference, SqueezeAndExcitation) {
  NetworkBuilder net({6, 1, 2});
  net.dropout(0).avgpool().scale_channels(0);
  const Tensor got = run_one(pass_to_head(net), tensor_of({1, 6, 1, 2}, {1, 3, 0, 0, 2, 2, -1, 1, 4, 6, 10, 0}));
  EXPECT_EQ(got, tensor_of({1, 6, 1, 2}, {2, 6, 0, 0, 4, 4, 0, 0, 20, 30, 50, 0}));
}

TEST(Reference, BatchNormIsAppliedAsWritten) {
  NetworkBuilder net({1, 1, 1}, 0.75f);
  net.conv(6, 1).yolo({{1, 1}}, {0}, 1);
  const NetworkSpec spec = net.build();
  auto weights = std::make_shared<Weights>(zero_weights(spec));
  const auto set = [&](size_t slot, std::vector<float> values) {
    std::ranges::copy(values, weights->tensors[slot].values().begin());
  };
  set(0, {0, 1, 0, 0, 0, -3});              // beta
  set(1, {1, 1, 2, 1, 1, 1});               // gamma
  set(2, {0, 0, 0, 4, 0, 0});               // mean
  set(3, {.25, .25, .25, .25, 3.25, .25});  // variance: deviation 1, and 2
  set(4, {1, 1, 1, 1, 1, 1});               // kernel
  const Tensor got = make_reference_engine(spec, weights)->forward(tensor_of({1, 1, 1, 1}, {2})).at(0);
  const float wants[] = {2, 3, 4, -0.2f, 1, -0.1f};
  for (int i = 0; i < 6; ++i) EXPECT_FLOAT_EQ(got[i], wants[i]) << i;
}

// A little network with everything that detectors have, two heads, and batch norms with statistics of their own.
NetworkSpec little_network(int64_t width, int64_t height) {
  NetworkBuilder net({3, height, width});
  net.conv(8, 3).conv(16, 3, 2);                                // 0, 1
  net.conv(8, 1).conv(16, 3, 1, Activation::mish).shortcut(1);  // 2..4
  net.add(Conv{.filters = 16,
               .size = 3,
               .padding = 1,
               .groups = 16,
               .batch_normalize = true,
               .activation = Activation::swish},
          {net.last()});                                                                                // 5
  net.maxpool(2, 2).conv(24, 3).maxpool(5, 1).route({net.last(), net.last() - 1});                      // 6..9
  net.avgpool().conv(48, 1, 1, Activation::logistic, false).scale_channels(9);                          // 10..12
  net.conv(12, 1, 1, Activation::linear, false).yolo({{4, 4}, {9, 9}, {20, 20}, {30, 30}}, {2, 3}, 1);  // 13, 14
  net.route({12}).conv(8, 1, 1, Activation::relu).upsample().route({17, 4}, 2, 1);                      // 15..18
  net.conv(12, 3, 1, Activation::linear, false).yolo({{4, 4}, {9, 9}, {20, 20}, {30, 30}}, {0, 1}, 1);
  return net.build();
}

std::shared_ptr<Weights> lively_weights(const NetworkSpec& spec) {
  auto weights = std::make_shared<Weights>(random_weights(spec, {.seed = 5}));
  const auto slots = param_slots(spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].kind == ParamKind::kernel) continue;
    const bool positive = slots[i].kind == ParamKind::running_var || slots[i].kind == ParamKind::gamma;
    weights->tensors[i] = random_tensor(slots[i].shape, 100 + i, positive ? 0.5 : -0.3, positive ? 2 : 0.3);
  }
  return weights;
}

double norm(const Tensor& tensor) {
  double sum = 0;
  for (const float value : tensor.values()) sum += double{value} * value;
  return std::sqrt(sum);
}

// Folding moves one rounding of every kernel element (half an eps each) and of the bias; through 12 layers, each of
// which has its own rounding on both sides, that stays below 12 * 8 eps of the map's norm.
TEST(Reference, FoldedNetworkGivesTheSameMaps) {
  const NetworkSpec spec = little_network(32, 24);
  const auto weights = lively_weights(spec);
  const Tensor images = random_tensor({2, 3, 24, 32}, 8, 0, 1);
  const std::vector<Tensor> want = make_reference_engine(spec, weights)->forward(images);
  FoldedNetwork folded = fold_batch_norm(spec, *weights);
  const auto engine = make_reference_engine(folded.spec, std::make_shared<Weights>(std::move(folded.weights)));
  const std::vector<Tensor> got = engine->forward(images);
  ASSERT_EQ(got.size(), 2u);
  for (size_t h = 0; h < 2; ++h) {
    Tensor difference = got[h];
    for (int64_t i = 0; i < difference.size(); ++i) difference[i] -= want[h][i];
    EXPECT_LE(norm(difference), 12 * 8 * 0x1p-24 * norm(want[h])) << "head " << h;
    EXPECT_GT(norm(want[h]), 0.1);
  }
}

TEST(Reference, BatchesAndSizesDoNotMix) {
  const NetworkSpec spec = little_network(32, 24);
  const auto engine = make_reference_engine(spec, lively_weights(spec));
  const Tensor both = random_tensor({2, 3, 24, 32}, 9, 0, 1);
  const std::vector<Tensor> maps = engine->forward(both);
  EXPECT_EQ(maps[0].shape(), (Shape{2, 12, 12, 16})) << "small objects first";
  EXPECT_EQ(maps[1].shape(), (Shape{2, 12, 6, 8}));
  EXPECT_EQ(engine->forward(random_tensor({1, 3, 16, 8}, 1))[1].shape(), (Shape{1, 12, 4, 2}));
  Tensor second({1, 3, 24, 32});
  std::ranges::copy(both.values().subspan(static_cast<size_t>(second.size())), second.values().begin());
  const std::vector<Tensor> alone = engine->forward(second);
  for (size_t h = 0; h < 2; ++h) {
    const auto half = maps[h].values().subspan(static_cast<size_t>(alone[h].size()));
    EXPECT_TRUE(std::ranges::equal(half, alone[h].values())) << "head " << h;
  }
}

TEST(Reference, RefusesWhatDoesNotFit) {
  const NetworkSpec spec = little_network(32, 24);
  const auto weights = lively_weights(spec);
  const auto engine = make_reference_engine(spec, weights);
  EXPECT_THROW(engine->forward(Tensor({1, 4, 24, 32})), Error);
  EXPECT_THROW(engine->forward(Tensor({3, 24, 32})), Error);
  EXPECT_THROW(engine->forward(Tensor({0, 3, 24, 32})), Error);
  EXPECT_THROW(engine->forward(Tensor({1, 3, 0, 32})), Error);
  EXPECT_THROW(engine->forward(Tensor({1, 3, 24, 30})), Error);
  EXPECT_EQ(engine->forward(Tensor({1, 3, 24, 32})).size(), 2u) << "after errors it works as before";
  EXPECT_THROW(make_reference_engine(spec, nullptr), Error);
  EXPECT_THROW(make_reference_engine(yolov3_tiny(), weights), Error);
  NetworkSpec broken = spec;
  broken.layers[3].out.width += 1;
  EXPECT_THROW(make_reference_engine(broken, weights), Error);
}

TEST(SlowReference, FullYolov3At416) {
  const NetworkSpec spec = yolov3();
  const auto engine = make_reference_engine(spec, std::make_shared<Weights>(random_weights(spec)));
  const Tensor images = random_tensor({1, 3, 416, 416}, 1, 0, 1);
  const auto start = std::chrono::steady_clock::now();
  const std::vector<Tensor> maps = engine->forward(images);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("yolov3 at 416 on the reference engine (%s): %.2f s, %.1f GFLOP/s\n", convolution_isas()[0].c_str(),
              seconds.count(), network_flops(spec) * 1e-9 / seconds.count());
  ASSERT_EQ(maps.size(), 3u);
  for (size_t h = 0; h < 3; ++h) {
    const int64_t side = 52 >> h;
    EXPECT_EQ(maps[h].shape(), (Shape{1, 255, side, side}));
    for (const float value : maps[h].values()) ASSERT_TRUE(std::isfinite(value));
  }
}

}  // namespace
}  // namespace yolov3
