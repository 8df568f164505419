// What a resume goes on from, and what it leaves alone.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "format/model_file.h"
#include "train/checkpoint.h"
#include "train/test_run.h"
#include "train/trainer.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

using Resume = TrainingRunTest;

TEST_F(Resume, ACheckpointCutShortIsPutAsideAndTheOneBeforeGoesOn) {
  TrainOptions o = options("exp", 3);
  const TrainResult want = train(options("whole", 3), "");
  train(o, "", [](int64_t batches) {
    if (batches == 7) std::raise(SIGTERM);
  });
  clear_interrupt();
  const fs::path weights = o.project / "exp/weights";
  fs::resize_file(weights / "last.h5", fs::file_size(weights / "last.h5") - 100);
  const std::string before = read_file(weights / "last.prev.h5");
  o.resume = true;
  const TrainResult got = train(o, "");
  EXPECT_EQ(read_file(weights / "last.prev.h5"), before)
      << "one checkpoint was saved, and this is still the one before";
  expect_same(at_end(got), at_end(want));
  EXPECT_TRUE(fs::exists(weights / "last.damaged.h5"));
  EXPECT_EQ(rows(got.run_directory).size(), 3u);
}

// Killed between writing the new checkpoint and putting it in its place, with the last one damaged.
TEST_F(Resume, ACheckpointThatHadNoTimeToMoveIsFound) {
  TrainOptions o = options("exp", 2);
  train(o, "");
  const fs::path weights = o.project / "exp/weights";
  fs::copy_file(weights / "last.h5", weights / "next.h5");
  fs::resize_file(weights / "last.h5", 1000);
  EXPECT_EQ(load_checkpoint(weights)->path, weights / "next.h5");
  fs::resize_file(weights / "next.h5", 1000);
  EXPECT_EQ(load_checkpoint(weights)->path, weights / "last.prev.h5");
  fs::resize_file(weights / "last.prev.h5", 0);
  EXPECT_THROW(load_checkpoint(weights), Error);
}

// What cannot be read now is not damaged: no older one is taken, nothing is renamed.
TEST_F(Resume, ACheckpointThatMayNotBeReadIsLeftAlone) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
  TrainOptions o = options("exp", 2);
  const int64_t step = at_end(train(o, "")).position.step;
  const fs::path weights = o.project / "exp/weights";
  o.epochs = 3;
  o.resume = true;
  fs::permissions(folder_, fs::perms::all);
  for (const fs::path& folder : {o.project, o.project / "exp", weights}) fs::permissions(folder, fs::perms::all);
  fs::permissions(weights / "last.h5", fs::perms::owner_read);
  ASSERT_EQ(::seteuid(65534), 0);
  const std::string message = error_of([&] { train(o, ""); });
  ASSERT_EQ(::seteuid(0), 0);
  EXPECT_NE(message.find("last.h5: cannot open: Permission denied"), std::string::npos) << message;
  EXPECT_FALSE(fs::exists(weights / "last.damaged.h5"));
  EXPECT_EQ(load_checkpoint(weights)->position.step, step);
  // Whole, but somebody's model without a state.
  save_model(weights / "last.h5", load_model(weights / "best.h5"));
  EXPECT_NE(error_of([&] { train(o, ""); }).find("last.h5"), std::string::npos);
  EXPECT_FALSE(fs::exists(weights / "last.damaged.h5"));
}

TEST_F(Resume, OtherNamesAreNamedAndOtherDataIsTold) {
  TrainOptions o = options("exp", 1);
  train(o, "");
  o.resume = true;
  o.epochs = 2;
  o.data.names = folder_ / "names.txt";
  write_file(o.data.names, "0\n2\n1\n3\n4\n5\n6\n7\n8\n9\n");
  const std::string message = error_of([&] { train(o, ""); });
  EXPECT_NE(message.find("its class 1 is \"1\", which is \"2\" with --data synthetic:10 --names"), std::string::npos)
      << message;
  o.data.names.clear();
  o.data.data = "synthetic:12";
  ::testing::internal::CaptureStderr();
  train(o, "");
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(told.find("it was trained on --data synthetic:10; its best mAP50 of"), std::string::npos) << told;
}

// "To save disk space": beginning anew would have written over the rest.
TEST_F(Resume, ARunWhoseCheckpointsWereTakenAwayIsNotBegunAnew) {
  TrainOptions o = options("exp", 2);
  const fs::path run = train(o, "").run_directory;
  for (const char* name : {"last.h5", "last.prev.h5"}) fs::remove(run / "weights" / name);
  const std::string best = read_file(run / "weights/best.h5"), results = read_file(run / "results.csv");
  o.resume = true;
  const std::string message = error_of([&] { train(o, ""); });
  for (const char* words : {"2 epochs are on record", "results.csv", "no checkpoint", "best.h5"}) {
    EXPECT_NE(message.find(words), std::string::npos) << message;
  }
  EXPECT_EQ(read_file(run / "weights/best.h5"), best);
  EXPECT_EQ(read_file(run / "results.csv"), results);
}

TEST_F(Resume, TwoProcessesDoNotTrainOneRun) {
  TrainOptions o = options("exp", 1);
  std::string message;
  train(o, "", [&](int64_t batches) {
    TrainOptions second = o;
    second.resume = true;
    if (batches == 2) message = error_of([&] { train(second, ""); });
  });
  EXPECT_NE(message.find("another process"), std::string::npos) << message;
  EXPECT_NE(message.find((o.project / "exp").string()), std::string::npos) << message;
}

}  // namespace
}  // namespace yolov3
