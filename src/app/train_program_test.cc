// `yolov3 train` as a user calls it: which run it goes on with, and what it refuses.
#include <gtest/gtest.h>

#include "app/test_train.h"
#include "base/text.h"
#include "engine/torch_engine.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

class TrainProgram : public TrainsSmallNetworks {
 protected:
  void SetUp() override {
    if (!have_torch()) GTEST_SKIP() << "a build without LibTorch cannot train";
    TrainsSmallNetworks::SetUp();
  }

  size_t epochs_of(const std::string& name) const {
    return split_lines(trim(read_file(folder_ / "runs" / name / "results.csv"))).size() - 1;
  }
};

// The second run of a name says in its args.toml that name, which is the first run's.
TEST_F(TrainProgram, AConfigResumesTheRunThatItLiesIn) {
  const std::string first(trim(run(fresh()).out)), second(trim(run(fresh()).out));
  ASSERT_EQ(second, (folder_ / "runs/exp2").string());
  const std::string untouched = read_file(fs::path(first) / "weights/last.h5");
  const Words more = {"--epochs", "2", "--resume"};
  const Ran ran = run(joined({"train", "--config", second + "/args.toml"}, more));
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(trim(ran.out), second);
  EXPECT_EQ(epochs_of("exp2"), 2u);
  EXPECT_EQ(read_file(fs::path(first) / "weights/last.h5"), untouched);
  // A name that is typed wins, and a copy of the file knows nothing else than the name in it.
  EXPECT_EQ(trim(run(joined({"train", "--config", second + "/args.toml", "--name", "exp"}, more)).out), first);
  fs::copy_file(second + "/args.toml", folder_ / "copy.toml");
  fs::create_directory(folder_ / "weights");  // of something else
  write_file(folder_ / "weights/coco.h5", "of somebody");
  EXPECT_EQ(trim(run(joined({"train", "--config", (folder_ / "copy.toml").string()}, more)).out), second)
      << "where it was resumed it says its own name";
}

// Killed before it had saved anything, hours into a first epoch.
TEST_F(TrainProgram, AConfigResumesItsRunThatHasNoCheckpointYet) {
  const std::string first(trim(run(fresh()).out)), second(trim(run(fresh()).out));
  const std::string untouched = read_file(fs::path(first) / "weights/last.h5");
  for (const fs::path& file : list_files(fs::path(second) / "weights")) fs::remove(file);
  const Ran ran = run({"train", "--config", second + "/args.toml", "--epochs", "2", "--resume"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(trim(ran.out), second);
  EXPECT_SAYS(ran.err, second + ": no checkpoint yet");
  EXPECT_EQ(epochs_of("exp2"), 2u);
  EXPECT_EQ(read_file(fs::path(first) / "weights/last.h5"), untouched);
}

TEST_F(TrainProgram, ARunOfOnednnGoesOnWithLibTorchWhenThatIsTyped) {
  const std::string folder(trim(run(fresh({"--precision", "f32"})).out));
  EXPECT_SAYS(read_file(fs::path(folder) / "args.toml"), "training-plan = \"training-plan 1 f32");
  const Ran ran = run({"train", "--config", folder + "/args.toml", "--engine", "torch", "--epochs", "2", "--resume"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_SAYS(ran.err, "goes on with LibTorch: not bit for bit");
  EXPECT_EQ(epochs_of("exp"), 2u);
}

TEST_F(TrainProgram, OptionsWithoutEffectAreRefused) {
  const auto refused = [&](const Words& more, const std::string& message) {
    const Ran ran = run(fresh(more));
    EXPECT_EQ(ran.code, 2) << ran.err;
    EXPECT_SAYS(ran.err, message);
  };
  refused({"--sync-bn"}, "--sync-bn: one rank has all pictures");
  refused({"--rank-timeout", "30s"}, "--rank-timeout: there is no other rank");
  refused({"--multi-scale-every", "5"}, "--multi-scale-every: there is one size only");
  refused({"--val", "true", "--overfit", "4", "--batch", "auto"}, "--overfit 4: --batch auto");
  EXPECT_FALSE(fs::exists(folder_ / "runs"));
}

}  // namespace
}  // namespace yolov3
