#include "train/overfit.h"

#include <gtest/gtest.h>

#include <csignal>

#include "base/files.h"
#include "base/text.h"
#include "format/model_file.h"
#include "train/test_run.h"
#include "train/trainer.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

class OverfitTraining : public TrainingRunTest {
 protected:
  // As `yolov3 train --overfit 4` chooses, for a network of seven small layers.
  TrainOptions overfit_options(int epochs) const {
    TrainOptions o = options("exp");
    o.overfit = 4;
    o.data.data = "synthetic:12";
    o = overfit_defaults(o);
    o.epochs = epochs;
    o.lr0 = 1e-2;
    return o;
  }

  // A data set of one picture a list of boxes, all of class 0, as the trainer would have it.
  static RunData run_data(const std::vector<std::vector<Box>>& pictures) {
    RunData data;
    data.train.names = {"thing"};
    for (const auto& boxes : pictures) {
      Example example;
      example.image = "p" + std::to_string(data.train.examples.size()) + ".png";
      example.origin = "list.txt";
      example.width = example.height = 64;
      for (const Box& box : boxes) example.objects.push_back({.box = box, .area = box.area()});
      data.train.examples.push_back(example);
    }
    return data;
  }

  static Validation validated(double map50, double blind) {
    Validation validation;
    validation.class_blind_map50 = blind;
    validation.metrics.classes = {{.objects = 4, .ap50 = map50}};
    return validation;
  }

  // What a run of such losses and figures would be told.
  std::string verdict(const RunData& data, const std::vector<double>& losses, double map50, double blind,
                      TrainOptions o) const {
    OverfitTest test(data, spec_, o);
    for (size_t i = 0; i < losses.size(); ++i) {
      test.add({.epoch = static_cast<int>(i), .seconds = 60, .box_loss = losses[i], .map50 = map50, .validated = true},
               validated(map50, blind));
    }
    return test.verdict();
  }
};

TEST_F(OverfitTraining, TheFirstPicturesWithObjectsAreChosen) {
  RunData data = run_data({{}, {{0, 0, 9, 9}}, {}, {{1, 1, 9, 9}}, {{2, 2, 9, 9}}, {{3, 3, 9, 9}}});
  data.train.examples[3].objects[0].crowd = true;
  TrainOptions o = options("exp");
  o.overfit = 2;
  o.batch = 2;
  reduce_to_overfit(data, o);
  ASSERT_EQ(data.val.examples.size(), 2u);
  EXPECT_EQ(data.val.examples[0].image, "p1.png");
  EXPECT_EQ(data.val.examples[1].image, "p4.png");
  ASSERT_EQ(data.train.examples.size(), 20u);  // ten batches of two
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(data.train.examples[i].image, data.val.examples[i % 2].image);
  EXPECT_EQ(data.val.names, data.train.names);
}

TEST_F(OverfitTraining, WithoutObjectsItSaysWhy) {
  TrainOptions o = options("exp");
  o.overfit = 2;
  const auto error = [&](RunData data) -> std::string {
    try {
      reduce_to_overfit(data, o);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_NE(error(run_data({{}, {}})).find("labels missing"), std::string::npos);
  RunData crowds = run_data({{{0, 0, 9, 9}}});
  crowds.train.examples[0].objects[0].crowd = true;
  EXPECT_NE(error(crowds).find("crowd regions, which training ignores"), std::string::npos);
}

TEST_F(OverfitTraining, EndsWhenThePicturesAreKnownByHeart) {
  const TrainOptions o = overfit_options(200);
  const TrainResult result = train(o, "");
  EXPECT_TRUE(result.overfit_passed) << result.overfit_verdict;
  EXPECT_FALSE(result.interrupted);
  EXPECT_LT(result.epochs_done, 200) << "it did not end when it was there";
  EXPECT_GT(result.best_map50, kOverfitMap50);
  EXPECT_TRUE(result.overfit_verdict.starts_with("overfit: passed: mAP50 0.9") ||
              result.overfit_verdict.starts_with("overfit: passed: mAP50 1.0"))
      << result.overfit_verdict;
  EXPECT_TRUE(fs::exists(result.run_directory / "weights/best.h5"));
  // The time was always 0:00, which is right under half a second only.
  const std::string csv = read_file(result.run_directory / "results.csv");
  const double seconds = parse_number(split(csv.substr(csv.rfind('\n', csv.size() - 2)), ',').at(1)).value_or(0);
  EXPECT_EQ(result.overfit_verdict.ends_with("epochs, 0:00"), seconds < 0.5) << result.overfit_verdict << csv;
  TrainOptions again = o;
  again.resume = true;
  const TrainResult over = train(again, "", [](int64_t) { FAIL() << "it is over"; });
  EXPECT_TRUE(over.overfit_passed);
}

TEST_F(OverfitTraining, ALearningRateThatIsTooSmallIsBlamed) {
  TrainOptions o = overfit_options(3);
  o.lr0 = 1e-7;
  o.lr_end = 0;
  const TrainResult result = train(o, "");
  EXPECT_FALSE(result.overfit_passed);
  EXPECT_EQ(result.epochs_done, 3);
  EXPECT_TRUE(result.overfit_verdict.starts_with("overfit: FAILED")) << result.overfit_verdict;
  EXPECT_NE(result.overfit_verdict.find("--lr0 1e-07 is too small"), std::string::npos) << result.overfit_verdict;
}

TEST_F(OverfitTraining, EachCauseIsNamed) {
  const TrainOptions o = overfit_options(20);
  const std::vector<double> falling{9, 1, 0.1};
  const auto says = [&](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  const auto one = [&](const std::vector<Box>& boxes) {
    RunData data = run_data({boxes});
    reduce_to_overfit(data, o);
    return data;
  };
  const Box good{20, 20, 40, 44};  // like the second anchor
  says(verdict(one({good, {5, 5, 5.5f, 30}}), falling, 0.5, 0.5, o), "1 of 2 boxes are under 1 px at 64x64");
  says(verdict(one({good, {0, 30, 64, 33}}), falling, 0.5, 0.5, o), "1 of 2 boxes overlap no anchor");
  says(verdict(one({good, {21, 21, 41, 45}}), falling, 0.5, 0.5, o), "1 of 2 boxes overlap another of their class");
  says(verdict(one({good, {21, 21, 41, 45}}), falling, 0.5, 0.5, o), "share their cell and anchor with a later box");
  says(verdict(one({good}), falling, 0.5, 0.99, o), "the boxes are found");
  says(verdict(one({good}), falling, 0.5, 0.6, o), "weakest classes: thing (AP50 0.50, 4 objects)");
  says(verdict(one({good}), {9, 1, 5}, 0.5, 0.5, o), "the loss rose from 1.000 at epoch 2 to 5.000: a smaller --lr0");
  says(verdict(one({good}), {9, 8, 7}, 0.5, 0.5, o), "the loss fell only from 9.000 to 7.000");
  says(verdict(one({good}), {9, 8, 7, 6, 5, 4, 3, 2, 1.5, 1}, 0.5, 0.5, o), "the loss was still falling");
  RunData defects = one({good});
  defects.train_defects = {{"box outside image", 3}};
  says(verdict(defects, falling, 0.5, 0.5, o), "defects (3 times box outside image)");
  const std::string clean = verdict(one({good}), falling, 0.96, 0.96, o);
  EXPECT_TRUE(clean.starts_with("overfit: passed: mAP50 0.9600 on 1 pictures with 1 objects after 3 of 20 epochs"))
      << clean;
}

// Stopped and resumed it ends as it would have.
TEST_F(OverfitTraining, ResumesLikeAnyRun) {
  TrainOptions whole = overfit_options(2), stopped = overfit_options(2);
  whole.name = "whole";
  stopped.name = "stopped";
  train(whole, "");
  train(stopped, "", [](int64_t batches) {
    if (batches == 13) std::raise(SIGTERM);  // in the second epoch
  });
  clear_interrupt();
  stopped.resume = true;
  const TrainResult result = train(stopped, "");
  EXPECT_FALSE(result.interrupted);
  EXPECT_EQ(result.overfit_verdict.find("1 epochs are few"), std::string::npos)
      << "the first epoch counts: " << result.overfit_verdict;
  EXPECT_EQ(load_model(result.run_directory / "weights/last.h5").weights,
            load_model(whole.project / "whole/weights/last.h5").weights);
}

}  // namespace
}  // namespace yolov3
