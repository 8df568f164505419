#include "app/presets.h"

#include <gtest/gtest.h>

#include "app/test_train.h"
#include "base/text.h"
#include "engine/torch_engine.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

using Presets = TrainsSmallNetworks;

TEST_F(Presets, TargetAndLossOptionsWithoutEffectAreRefused) {
  const auto refused = [](Words words, const std::string& message) {
    words.insert(words.begin(), {"train", "--data", "x"});
    const Ran ran = run(words);
    EXPECT_EQ(ran.code, 2) << ran.err;
    EXPECT_NE(ran.err.find(message), std::string::npos) << ran.err;
  };
  refused({"--matching", "best", "--positive-iou", "0.5"}, "--positive-iou has no effect here");
  refused({"--preset", "paper", "--best-of-all", "false"}, "--best-of-all has no effect here");
  refused({"--anchor-fit", "ratio", "--positive-iou", "0.5"}, "--positive-iou has no effect here");
  refused({"--positive-ratio", "3"}, "--positive-ratio has no effect here");
  refused({"--label-smoothing", "0", "--smooth-to", "half"}, "--smooth-to has no effect here");
  refused({"--collision", "best"}, "expected one of last, first, smaller, fit, free");
  refused({"--preset", "recommended"}, "expected one of notes, paper, darknet, yolov4-loss, ratio-means");
  EXPECT_EQ(run({"bench", "--box-loss", "ciou"}).code, 2);
  EXPECT_EQ(run({"explain", "--data", "x", "--ignore-boxes", "all"}).code, 2);
}

// Every value of every preset is one that train takes, and args.toml has them all.
TEST_F(Presets, TrainTakesEachAndRecordsIt) {
  if (!have_torch()) GTEST_SKIP() << "a build without LibTorch cannot train";
  const auto train = [&](const Words& more) {
    const Ran ran = run(fresh(joined({"--precision", "f32"}, more)));
    EXPECT_EQ(ran.code, 0) << ran.err;
    return read_file(fs::path(trim(ran.out)) / "args.toml");
  };
  const auto says = [](const std::string& toml, const std::string& line) {
    return toml.find("\n" + line + "\n") != std::string::npos;
  };
  const std::string notes = train({});
  for (const char* line :
       {"preset = \"notes\"", "matching = \"threshold\"", "anchor-fit = \"cell\"", "collision = \"last\"",
        "box-loss = \"giou\"", "focal-power = 2", "normalize = \"batch\"", "optimizer = \"adam\""}) {
    EXPECT_TRUE(says(notes, line)) << line << notes;
  }
  for (const Preset& preset : training_presets()) {
    const std::string toml = train({"--preset", preset.name});
    EXPECT_TRUE(says(toml, "preset = \"" + preset.name + "\"")) << toml;
    for (const auto& [option, text] : preset.values) {
      EXPECT_TRUE(says(toml, option + " = " + text) || says(toml, option + " = \"" + text + "\"")) << option << toml;
    }
  }
  const std::string mixed = train({"--preset", "paper", "--box-loss", "ciou"});
  EXPECT_TRUE(says(mixed, "box-loss = \"ciou\"") && says(mixed, "matching = \"best\"")) << mixed;
  write_file(path("mixed.toml"), mixed);
  EXPECT_TRUE(says(train({"--config", path("mixed.toml")}), "box-loss = \"ciou\""));
}

}  // namespace
}  // namespace yolov3
