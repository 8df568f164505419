// Augmentation, sampling and the self-test as a user asks for them: `data preview`, `train`.
#include <gtest/gtest.h>

#include <set>

#include "app/program.h"
#include "app/test_folder.h"
#include "base/files.h"
#include "base/interrupt.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// One head of stride 8 and 10 classes; 64 x 64.
constexpr const char* kSmallCfg = R"([net]
width=64
height=64
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=leaky
[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=leaky
[convolutional]
filters=45
size=1
stride=1
pad=1
activation=linear
[yolo]
mask=0,1,2
anchors=10,12, 18,24, 30,36
classes=10
num=3
)";

struct Ran {
  int code = 0;
  std::string out, err;
};

Ran run(const Words& words) {
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  Ran ran;
  ran.code = run_program(words);
  ran.out = ::testing::internal::GetCapturedStdout();
  ran.err = ::testing::internal::GetCapturedStderr();
  return ran;
}

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

class AugmentProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    clear_interrupt();
    write_file(folder_ / "small.cfg", kSmallCfg);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // The bytes of the first batch's picture.
  std::string preview(const Words& more, int code = 0) {
    const std::string out = path("preview" + std::to_string(++previews_));
    const Ran ran = run(Words{"data", "preview", "--data", "synthetic:20", "--imgsz", "64", "--batch", "4", "--batches",
                              "1", "--out", out} +
                        more);
    EXPECT_EQ(ran.code, code) << ran.err;
    last_error_ = ran.err;
    return ran.code == 0 ? read_file(ran.out.substr(0, ran.out.find('\n'))) : "";
  }

  Words train(const std::string& name) const {
    return {"train",
            "--data",
            "synthetic:20",
            "--model",
            path("small.cfg"),
            "--imgsz",
            "64",
            "--batch",
            "4",
            "--threads",
            "1",
            "--workers",
            "0",
            "--epochs",
            "1",
            "--val",
            "false",
            "--precision",
            "f32",
            "--name",
            name,
            "--project",
            path("runs")};
  }

  fs::path folder_ = make_test_folder("augment");
  std::string last_error_;
  int previews_ = 0;
};

TEST_F(AugmentProgram, EachOptionChangesThePreviewAndTheSameOnesGiveTheSame) {
  const std::string usual = preview({});
  EXPECT_EQ(preview({}), usual);
  EXPECT_EQ(preview({"--mosaic", "0", "--hsv-h", "0"}), usual);
  std::set<std::string> all{usual};
  for (const Words& words : std::vector<Words>{{"--flip", "1"},
                                               {"--flipud", "1"},
                                               {"--crop", "1"},
                                               {"--translate", "1"},
                                               {"--mosaic", "1"},
                                               {"--mixup", "1"},
                                               {"--cutout", "1"},
                                               {"--blur", "1"},
                                               {"--noise", "1"},
                                               {"--grey", "1"},
                                               {"--degrees", "30"},
                                               {"--scale", "0.5"},
                                               {"--shear", "20"},
                                               {"--shift", "0.3"},
                                               {"--hsv-h", "0.3"},
                                               {"--hsv-s", "0.9"},
                                               {"--hsv-v", "0.9"},
                                               {"--exposure", "3"},
                                               {"--saturation", "3"},
                                               {"--epoch", "2"},
                                               {"--first-batch", "2"},
                                               {"--seed", "1"},
                                               {"--augment", "false"},
                                               {"--labels", "false"},
                                               {"--mosaic", "1", "--min-visible", "0.9"}}) {
    EXPECT_TRUE(all.insert(preview(words)).second) << words[0] << " changes nothing";
  }
}

// What `data preview` shows is what `train` saves of its first batch.
TEST_F(AugmentProgram, ThePreviewIsWhatTheTrainerSees) {
  const Words augment{"--mosaic",  "0.7", "--mixup",         "0.3", "--scale", "0.4",
                      "--degrees", "10",  "--hsv-s",         "0.5", "--hsv-v", "0.4",
                      "--cutout",  "0.5", "--image-weights", "0.5", "--seed",  "3"};
  const Ran ran = run(train("exp") + augment);
  if (ran.err.find("built without LibTorch") != std::string::npos) GTEST_SKIP() << "no trainer in this build";
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.err.find("image weights: "), std::string::npos) << ran.err;
  EXPECT_EQ(read_file(folder_ / "runs/exp/train_batch0.jpg"), preview(augment));
  EXPECT_NE(read_file(folder_ / "runs/exp/args.toml").find("mosaic = 0.7"), std::string::npos);
}

TEST_F(AugmentProgram, OptionsWithoutEffectAndContradictionsAreUsageErrors) {
  const auto refused = [&](const Words& words, const std::string& part) {
    const Ran trained = run(train("refused") + words);
    if (trained.err.find("built without LibTorch") == std::string::npos) {
      EXPECT_NE(trained.code, 0);
      EXPECT_NE(trained.err.find(part), std::string::npos) << trained.err;
    }
    EXPECT_FALSE(fs::exists(folder_ / "runs/refused"));
  };
  refused({"--min-visible", "0.5"}, "--min-visible has no effect here");
  refused({"--close-mosaic", "1"}, "--close-mosaic 1 has no effect");
  refused({"--mosaic", "1", "--close-mosaic", "1"}, "none would be left");
  refused({"--hsv-s", "0.5", "--saturation", "1.5"}, "give one of them");
  refused({"--class-weights", "1,2"}, "expected 10 weights, one for each class, got 2");
  refused({"--overfit", "4", "--val", "true", "--mosaic", "1"}, "--mosaic has no effect with --overfit");
  refused({"--overfit", "4"}, "--val false: --overfit is judged");
  preview({"--augment", "false", "--mosaic", "1"}, 2);
  preview({"--first-batch", "6"}, 2);
  EXPECT_NE(last_error_.find("an epoch has 5 batches"), std::string::npos) << last_error_;
  preview({"--mosaic", "2"}, 2);
  for (const char* size : {"0", "-32", "100", "1000000000"}) preview({"--multi-scale", size}, 2);  // the trainer's rule
}

TEST_F(AugmentProgram, TheSelfTestSaysWhatIsWrongAndFails) {
  const Words words = {"train",     "--data", "synthetic:20", "--model",   path("small.cfg"), "--imgsz", "64",
                       "--threads", "1",      "--precision",  "f32",       "--overfit",       "2",       "--epochs",
                       "2",         "--lr0",  "1e-7",         "--project", path("runs")};
  const Ran ran = run(words);
  if (ran.err.find("built without LibTorch") != std::string::npos) GTEST_SKIP() << "no trainer in this build";
  EXPECT_EQ(ran.code, 1) << ran.err;
  EXPECT_NE(ran.err.find("overfit: 2 pictures with "), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("overfit: FAILED: mAP50 "), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("  - the loss fell only from "), std::string::npos) << ran.err;
  const std::string args = read_file(folder_ / "runs/overfit/args.toml");
  EXPECT_NE(args.find("overfit = 2"), std::string::npos);
  EXPECT_NE(args.find("flip = 0"), std::string::npos);
  EXPECT_NE(args.find("batch = 2"), std::string::npos);
}

// A box half a pixel wide beside a large one.
TEST_F(AugmentProgram, BoxesUnderAPixelAreToldOnce) {
  make_directories(folder_ / "set");
  preview({});  // only for a picture to use
  fs::copy_file(folder_ / "preview1/batch0.jpg", folder_ / "set/a.jpg");
  write_file(folder_ / "set/train.txt", "a.jpg 10,10,10.5,90,0 10,10,90,90,1\n");
  write_file(folder_ / "set/names.txt", "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
  Words words = train("tiny");
  words[2] = path("set/train.txt");
  const Ran ran = run(words + Words{"--names", path("set/names.txt")});
  if (ran.err.find("built without LibTorch") != std::string::npos) GTEST_SKIP() << "no trainer in this build";
  ASSERT_EQ(ran.code, 0) << ran.err;
  const std::string told = "train: 1 of 2 boxes are under 1 px wide or high at 64x64 and left out of training";
  const size_t at = ran.err.find(told);
  ASSERT_NE(at, std::string::npos) << ran.err;
  EXPECT_EQ(ran.err.find("boxes are under", at + told.size()), std::string::npos);
}

}  // namespace
}  // namespace yolov3
