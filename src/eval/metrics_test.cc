#include "eval/metrics.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/rng.h"
#include "eval/coco_json.h"

namespace yolov3 {
namespace {

using Json = nlohmann::json;

const std::string kGolden = YOLOV3_SOURCE_DIR "/golden/";

// pycocotools says -1 where we say nothing.
void expect_figure(const std::optional<double>& got, const Json& want, const std::string& name) {
  EXPECT_NEAR(got.value_or(-1), want.get<double>(), 1e-9) << name;
}

void expect_pycocotools(const std::string& stem) {
  CocoTruth truth = read_coco_truth(kGolden + stem + ".gt.json");
  read_coco_results(kGolden + stem + ".dets.json", truth);
  Evaluator evaluator(static_cast<int>(truth.names.size()));
  for (const CocoImage& image : truth.images) evaluator.add(image.truth, image.detections);
  const Metrics metrics = evaluator.compute();

  const Json want = Json::parse(read_file(kGolden + stem + ".metrics.json"));
  const CocoFigures& c = metrics.coco;
  const std::map<std::string, std::optional<double>> figures = {
      {"AP", c.ap},         {"AP50", c.ap50},    {"AP75", c.ap75},     {"APs", c.ap_small},
      {"APm", c.ap_medium}, {"APl", c.ap_large}, {"AR1", c.ar1},       {"AR10", c.ar10},
      {"AR100", c.ar100},   {"ARs", c.ar_small}, {"ARm", c.ar_medium}, {"ARl", c.ar_large}};
  for (const auto& [name, value] : figures) expect_figure(value, want.at(name), name);
  EXPECT_EQ(want.at("categories").size(), truth.names.size());
  for (size_t k = 0; k < truth.names.size(); ++k) {
    const std::string id = std::to_string(truth.category_ids[k]);
    expect_figure(metrics.classes[k].ap, want.at("categories").at(id).at("AP"), "AP of category " + id);
    expect_figure(metrics.classes[k].ap50, want.at("categories").at(id).at("AP50"), "AP50 of category " + id);
  }
}

TEST(CocoMetrics, RealEqualsPycocotools) { expect_pycocotools("coco/real"); }
TEST(CocoMetrics, NastyEqualsPycocotools) { expect_pycocotools("coco/nasty"); }

TEST(VocMetrics, EqualTheReference) {
  const Json golden = Json::parse(read_file(kGolden + "voc.json"));
  const std::vector<std::string> classes = golden.at("classes");
  std::map<int, std::pair<std::vector<TruthBox>, std::vector<ScoredBox>>> pictures;
  const auto box = [](const Json& b) -> ExactBox {
    const auto v = b.get<std::vector<double>>();
    return {v[0], v[1], v[2] - v[0], v[3] - v[1]};
  };
  for (const Json& t : golden.at("truth")) {
    const ExactBox b = box(t.at("box"));
    pictures[t.at("image")].first.push_back({b, t.at("cls"), t.at("difficult"), false, b.area()});
  }
  for (const Json& d : golden.at("detections")) {
    pictures[d.at("image")].second.push_back({box(d.at("box")), d.at("cls"), d.at("score")});
  }
  Evaluator evaluator(static_cast<int>(classes.size()));
  for (const auto& [id, picture] : pictures) evaluator.add(picture.first, picture.second);
  const Metrics metrics = evaluator.compute();
  double area = 0, points = 0;
  int with_truth = 0;
  for (size_t k = 0; k < classes.size(); ++k) {
    const Json& want = golden.at("results").at(classes[k]);
    const ClassMetrics& got = metrics.classes[k];
    ASSERT_EQ(got.voc_area.has_value(), !want.is_null()) << classes[k];
    if (want.is_null()) continue;
    EXPECT_NEAR(*got.voc_area, want.at("AP50_area").get<double>(), 1e-9) << classes[k];
    EXPECT_NEAR(*got.voc_11point, want.at("AP50_11point").get<double>(), 1e-9) << classes[k];
    area += want.at("AP50_area").get<double>();
    points += want.at("AP50_11point").get<double>();
    ++with_truth;
  }
  EXPECT_NEAR(metrics.voc_area.value(), area / with_truth, 1e-9);
  EXPECT_NEAR(metrics.voc_11point.value(), points / with_truth, 1e-9);
}

Annotation object(Box box, int class_id = 0) { return {box, class_id, false, false, box.area()}; }

TEST(Evaluator, PerfectDetectionsHaveAllOnes) {
  Evaluator evaluator(3);
  evaluator.add({object({0, 0, 10, 10}, 0), object({50, 50, 250, 250}, 2)},
                {{{0, 0, 10, 10}, 0, 0.9f}, {{50, 50, 250, 250}, 2, 0.4f}});
  evaluator.add({}, {});
  const Metrics m = evaluator.compute();
  EXPECT_EQ(m.images, 2);
  EXPECT_EQ(m.objects, 2);
  EXPECT_EQ(m.detections, 2);
  EXPECT_NEAR(m.coco.ap.value(), 1, 1e-12);
  EXPECT_NEAR(m.coco.ap_small.value(), 1, 1e-12);
  EXPECT_NEAR(m.coco.ap_large.value(), 1, 1e-12);
  EXPECT_FALSE(m.coco.ap_medium.has_value());
  EXPECT_NEAR(m.coco.ar1.value(), 1, 1e-12);
  EXPECT_NEAR(m.voc_area.value(), 1, 1e-12);
  EXPECT_FALSE(m.classes[1].ap.has_value());
  EXPECT_FALSE(m.classes[1].voc_area.has_value());
  EXPECT_NEAR(m.classes[2].threshold, 0.4, 1e-6);
  EXPECT_EQ(m.precision, 1);
  EXPECT_EQ(m.recall, 1);
}

// Right 0.9, wrong 0.8, right 0.7, wrong 0.6; four objects. Best F1 at 0.7: 2*2/(3+4).
// VOC: precisions 1 and 2/3 at recalls 1/4 and 2/4: area (1+2/3)/4; 11 points: 0,.1,.2 -> 1; .3,.4,.5 -> 2/3.
TEST(Evaluator, CurveByHand) {
  Evaluator evaluator(1);
  const Box a{0, 0, 10, 10}, b{20, 0, 30, 10}, c{40, 0, 50, 10}, d{60, 0, 70, 10};
  evaluator.add({object(a), object(b), object(c), object(d)},
                {{{60, 60, 70, 70}, 0, 0.6f}, {b, 0, 0.7f}, {{0, 60, 9, 70}, 0, 0.8f}, {a, 0, 0.9f}});
  const ClassMetrics m = evaluator.compute().classes[0];
  EXPECT_EQ(m.objects, 4);
  EXPECT_EQ(m.images, 1);
  EXPECT_NEAR(m.f1, 4.0 / 7, 1e-12);
  EXPECT_NEAR(m.precision, 2.0 / 3, 1e-12);
  EXPECT_NEAR(m.recall, 0.5, 1e-12);
  EXPECT_NEAR(m.threshold, 0.7, 1e-6);
  EXPECT_NEAR(*m.voc_area, (1 + 2.0 / 3) / 4, 1e-12);
  EXPECT_NEAR(*m.voc_11point, (3 + 3 * 2.0 / 3) / 11, 1e-12);
  EXPECT_NEAR(*m.ap50, (26 + 25 * 2.0 / 3) / 101, 1e-12);  // points 0..25, then 26..50
}

// A threshold between two detections of one score does not exist.
TEST(Evaluator, EqualScoresStandOrFallTogether) {
  Evaluator evaluator(1);
  evaluator.add({object({0, 0, 10, 10})}, {{{0, 0, 10, 10}, 0, 0.5f}, {{50, 50, 60, 60}, 0, 0.5f}});
  const ClassMetrics m = evaluator.compute().classes[0];
  EXPECT_NEAR(m.precision, 0.5, 1e-12);
  EXPECT_NEAR(m.f1, 2.0 / 3, 1e-12);
}

TEST(Evaluator, ASecondDetectionOfAnObjectIsWrong) {
  Evaluator evaluator(1);
  evaluator.add({object({0, 0, 10, 10}), object({40, 0, 50, 10})},
                {{{0, 0, 10, 10}, 0, 0.9f}, {{0, 0, 10, 9}, 0, 0.8f}, {{40, 0, 50, 10}, 0, 0.7f}});
  const ClassMetrics m = evaluator.compute().classes[0];
  EXPECT_NEAR(*m.voc_area, (1 + 2.0 / 3) / 2, 1e-12);
}

// Difficult objects and crowd regions: found or not, once or often, nothing changes.
TEST(Evaluator, DifficultAndCrowdAreNeitherRewardedNorPunished) {
  Annotation difficult = object({100, 100, 120, 120}), crowd = object({200, 200, 300, 300});
  difficult.difficult = true;
  crowd.crowd = true;
  Evaluator evaluator(1);
  evaluator.add({difficult, object({0, 0, 10, 10}), crowd}, {{{0, 0, 10, 10}, 0, 0.5f},
                                                             {{100, 100, 120, 120}, 0, 0.9f},
                                                             {{100, 100, 120, 119}, 0, 0.8f},
                                                             {{210, 210, 220, 220}, 0, 0.7f},
                                                             {{250, 250, 260, 260}, 0, 0.6f}});
  const Metrics m = evaluator.compute();
  EXPECT_EQ(m.objects, 1);
  EXPECT_NEAR(m.coco.ap.value(), 1, 1e-12);
  EXPECT_NEAR(m.voc_area.value(), 1, 1e-12);
  EXPECT_EQ(m.classes[0].precision, 1);
}

TEST(Evaluator, NothingFoundIsZeroAndNoTruthIsNothing) {
  Evaluator found_nothing(2);
  found_nothing.add({object({0, 0, 10, 10}, 1)}, {});
  EXPECT_EQ(found_nothing.compute().coco.ap, 0.0);
  EXPECT_EQ(found_nothing.compute().voc_area, 0.0);
  Evaluator no_truth(2);
  no_truth.add({}, {{{0, 0, 10, 10}, 1, 0.5f}});
  EXPECT_FALSE(no_truth.compute().coco.ap.has_value());
  EXPECT_FALSE(no_truth.compute().voc_area.has_value());
  EXPECT_FALSE(Evaluator(1).compute().coco.ar100.has_value());
}

TEST(Evaluator, RefusesWhatCannotBeJudged) {
  Evaluator evaluator(2);
  EXPECT_THROW(evaluator.add({object({0, 0, 1, 1}, 2)}, {}), Error);
  EXPECT_THROW(evaluator.add({object({0, 0, 1, 1}, -1)}, {}), Error);
  EXPECT_THROW(evaluator.add({}, {{{0, 0, NAN, 1}, 0, 0.5f}}), Error);
  EXPECT_THROW(evaluator.add({}, {{{0, 0, 1, 1}, 0, NAN}}), Error);
  EXPECT_THROW(Evaluator(0), Error);
}

// The size of COCO's validation set, 100 detections a picture.
TEST(Evaluator, FiveThousandPicturesInSeconds) {
  Rng rng(5);
  Evaluator evaluator(80);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 5000; ++i) {
    std::vector<Annotation> truth;
    std::vector<Detection> detections;
    for (int n = 0; n < 100; ++n) {
      const auto x = static_cast<float>(rng.uniform(0, 400)), y = static_cast<float>(rng.uniform(0, 400));
      const auto side = static_cast<float>(rng.uniform(5, 200));
      const int class_id = static_cast<int>(rng.integer(0, 79));
      if (n < 8) truth.push_back(object({x, y, x + side, y + side}, class_id));
      detections.push_back({{x + 1, y, x + side, y + side}, class_id, static_cast<float>(rng.uniform())});
    }
    evaluator.add(truth, detections);
  }
  const Metrics metrics = evaluator.compute();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(metrics.objects, 40000);
  EXPECT_LT(seconds.count(), 15.0);  // under 1 s in Release; sanitizers and busy machines included
  RecordProperty("seconds", std::to_string(seconds.count()));
}

}  // namespace
}  // namespace yolov3
