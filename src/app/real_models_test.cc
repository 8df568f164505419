// Detectors that other people trained, against OpenCV's DNN module: raw maps of this OpenCV, and the boxes that OpenCV
// 4.6 found on COCO128 (../shared/weights/README.md). Skipped, loudly, where the shared folder is not there.
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <opencv2/dnn.hpp>
#include <opencv2/imgcodecs.hpp>
#include <sstream>

#include "app/test_real_models.h"
#include "base/files.h"
#include "detect/detector.h"
#include "engine/checked_engine.h"
#include "engine/plan.h"
#include "format/load_model.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

using test::coco_pictures;
using test::file_of;
using test::kRealModels;
using test::load;
using test::RealModel;

constexpr float kLowScore = 0.005f, kNmsIou = 0.45f;
constexpr size_t kFewPictures = 12;

using Boxes = std::map<std::string, std::vector<Detection>>;  // by picture

// ---- OpenCV's side

cv::Mat blob_of(const fs::path& picture, const NetworkSpec& spec) {
  const cv::Size size(static_cast<int>(spec.input.width), static_cast<int>(spec.input.height));
  return cv::dnn::blobFromImage(cv::imread(picture.string()), 1 / 255.0, size, cv::Scalar(), true, false);
}

// The inputs of the heads, which its importer calls conv_LAYER.
std::vector<cv::Mat> raw_maps_by_opencv(cv::dnn::Net& net, const NetworkSpec& spec, const cv::Mat& blob) {
  std::vector<cv::String> names;
  for (const Head& head : heads(spec)) names.push_back("conv_" + std::to_string(head.layer - 1));
  std::vector<cv::Mat> maps;
  net.setInput(blob);
  net.forward(maps, names);
  for (cv::Mat& map : maps) map = map.clone();
  return maps;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// Boxes in the picture's pixels, unclipped, before NMS: the papers' formulas in double.
std::vector<Detection> decoded(const cv::Mat& map, const Head& head, const NetworkSpec& spec, double width,
                               double height) {
  std::vector<Detection> boxes;
  const int64_t grid_h = head.grid_height, grid_w = head.grid_width, channels = 5 + head.classes;
  for (size_t a = 0; a < head.anchors.size(); ++a) {
    for (int64_t gy = 0; gy < grid_h; ++gy) {
      for (int64_t gx = 0; gx < grid_w; ++gx) {
        const auto at = [&](int64_t c) {
          return double{map.ptr<float>()[((static_cast<int64_t>(a) * channels + c) * grid_h + gy) * grid_w + gx]};
        };
        const double s = head.scale_xy, x = (gx + sigmoid(at(0)) * s - (s - 1) / 2) / grid_w * width,
                     y = (gy + sigmoid(at(1)) * s - (s - 1) / 2) / grid_h * height,
                     w = std::exp(at(2)) * head.anchors[a].width / spec.input.width * width,
                     h = std::exp(at(3)) * head.anchors[a].height / spec.input.height * height;
        for (int k = 0; k < head.classes; ++k) {
          const double score = sigmoid(at(4)) * sigmoid(at(5 + k));
          if (score < kLowScore) continue;
          boxes.push_back({{float(x - w / 2), float(y - h / 2), float(x + w / 2), float(y + h / 2)}, k, float(score)});
        }
      }
    }
  }
  return boxes;
}

std::vector<Detection> suppressed(std::vector<Detection> boxes) {
  std::ranges::stable_sort(boxes, std::greater{}, &Detection::score);
  std::vector<Detection> kept;
  for (const Detection& box : boxes) {
    const bool covered = std::ranges::any_of(kept, [&](const Detection& better) {
      return better.class_id == box.class_id && iou(better.box, box.box) > kNmsIou;
    });
    if (!covered) kept.push_back(box);
  }
  return kept;
}

Boxes boxes_by_opencv(const RealModel& model, const NetworkSpec& spec, const std::vector<fs::path>& pictures) {
  cv::dnn::Net net = cv::dnn::readNetFromDarknet(file_of(model, ".cfg"), file_of(model, ".weights"));
  Boxes boxes;
  for (const fs::path& picture : pictures) {
    const std::vector<cv::Mat> maps = raw_maps_by_opencv(net, spec, blob_of(picture, spec));
    const LoadedImage image = load_image(picture);
    std::vector<Detection> all;
    for (size_t h = 0; h < maps.size(); ++h) {
      const auto some = decoded(maps[h], heads(spec)[h], spec, image.full_width, image.full_height);
      all.insert(all.end(), some.begin(), some.end());
    }
    boxes[picture.filename()] = suppressed(std::move(all));
  }
  return boxes;
}

// Lines "image class score x1 y1 x2 y2".
Boxes boxes_of_reference(const std::string& name) {
  const fs::path file = test::shared_folder() / "weights/opencv-reference" / (name + ".coco128.txt.gz");
  FILE* pipe = ::popen(("gzip -dc '" + file.string() + "'").c_str(), "r");
  std::string text;
  char chunk[4096];
  while (const size_t got = pipe != nullptr ? std::fread(chunk, 1, sizeof chunk, pipe) : 0) text.append(chunk, got);
  EXPECT_TRUE(pipe != nullptr && ::pclose(pipe) == 0) << file;
  Boxes boxes;
  std::istringstream lines(text);
  std::string image;
  for (Detection d; lines >> image >> d.class_id >> d.score >> d.box.x0 >> d.box.y0 >> d.box.x1 >> d.box.y1;) {
    boxes[image].push_back(d);
  }
  return boxes;
}

// ---- ours

// As `detect --letterbox false --multi-label --conf 0.005 --exact-decode` runs: YoloFace's input of 56 x 56 would have
// JPEGs decoded at reduced size, the others' 320 x 320 does not.
Boxes boxes_of_ours(const Model& model, const std::string& engine, const std::vector<fs::path>& pictures) {
  EngineOptions options;
  options.kind = engine;
  options.threads = 1;
  DetectOptions detect;
  detect.decode = {.score_threshold = kLowScore, .multi_label = true};
  detect.letterbox = false;
  Detector detector(model.spec, make_engine(options, model.spec, std::make_shared<const Weights>(model.weights)),
                    detect);
  Boxes boxes;
  for (const fs::path& picture : pictures) boxes[picture.filename()] = detector.detect(load_image(picture));
  return boxes;
}

void clip_all(Boxes& boxes, const std::vector<fs::path>& pictures) {
  for (const fs::path& picture : pictures) {
    const LoadedImage image = load_image(picture);
    for (Detection& d : boxes[picture.filename()]) {
      d.box = clip(d.box, static_cast<float>(image.full_width), static_cast<float>(image.full_height));
    }
  }
}

// As the issue asks: boxes over 0.25, IoU > 0.95 and score within 0.01.
test::BoxShare share_found(Boxes& a, Boxes& b, const std::vector<fs::path>& pictures) {
  test::BoxShare share;
  std::vector<std::string> missing;
  for (const fs::path& picture : pictures) {
    const size_t before = missing.size();
    test::add_share(a[picture.filename()], b[picture.filename()], {}, share, &missing);
    for (size_t i = before; i < missing.size(); ++i) missing[i] = picture.filename().string() + ", " + missing[i];
  }
  for (const std::string& one : missing) std::printf("  not found: %s\n", one.c_str());
  return share;
}

class RealModels : public ::testing::Test {
 protected:
  // Small networks on a machine that does other things too: one thread waits for nobody.
  void SetUp() override {
    omp_set_num_threads(1);
    cv::setNumThreads(1);
    if (!test::have_real_models()) {
      GTEST_SKIP() << "NO REAL MODELS OR PICTURES in " << test::shared_folder() << ": nothing is compared with OpenCV";
    }
  }
  void TearDown() override {
    omp_set_num_threads(threads_);
    cv::setNumThreads(-1);
  }
  void expect_equal_boxes(const RealModel& model, const std::vector<std::string>& engines, size_t most) {
    const LoadedModel loaded = load(model);
    const std::vector<fs::path> pictures = coco_pictures(most);
    Boxes reference = model.reference != nullptr ? boxes_of_reference(model.reference)
                                                 : boxes_by_opencv(model, loaded.model.spec, pictures);
    clip_all(reference, pictures);
    for (const std::string& engine : engines) {
      Boxes ours = boxes_of_ours(loaded.model, engine, pictures);
      const test::BoxShare there = share_found(reference, ours, pictures),
                           back = share_found(ours, reference, pictures);
      std::printf(
          "%-28s %-9s %3zu pictures: %3d of %3d of OpenCV's boxes, %3d of %3d of ours; least IoU %.4f, scores "
          "within %.4f\n",
          model.stem, engine.c_str(), pictures.size(), there.found, there.all, back.found, back.all,
          std::min(there.worst_iou, back.worst_iou), std::max(there.worst_score, back.worst_score));
      EXPECT_GE(there.share(), 0.99) << model.stem << " " << engine;
      EXPECT_GE(back.share(), 0.99) << model.stem << " " << engine;
      EXPECT_GT(there.all, most >= 128 ? 10 : 0) << model.stem;
    }
  }
  const int threads_ = omp_get_max_threads();
};

// The same input, OpenCV's batch norm epsilon of 1e-6: what is left is rounding.
TEST_F(RealModels, RawMapsEqualOpenCVs) {
  for (const RealModel& model : kRealModels) {
    LoadedModel loaded = load(model);
    NetworkSpec& spec = loaded.model.spec;
    spec.bn_epsilon = 1e-6f;
    const auto engine =
        make_engine({.kind = "dnnl", .threads = 1}, spec, std::make_shared<const Weights>(loaded.model.weights));
    cv::dnn::Net net = cv::dnn::readNetFromDarknet(file_of(model, ".cfg"), file_of(model, ".weights"));
    for (const fs::path& picture : coco_pictures(2)) {
      const cv::Mat blob = blob_of(picture, spec);
      Tensor images({1, 3, spec.input.height, spec.input.width});
      std::copy_n(blob.ptr<float>(), images.size(), images.data());
      const std::vector<Tensor> ours = engine->forward(images);
      const std::vector<cv::Mat> theirs = raw_maps_by_opencv(net, spec, blob);
      ASSERT_EQ(ours.size(), theirs.size());
      for (size_t h = 0; h < ours.size(); ++h) {
        double difference = 0, norm = 0;
        ASSERT_EQ(static_cast<size_t>(ours[h].size()), theirs[h].total());
        for (int64_t i = 0; i < ours[h].size(); ++i) {
          const double wanted = theirs[h].ptr<float>()[i];
          difference += (ours[h][i] - wanted) * (ours[h][i] - wanted);
          norm += wanted * wanted;
        }
        const double distance = std::sqrt(difference / norm);
        EXPECT_LE(distance, precision_tolerance("f32", conv_layers(spec).size())) << model.stem << " head " << h;
      }
    }
  }
}

// The stretched pictures have OpenCV's bytes.
TEST_F(RealModels, InputsEqualOpenCVs) {
  const NetworkSpec spec = load(kRealModels[0]).model.spec;
  for (const fs::path& picture : coco_pictures(8)) {
    const LoadedImage image = load_image(picture);
    const Image input = apply_letterbox(image.image, make_stretch(image.full_width, image.full_height, 320, 320));
    std::vector<float> planes(3 * 320 * 320);
    planes_from_image(input, planes.data());
    const cv::Mat blob = blob_of(picture, spec);
    float worst = 0;
    for (size_t i = 0; i < planes.size(); ++i) worst = std::max(worst, std::abs(planes[i] - blob.ptr<float>()[i]));
    EXPECT_LE(worst, 1e-6f) << picture;  // 1/255 times a byte, rounded here and there
  }
}

TEST_F(RealModels, TheReferenceEngineFindsOpenCvsBoxes) {
  for (const RealModel& model : kRealModels) expect_equal_boxes(model, {"reference"}, kFewPictures);
}

TEST_F(RealModels, SlowEveryEngineFindsOpenCvsBoxesOnAllOfCoco128) {
  std::vector<std::string> engines;
  const std::vector<std::string> built = available_engines();
  for (const char* engine : {"dnnl", "torch", "reference"}) {
    if (std::ranges::find(built, engine) != built.end()) {
      engines.emplace_back(engine);
    } else {
      std::printf("THIS BUILD HAS NO ENGINE %s: not compared\n", engine);
    }
  }
  for (const RealModel& model : kRealModels) expect_equal_boxes(model, engines, 128);
}

}  // namespace
}  // namespace yolov3
