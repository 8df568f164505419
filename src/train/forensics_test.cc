#include "train/forensics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "net/builder.h"

namespace yolov3 {
namespace {

// Layers 0 to 2 are convolutions, 3 the head's, 4 the head: stride 8.
NetworkSpec small_network() {
  NetworkBuilder net({3, 64, 64});
  net.conv(8, 3, 2).conv(8, 3, 2).conv(16, 3, 2).conv(24, 1, 1, Activation::linear, false);
  net.yolo({{10, 12}, {18, 24}, {30, 36}}, {0, 1, 2}, 3);
  return net.build();
}

float& value_of(Weights& weights, const NetworkSpec& spec, const std::string& name, int64_t index) {
  const std::vector<ParamSlot> slots = param_slots(spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].name == name) return weights.tensors[i][index];
  }
  throw Error("no parameter " + name);
}

// Two pictures of a grey, each with a box in the cell (0,0) that fits the first anchor.
struct Evidence {
  Evidence() {
    batch.images = Tensor({2, 3, 64, 64});
    for (float& value : batch.images.values()) value = 0.5f;
    batch.examples = {1, 0};
    batch.objects_net = {{{.box = {0, 0, 8, 10}, .class_id = 2}}, {{.box = {0, 0, 8, 10}, .class_id = 2}}};
    dataset.names = {"a", "b", "dog"};
    dataset.examples = {{.image = "first.jpg", .origin = "a.txt:1"}, {.image = "second.jpg", .origin = "a.txt:2"}};
    targets = assign(batch.objects_net, all);
  }

  std::string blame(const Weights& weights) {
    TorchNetwork network(spec, weights, torch::kCPU, false);
    const torch::Tensor images = torch_from_tensor(batch.images);
    const auto statistics = network.statistics();
    const std::vector<torch::Tensor> maps = network.forward(images, true);
    network.restore_statistics(statistics);
    const std::string text = find_blame(network, {batch, all, batch.objects_net, targets, maps, false, dataset});
    EXPECT_EQ(network.weights().tensors.size(), weights.tensors.size());
    const std::vector<torch::Tensor> after = network.statistics();
    for (size_t i = 0; i < after.size(); ++i) EXPECT_TRUE(torch::equal(after[i], statistics[i])) << "statistics moved";
    return text;
  }

  NetworkSpec spec = small_network();
  std::vector<Head> all = heads(spec);
  Batch batch;
  Targets targets;
  Dataset dataset;
};

void expect_parts(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
}

TEST(Forensics, APixelIsNamed) {
  Evidence e;
  e.batch.images.at(1, 2, 5, 7) = NAN;
  expect_parts(e.blame(random_weights(e.spec)), {"image first.jpg (a.txt:1)", "pixels", "channel 2, y 5, x 7"});
}

TEST(Forensics, ABiasOfTheHeadIsNamedWithTheBoxOfItsCell) {
  Evidence e;
  Weights weights = random_weights(e.spec);
  value_of(weights, e.spec, "layer3.bias", 0) = NAN;  // tx of the first anchor
  expect_parts(e.blame(weights),
               {"image second.jpg", "head 0 (stride 8)", "cell (gy 0, gx 0)", "anchor 0", "tx = nan",
                "the box 0.0,0.0,8.0,10.0 of class 2 (dog)", "layer 3's (convolutional, 24 filters of 1x1)",
                "layer3.bias itself holds nan", "every picture"});
  weights = random_weights(e.spec);
  value_of(weights, e.spec, "layer3.bias", 8) = NAN;  // tx of the second
  expect_parts(e.blame(weights), {"anchor 1", "no box is there"});
}

TEST(Forensics, AnOverflowIsFoundInItsLayer) {
  Evidence e;
  Weights weights = random_weights(e.spec);
  value_of(weights, e.spec, "layer1.beta", 3) = 3e38f;
  value_of(weights, e.spec, "layer2.kernel", 3 * 9) = 1e10f;
  expect_parts(e.blame(weights),
               {"layer 2's (convolutional, 16 filters of 3x3)", "the largest number before it is", "in layer 1"});
}

TEST(Forensics, TheSearchKeepsTheFirstAndTheLargestBefore) {
  LayerSearch search;
  search.look(0, torch::tensor({1.0f, -7.0f}));
  search.look(1, torch::tensor({2.0f}));
  EXPECT_EQ(search.found().layer, -1);
  search.look(2, torch::tensor({1.0f, INFINITY}));
  search.look(3, torch::tensor({NAN, 1e30f}));
  EXPECT_EQ(search.found().layer, 2);
  EXPECT_EQ(search.found().largest, 7.0);
  EXPECT_EQ(search.found().largest_layer, 0);
}

TEST(Forensics, FiniteMapsPointAtTheLargestLogit) {
  Evidence e;
  Weights weights = random_weights(e.spec);
  value_of(weights, e.spec, "layer3.bias", 16 + 4) = -1e30f;
  expect_parts(e.blame(weights), {"all logits are finite", "the largest logit is in", "anchor 2, objectness = -1e+30"});
}

}  // namespace
}  // namespace yolov3
