#include "format/keras_layout.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "format/test_files.h"
#include "net/models.h"

namespace yolov3 {
namespace {

std::string name_of(const std::string& kind, int i) { return i == 0 ? kind : kind + "_" + std::to_string(i); }

std::vector<std::string> names_of(const NetworkSpec& spec) {
  std::vector<std::string> names;
  for (const KerasLayer& layer : keras_layers(spec, param_slots(spec))) names.push_back(layer.name);
  return names;
}

// Worked out by hand from the notes' YOLOv3() and Keras' rule. 75 convolutions; 58, 66 and 74 are the heads, without
// batch norm. From the small head back: 74 has depth 1, 73 4, 68 - 72 7 to 19, the join 20, 67 24, 60 - 64 27 to 39,
// 59 44, 56 47; while 65 and 57, before the other heads, have depth 4 too, and those heads 1.
TEST(KerasLayout, OrderOfYolov3) {
  std::vector<std::string> expected;
  const auto block = [&](int conv, int norm) {
    expected.push_back(name_of("conv2d", conv));
    expected.push_back(name_of("batch_normalization", norm));
  };
  for (int i = 0; i <= 56; ++i) block(i, i);
  for (int i = 59; i <= 64; ++i) block(i, i - 1);
  for (int i = 67; i <= 72; ++i) block(i, i - 2);
  for (const char* name : {"conv2d_73", "conv2d_65", "conv2d_57", "batch_normalization_71", "batch_normalization_64",
                           "batch_normalization_57", "conv2d_74", "conv2d_66", "conv2d_58"}) {
    expected.push_back(name);
  }
  EXPECT_EQ(names_of(yolov3()), expected);
}

// By hand: the last convolution of the small head's way and of the large head's way both have depth 1.
TEST(KerasLayout, OrderOfASmallNetwork) {
  const std::vector<std::string> expected = {"conv2d",   "batch_normalization",   "conv2d_1", "batch_normalization_1",
                                             "conv2d_2", "batch_normalization_2", "conv2d_3", "batch_normalization_3",
                                             "conv2d_4", "batch_normalization_4", "conv2d_6", "batch_normalization_5",
                                             "conv2d_7", "batch_normalization_6", "conv2d_8", "conv2d_5"};
  EXPECT_EQ(names_of(testing::small_network()), expected);
}

TEST(KerasLayout, ABackboneAloneIsInOrder) {
  const auto names = names_of(darknet53());
  ASSERT_EQ(names.size(), 104u);  // 52 convolutions, each with batch norm
  for (int i = 0; i < 52; ++i) {
    EXPECT_EQ(names[2 * i], name_of("conv2d", i));
    EXPECT_EQ(names[2 * i + 1], name_of("batch_normalization", i));
  }
}

TEST(KerasLayout, WeightsOfALayer) {
  const NetworkSpec spec = testing::small_network();
  const auto slots = param_slots(spec);
  const auto layers = keras_layers(spec, slots);
  const auto weights_of = [&](const std::string& name) {
    std::vector<std::string> names;
    for (const KerasLayer& layer : layers) {
      if (layer.name != name) continue;
      for (const KerasWeight& weight : layer.weights) names.push_back(weight.name + "=" + slots[weight.slot].name);
    }
    return names;
  };
  EXPECT_EQ(weights_of("conv2d"), (std::vector<std::string>{"conv2d/kernel:0=layer0.kernel"}));
  EXPECT_EQ(weights_of("conv2d_5"),
            (std::vector<std::string>{"conv2d_5/kernel:0=layer6.kernel", "conv2d_5/bias:0=layer6.bias"}));
  EXPECT_EQ(weights_of("batch_normalization_5"),
            (std::vector<std::string>{"batch_normalization_5/gamma:0=layer9.gamma",
                                      "batch_normalization_5/beta:0=layer9.beta",
                                      "batch_normalization_5/moving_mean:0=layer9.running_mean",
                                      "batch_normalization_5/moving_variance:0=layer9.running_var"}));
}

TEST(KerasLayout, TransposesKernels) {
  const Shape oihw = {37, 5, 3, 2};  // more than one block, no multiple of it
  EXPECT_EQ(hwio_shape(oihw), (Shape{3, 2, 5, 37}));
  std::vector<float> in(37 * 5 * 3 * 2), out(in.size()), back(in.size());
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i);
  hwio_from_oihw(oihw, in.data(), out.data());
  for (int o = 0; o < 37; ++o)
    for (int i = 0; i < 5; ++i)
      for (int h = 0; h < 3; ++h)
        for (int w = 0; w < 2; ++w) EXPECT_EQ(out[((h * 2 + w) * 5 + i) * 37 + o], in[((o * 5 + i) * 3 + h) * 2 + w]);
  oihw_from_hwio(oihw, out.data(), back.data());
  EXPECT_EQ(back, in);
}

}  // namespace
}  // namespace yolov3
