#include "format/load_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/files.h"
#include "format/choose_network.h"
#include "format/darknet_weights.h"
#include "format/test_files.h"
#include "net/cfg.h"
#include "net/coco_names.h"
#include "net/models.h"

namespace yolov3 {
namespace {

using testing::error_of;
using testing::expect_has;
using testing::TemporaryFolder;

class LoadModel : public ::testing::Test {
 protected:
  ModelSource source(const std::string& name, const std::string& model = "", std::vector<std::string> names = {},
                     bool transfer = false) const {
    return {folder_ / name, model, std::move(names), transfer};
  }
  void save_tiny(const std::string& name, int classes, int layers = -1) const {
    const NetworkSpec spec = yolov3_tiny({.classes = classes});
    save_darknet_weights(folder_ / name, spec, random_weights(spec), {.seen = 64, .layers = layers});
  }
  TemporaryFolder folder_;
};

// The numbers of the authors' downloads: file lengths less the header, by four. Darknet's own program tells the same.
TEST_F(LoadModel, PublishedFilesAreKnownByTheirCounts) {
  const NetworkSpec v3 = choose_network({}, (248007048 - 20) / 4, "yolov3.weights");
  EXPECT_EQ(v3, yolov3());
  EXPECT_EQ(choose_network({}, (35434956 - 20) / 4, "yolov3-tiny.weights"), yolov3_tiny());
  EXPECT_EQ(choose_network({}, (252209544 - 20) / 4, "yolov3-spp.weights"), yolov3_spp());
  // darknet53.conv.74 and yolov3-tiny.conv.15 begin a training.
  const NetworkSpec backbone = choose_network({"yolov3", 3, true}, (162482580 - 20) / 4, "darknet53.conv.74");
  EXPECT_EQ(backbone.layers.size(), 74u);  // the last layer, a shortcut, has no numbers
  EXPECT_EQ(choose_network({"yolov3", 3, true}, (248007048 - 20) / 4, "yolov3.weights"), yolov3());
  expect_has(error_of([] {
               choose_network({"yolov3", 0, false}, (162482580 - 20) / 4, "darknet53.conv.74");
             }),
             {"40620640 numbers", "62001757", "80 classes", "a backbone"});
}

TEST_F(LoadModel, DarknetByNameByCountAndByCfg) {
  save_tiny("t.weights", 7);
  for (const char* model : {"", "yolov3-tiny"}) {
    const LoadedModel loaded = load_model(source("t.weights", model));
    EXPECT_EQ(loaded.kind, ModelKind::darknet);
    EXPECT_EQ(loaded.model.spec, yolov3_tiny({.classes = 7}));
    EXPECT_FALSE(loaded.named);
    EXPECT_EQ(loaded.model.names[6], "6");
    EXPECT_EQ(loaded.model.facts.at("pictures_seen"), "64");
    EXPECT_EQ(loaded.model.weights, random_weights(loaded.model.spec));
  }
  write_file(folder_ / "t.cfg", write_cfg(yolov3_tiny({.classes = 7, .width = 96, .height = 64})));
  const LoadedModel by_cfg =
      load_model(source("t.weights", (folder_ / "t.cfg").string(), {"a", "b", "c", "d", "e", "f", "g"}));
  EXPECT_EQ(by_cfg.model.spec.input.width, 96);
  EXPECT_TRUE(by_cfg.named);
  EXPECT_EQ(by_cfg.model.names[1], "b");
  save_tiny("c.weights", 80);
  EXPECT_EQ(load_model(source("c.weights")).model.names, coco_names());
}

TEST_F(LoadModel, WrongClassCountsSayAllCounts) {
  save_tiny("t.weights", 7);
  write_file(folder_ / "t.cfg", write_cfg(yolov3_tiny({.classes = 3})));
  const std::string cfg = (folder_ / "t.cfg").string();
  expect_has(error_of([&] { load_model(source("t.weights", cfg)); }),
             {"t.weights", "8690104 numbers", "8680864 with its 3 classes", "7 classes would fit"});
  expect_has(error_of([&] {
               load_model(source("t.weights", "yolov3-tiny", {"a", "b", "c"}));
             }),
             {"8690104 numbers", "3 classes", "7 classes would fit"});
  EXPECT_EQ(class_count(load_model(source("t.weights", cfg, {}, true)).model.spec), 7) << "transfer may";
}

TEST_F(LoadModel, BackbonesAreForTrainingOnly) {
  save_tiny("t.conv.15", 7, 15);
  expect_has(error_of([&] { load_model(source("t.conv.15", "yolov3-tiny")); }), {"a backbone"});
  const LoadedModel loaded = load_model(source("t.conv.15", "yolov3-tiny", {}, true));
  EXPECT_EQ(loaded.model.spec.layers.size(), 15u);
  EXPECT_TRUE(loaded.model.names.empty());
  EXPECT_NO_THROW(check_weights(loaded.model.spec, loaded.model.weights));
  // Of another model of the family than the one to be trained.
  save_tiny("t.weights", 7);
  EXPECT_EQ(load_model(source("t.weights", "yolov3", {}, true)).model.spec, yolov3_tiny({.classes = 7}));
}

// As many numbers as another network has, which would stand in wrong places: variances would be negative.
TEST_F(LoadModel, NumbersInWrongPlacesAreSeen) {
  NetworkBuilder one({3, 32, 32}), other({3, 32, 32});
  const NetworkSpec written = one.conv(8, 1).conv(4, 1).build();  // 8*4 + 3*8 + 4*4 + 8*4 = 104
  const NetworkSpec taken = other.conv(8, 1).conv(4, 1).build();
  Weights weights = random_weights(written);
  std::swap(weights.tensors[5], weights.tensors[8]);  // beta where the variance is read: 1 and 0 are fine
  save_darknet_weights(folder_ / "w", written, weights);
  write_file(folder_ / "w.cfg", write_cfg(taken));
  EXPECT_NO_THROW(load_model(source("w", (folder_ / "w.cfg").string())));
  weights.tensors[8][2] = -0.25f;
  save_darknet_weights(folder_ / "w", written, weights);
  expect_has(error_of([&] { load_model(source("w", (folder_ / "w.cfg").string())); }),
             {"layer1.running_var has -0.25", "no variance can be"});
}

// A diverged training leaves numbers that are none; with them a detector finds nothing and says nothing.
TEST_F(LoadModel, NumbersThatAreNoneAreRefused) {
  const NetworkSpec spec = testing::small_network();
  write_file(folder_ / "w.cfg", write_cfg(spec));
  for (const float wrong : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    Model model = testing::small_model();
    model.weights.tensors.back()[3] = wrong;  // the last kernel
    save_darknet_weights(folder_ / "w", spec, model.weights);
    save_model(folder_ / "own.h5", model);
    for (const ModelSource& file : {source("w", (folder_ / "w.cfg").string()), source("own.h5")}) {
      expect_has(error_of([&] { load_model(file); }), {"layer13.kernel", "nan", "diverged"});
    }
  }
}

TEST_F(LoadModel, SettingsWithoutEffectAndForeignFilesAreRefused) {
  save_model(folder_ / "own.h5", testing::small_model());
  expect_has(error_of([&] { load_model(source("own.h5", "yolov3")); }), {"--model yolov3", "its own network"});
  EXPECT_EQ(load_model(source("own.h5")).model.names, testing::small_model().names);
  write_file(folder_ / "page.weights", "<!DOCTYPE html><html></html>");
  expect_has(error_of([&] { load_model(source("page.weights")); }), {"HTML", "download"});
  write_file(folder_ / "page.h5", "<!DOCTYPE html><html></html>");
  expect_has(error_of([&] { load_model(source("page.h5")); }), {"HTML", "download"});
  const NetworkSpec odd = testing::small_network();
  save_darknet_weights(folder_ / "odd.weights", odd, zero_weights(odd));
  write_file(folder_ / "odd.cfg", write_cfg(odd));
  expect_has(error_of([&] { load_model(source("odd.weights")); }), {"fits none of yolov3", "odd.cfg", "beside it"});
}

}  // namespace
}  // namespace yolov3
