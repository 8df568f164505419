#include "net/models.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "net/builder.h"
#include "net/cfg.h"
#include "net/summary.h"
#include "net/weights.h"

namespace yolov3 {
namespace {

// Debian's package "darknet" has the original files.
const std::filesystem::path kDarknet = "/usr/share/darknet/cfg";

template <class Op>
std::vector<int> layers_of(const NetworkSpec& spec) {
  std::vector<int> found;
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    if (std::holds_alternative<Op>(spec.layers[i].op)) found.push_back(static_cast<int>(i));
  }
  return found;
}

TEST(Models, Yolov3HasDarknetsNumbers) {
  const NetworkSpec spec = yolov3();
  EXPECT_EQ(spec.layers.size(), 107u);
  EXPECT_EQ(layers_of<Yolo>(spec), (std::vector<int>{82, 94, 106}));
  EXPECT_EQ(layers_of<Conv>(spec).size(), 75u);
  EXPECT_EQ(layers_of<Shortcut>(spec).size(), 23u);
  EXPECT_EQ(spec.layers[36].out, (LayerShape{256, 52, 52}));
  EXPECT_EQ(spec.layers[61].out, (LayerShape{512, 26, 26}));
  EXPECT_EQ(spec.layers[74].out, (LayerShape{1024, 13, 13}));
  EXPECT_EQ(spec.layers[86].inputs, (std::vector<int>{85, 61}));
  EXPECT_EQ(spec.layers[98].inputs, (std::vector<int>{97, 36}));
  EXPECT_EQ(spec.layers[98].out, (LayerShape{384, 52, 52}));
  EXPECT_EQ(count_params(spec).trainable, 61'949'149);
  EXPECT_EQ(count_params(spec).all, 62'001'757);
  EXPECT_NEAR(network_flops(spec) * 1e-9, 65.86, 0.01);
  EXPECT_EQ(max_stride(spec), 32);
  EXPECT_EQ(class_count(spec), 80);
}

// Darknet-53 ends with layer 74 (darknet53.conv.74), tiny's last convolution at 1/32 before its heads is layer 12.
TEST(Models, BackbonesAreFound) {
  EXPECT_EQ(backbone_layers(yolov3()), 75);
  EXPECT_EQ(backbone_layers(yolov3_spp({.classes = 2, .width = 96, .height = 64})), 75);
  EXPECT_EQ(backbone_layers(yolov3_tiny({.classes = 2, .width = 64, .height = 64})), 13);
  EXPECT_EQ(backbone_layers(parse_cfg(write_cfg(yolov3()), "a.cfg").spec), 75);
  NetworkBuilder other({3, 64, 64});
  other.conv(32, 3).conv(18, 1, 2, Activation::linear, false).yolo({{9, 9}, {20, 20}, {30, 30}}, {0, 1, 2}, 1);
  EXPECT_THROW(backbone_layers(other.build()), Error);
}

TEST(Models, HeadsAreSmallObjectsFirst) {
  const std::vector<Head> found = heads(yolov3({.classes = 3, .width = 608, .height = 352, .anchors = {}}));
  ASSERT_EQ(found.size(), 3u);
  for (size_t h = 0; h < 3; ++h) {
    EXPECT_EQ(found[h].layer, (std::array{106, 94, 82})[h]);
    EXPECT_EQ(found[h].stride_x, 8 << h);
    EXPECT_EQ(found[h].stride_y, 8 << h);
    EXPECT_EQ(found[h].grid_width, 76 >> h);
    EXPECT_EQ(found[h].grid_height, 44 >> h);
    EXPECT_EQ(found[h].classes, 3);
  }
  EXPECT_EQ(found[0].anchors, (std::vector<Anchor>{{10, 13}, {16, 30}, {33, 23}}));
  EXPECT_EQ(found[2].anchors, (std::vector<Anchor>{{116, 90}, {156, 198}, {373, 326}}));
  EXPECT_THROW(heads(darknet53()), Error);
}

TEST(Models, OthersHaveDarknetsNumbers) {
  EXPECT_EQ(yolov3_spp().layers.size(), 114u);
  EXPECT_EQ(layers_of<Yolo>(yolov3_spp()), (std::vector<int>{89, 101, 113}));
  EXPECT_EQ(yolov3_tiny().layers.size(), 24u);
  EXPECT_EQ(layers_of<Yolo>(yolov3_tiny()), (std::vector<int>{16, 23}));
  EXPECT_EQ(layers_of<MaxPool>(yolov3_tiny()), (std::vector<int>{1, 3, 5, 7, 9, 11}));
  EXPECT_EQ(yolov3_tiny().layers[11].out, (LayerShape{512, 13, 13}));
  EXPECT_EQ(darknet53().layers.size(), 75u);
  EXPECT_EQ(layers_of<Conv>(darknet53()).size(), 52u);
  EXPECT_EQ(darknet53(64, 96).layers.back().out, (LayerShape{1024, 3, 2}));
}

struct Original {
  const char* file;
  const char* model;
  int classes;
};

class DarknetFiles : public testing::TestWithParam<Original> {};

TEST_P(DarknetFiles, AreTheSameNetworks) {
  const auto& [file, model, classes] = GetParam();
  if (!std::filesystem::exists(kDarknet / file)) GTEST_SKIP() << "Debian's package darknet is not installed";
  const ParsedCfg parsed = parse_cfg(read_file(kDarknet / file), file);
  const auto& input = parsed.spec.input;
  const NetworkSpec own = make_model(model, {.classes = classes,
                                             .width = static_cast<int>(input.width),
                                             .height = static_cast<int>(input.height),
                                             .anchors = {}});
  ASSERT_EQ(parsed.spec.layers.size(), own.layers.size());
  for (size_t i = 0; i < own.layers.size(); ++i) EXPECT_EQ(parsed.spec.layers[i], own.layers[i]) << "layer " << i;
  EXPECT_EQ(parsed.spec, own);
  EXPECT_EQ(parsed.training_keys.at("yolo.truth_thresh"), "1");
  EXPECT_EQ(parsed.training_keys.at("net.momentum"), "0.9");
}

INSTANTIATE_TEST_SUITE_P(Models, DarknetFiles,
                         testing::Values(Original{"yolov3.cfg", "yolov3", 80}, Original{"yolov3-voc.cfg", "yolov3", 20},
                                         Original{"yolov3-openimages.cfg", "yolov3", 601},
                                         Original{"yolov3-spp.cfg", "yolov3-spp", 80},
                                         Original{"yolov3-tiny.cfg", "yolov3-tiny", 80}));

TEST(Models, InputSizes) {
  const NetworkSpec wide = with_input_size(yolov3(), 640, 352);
  EXPECT_EQ(wide, yolov3({.classes = 80, .width = 640, .height = 352, .anchors = {}}));
  EXPECT_EQ(with_input_size(wide, 416, 416), yolov3());
  EXPECT_EQ(with_input_size(yolov3(), 32, 32).layers[81].out, (LayerShape{255, 1, 1}));
  for (const auto& [width, height] : {std::pair{400, 416}, {416, 400}, {0, 416}, {-32, 32}, {1 << 20, 1 << 20}}) {
    EXPECT_THROW(with_input_size(yolov3(), width, height), Error) << width << " x " << height;
    EXPECT_THROW(yolov3({.classes = 80, .width = width, .height = height, .anchors = {}}), Error);
  }
}

TEST(Models, RefusesWrongOptions) {
  EXPECT_THROW(yolov3({.classes = 0, .anchors = {}}), Error);
  EXPECT_THROW(yolov3({.classes = 80, .anchors = {{1, 2}}}), Error);
  EXPECT_THROW(yolov3({.classes = 100'000, .anchors = {}}), Error);
  try {
    make_model("yolov3-tinny", {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean yolov3-tiny?"), std::string::npos) << error.what();
  }
}

TEST(Models, StridesOfOddNetworks) {
  NetworkBuilder net({3, 64, 64});
  net.conv(8, 3, 2).conv(8, 3, 2).upsample(4).conv(8, 3, 2);
  EXPECT_EQ(max_stride(net.build()), 4);
  NetworkBuilder pooled({3, 64, 64});
  pooled.conv(8, 3, 2).avgpool().conv(8, 1).scale_channels(0);
  EXPECT_EQ(max_stride(pooled.build()), 2);
}

TEST(Builder, RefusesLayersThatDoNotFit) {
  const auto net = [] { return NetworkBuilder({3, 8, 8}).conv(6, 3).conv(6, 3, 2); };
  EXPECT_THROW(net().shortcut(0), Error) << "different sizes";
  EXPECT_THROW(net().shortcut(5), Error);
  EXPECT_THROW(net().shortcut(-1), Error);
  EXPECT_THROW(net().route({0, 1}), Error);
  EXPECT_THROW(net().route({}), Error);
  EXPECT_THROW(net().route({1}, 4, 0), Error);
  EXPECT_THROW(net().route({1}, 2, 2), Error);
  EXPECT_THROW(net().add(Conv{.filters = 4, .size = 5}, {1}), Error) << "a window of 5 on 4 cells";
  EXPECT_THROW(net().conv(0, 3), Error);
  EXPECT_THROW(net().conv(7, 3, 0), Error);
  EXPECT_THROW(net().add(Conv{.filters = 4, .size = 1, .groups = 4}, {1}), Error);
  EXPECT_THROW(net().add(Conv{.filters = 4, .size = 1}, {0}), Error) << "not the layer before";
  EXPECT_THROW(net().add(MaxPool{2, 1, 3}, {1}), Error) << "windows of padding alone";
  EXPECT_THROW(net().upsample(1 << 14), Error);
  EXPECT_THROW(net().scale_channels(0), Error);
  EXPECT_THROW(net().yolo({{1, 1}}, {1}, 1), Error);
  EXPECT_THROW(net().yolo({{1, 1}}, {}, 1), Error);
  EXPECT_THROW(net().yolo({{0, 1}}, {0}, 1), Error);
  EXPECT_THROW(net().yolo({{1, 1}}, {0}, 1).conv(6, 1), Error) << "behind a head";
  EXPECT_THROW(NetworkBuilder({65536, 8, 8}).conv(65536, 3).conv(65536, 3), Error) << "parameters";
  EXPECT_THROW(NetworkBuilder({0, 8, 8}), Error);
  EXPECT_THROW(NetworkBuilder({3, 8, 8}, -1.0f), Error);
  EXPECT_NO_THROW(net().yolo({{1, 1}}, {0}, 1));
}

TEST(Summary, TableAndJsonSayTheCounts) {
  const std::string table = layer_table(yolov3());
  EXPECT_EQ(std::ranges::count(table, '\n'), 1 + 107 + 1 + 3);
  for (const char* text : {"61,949,149 trainable", "62,001,757 with", "65.86 GFLOP", "107 layers, 75 convolutions",
                           "head of layer 106: 52 x 52 cells of 8 x 8 pixels, anchors 10x13 16x30 33x23"}) {
    EXPECT_NE(table.find(text), std::string::npos) << text << "\n" << table;
  }
  const auto json =
      nlohmann::json::parse(model_json(yolov3_tiny({.classes = 1, .width = 64, .height = 32, .anchors = {}})));
  EXPECT_EQ(json["input"], (std::vector<int>{3, 32, 64}));
  EXPECT_EQ(json["layers"].size(), 24u);
  EXPECT_EQ(json["heads"][0]["grid_width"], 4);
  EXPECT_EQ(layer_table(darknet53()).find("head of"), std::string::npos);
  EXPECT_TRUE(nlohmann::json::parse(model_json(darknet53()))["heads"].empty());
}

}  // namespace
}  // namespace yolov3
