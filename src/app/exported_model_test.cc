// A model that `yolov3 train` made, exported, finds in other people's programs the boxes that `yolov3 detect` finds here:
// OpenCV's DNN module reads Darknet's files and ONNX, ONNX Runtime reads ONNX, Darknet's own program its files.
#include <gtest/gtest.h>
#include <omp.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <opencv2/dnn.hpp>
#include <opencv2/imgcodecs.hpp>

#include "app/test_darknet.h"
#include "app/test_folder.h"
#include "app/test_onnx_runtime.h"
#include "app/test_program.h"
#include "app/test_real_models.h"
#include "base/interrupt.h"
#include "data/synthetic.h"
#include "detect/nms.h"
#include "image/onnx_runner.h"
#include "image/save.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;
using test::BoxesOfPictures;

constexpr int kSide = 96, kPictures = 24, kClasses = 10;
// Boxes over 0.25 are judged; a lower threshold keeps one side's 0.2501 from missing the other's 0.2499.
constexpr float kLowScore = 0.2f, kNms = 0.45f;
const Words kThresholds = {"--conf", "0.2", "--iou", "0.45", "--multi-label"};

// Candidates in the picture's pixels; NMS as everybody does it, then clipped.
std::vector<Detection> kept(const std::vector<Detection>& candidates, const cv::Mat& picture) {
  std::vector<Detection> found = non_maximum_suppression(candidates, {.iou_threshold = kNms, .max_detections = 0});
  for (Detection& d : found) {
    d.box = clip(d.box, static_cast<float>(picture.cols), static_cast<float>(picture.rows));
  }
  return found;
}

cv::Mat blob_of(const cv::Mat& picture) {
  return cv::dnn::blobFromImage(picture, 1 / 255.0, cv::Size(kSide, kSide), cv::Scalar(), true, false);
}

Tensor tensor_of(const cv::Mat& blob) {
  Tensor images({1, 3, kSide, kSide});
  std::copy_n(blob.ptr<float>(), images.size(), images.data());
  return images;
}

Box scaled(const Box& box_net, const cv::Mat& picture) {
  const float x = static_cast<float>(picture.cols) / kSide, y = static_cast<float>(picture.rows) / kSide;
  return {box_net.x0 * x, box_net.y0 * y, box_net.x1 * x, box_net.y1 * y};
}

// Of the outputs of --head boxes: 1,M,4 and 1,M,K.
std::vector<Detection> candidates_of(const Tensor& boxes, const Tensor& scores, const cv::Mat& picture) {
  std::vector<Detection> all;
  for (int64_t row = 0; row < boxes.dim(1); ++row) {
    const float* b = boxes.data() + 4 * row;
    for (int k = 0; k < kClasses; ++k) {
      const float score = scores[row * kClasses + k];
      if (score > kLowScore) all.push_back({scaled({b[0], b[1], b[2], b[3]}, picture), k, score});
    }
  }
  return all;
}

class ExportedModelSlow : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    clear_interrupt();
    folder_ = make_test_folder("exported");
    const Ran trained =
        run({"train",      "--data", "synthetic:240", "--model",   "yolov3-tiny", "--imgsz",   std::to_string(kSide),
             "--epochs",   "24",     "--batch",       "8",         "--precision", "f32",       "--project",
             path("runs"), "--name", "exp",           "--workers", "1",           "--threads", "1"});
    ASSERT_EQ(trained.code, 0) << trained.err;
    weights_ = path("runs/exp/weights/last.h5");
    for (const char* name : {"m.weights", "boxes.onnx", "nms.onnx"}) {
      Words words = {"export", "--weights", weights_, "--out", path(name)};
      if (name == std::string("boxes.onnx")) words = joined(words, {"--head", "boxes"});
      if (name == std::string("nms.onnx")) words = joined(joined(words, {"--head", "nms"}), kThresholds);
      const Ran ran = run(words);
      ASSERT_EQ(ran.code, 0) << ran.err;
    }
    for (const char* set : {"any", "same"}) make_directories(folder_ / set);
    for (const Example& example : synthetic_dataset(0, "test", kPictures).examples) {
      const Image picture = load_example(example).image;
      const std::string name = fmt::format("p{:02}.png", list_files(folder_ / "any").size());
      save_image(folder_ / "any" / name, picture);
      save_image(folder_ / "same" / name,
                 apply_letterbox(picture, make_stretch(picture.width, picture.height, kSide, kSide)));
    }
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }
  static std::string path(const std::string& name) { return (folder_ / name).string(); }

  // What `yolov3 detect` prints.
  static BoxesOfPictures ours(const std::string& pictures, const Words& more) {
    const Ran ran = run(joined(joined({"detect", "--weights", weights_, "--source", path(pictures), "--out", "-",
                                       "--format", "json", "--precision", "f32", "--max-det", "0"},
                                      kThresholds),
                               more));
    EXPECT_EQ(ran.code, 0) << ran.err;
    BoxesOfPictures boxes;
    std::istringstream lines(ran.out);
    for (std::string line; std::getline(lines, line);) {
      const auto json = nlohmann::json::parse(line);
      std::vector<Detection>& found = boxes[fs::path(json["source"].get<std::string>()).stem()];
      for (const auto& d : json["detections"]) {
        const auto box = d["box"].get<std::vector<float>>();
        found.push_back({{box[0], box[1], box[2], box[3]}, d["class_id"].get<int>(), d["score"].get<float>()});
      }
    }
    return boxes;
  }

  // Another program's, picture by picture.
  template <class Detect>
  static BoxesOfPictures theirs(const std::string& pictures, Detect detect) {
    BoxesOfPictures boxes;
    for (const fs::path& file : list_files(folder_ / pictures)) {
      const cv::Mat picture = cv::imread(file.string());
      boxes[file.stem()] = kept(detect(picture), picture);
    }
    return boxes;
  }

  static void expect_same(const std::string& who, BoxesOfPictures found, BoxesOfPictures wanted) {
    test::BoxShare there, back;
    std::vector<std::string> missing;
    ASSERT_EQ(found.size(), size_t{kPictures});
    ASSERT_EQ(wanted.size(), size_t{kPictures});
    for (const auto& [picture, boxes] : wanted) {
      test::add_share(boxes, found[picture], {}, there, &missing);
      test::add_share(found[picture], boxes, {}, back, &missing);
    }
    std::printf("%-28s %3d of %3d of our boxes, %3d of %3d of theirs; least IoU %.5f, scores within %.5f\n",
                who.c_str(), there.found, there.all, back.found, back.all, std::min(there.worst_iou, back.worst_iou),
                std::max(there.worst_score, back.worst_score));
    for (const std::string& one : missing) std::printf("  not found: %s\n", one.c_str());
    EXPECT_GE(there.all, kPictures) << "the model finds too little for a comparison";
    EXPECT_EQ(there.found, there.all) << who;
    EXPECT_EQ(back.found, back.all) << who;
  }

  static inline fs::path folder_;
  static inline std::string weights_;
};

TEST_F(ExportedModelSlow, OpenCvReadsItsDarknetFiles) {
  cv::dnn::Net net = cv::dnn::readNetFromDarknet(path("m.cfg"), path("m.weights"));
  const BoxesOfPictures found = theirs("any", [&](const cv::Mat& picture) {
    net.setInput(blob_of(picture));
    std::vector<cv::Mat> heads;
    net.forward(heads, net.getUnconnectedOutLayersNames());
    std::vector<Detection> all;
    for (const cv::Mat& rows : heads) {  // a box a row: centre and size as shares of the picture, objectness, scores
      for (int r = 0; r < rows.rows; ++r) {
        const float* row = rows.ptr<float>(r);
        const auto w = static_cast<float>(picture.cols), h = static_cast<float>(picture.rows);
        for (int k = 0; k < kClasses; ++k) {
          if (row[5 + k] <= kLowScore) continue;
          all.push_back({box_from_center(row[0] * w, row[1] * h, row[2] * w, row[3] * h), k, row[5 + k]});
        }
      }
    }
    return all;
  });
  expect_same("OpenCV, Darknet's files", found, ours("any", {"--letterbox", "false"}));
}

TEST_F(ExportedModelSlow, OpenCvReadsItsOnnx) {
  const std::string file = read_file(path("boxes.onnx"));
  const BoxesOfPictures found = theirs("any", [&](const cv::Mat& picture) {
    const std::vector<Tensor> out = run_onnx_in_opencv(file, tensor_of(blob_of(picture)), {"boxes", "scores"});
    return candidates_of(out[0], out[1], picture);
  });
  expect_same("OpenCV, ONNX boxes", found, ours("any", {"--letterbox", "false"}));
}

TEST_F(ExportedModelSlow, OnnxRuntimeReadsItsOnnx) {
  const test::OnnxRuntime runtime(folder_);
  if (!runtime.is_there()) GTEST_SKIP() << test::OnnxRuntime::absence();
  const std::string boxes = read_file(path("boxes.onnx")), nms = read_file(path("nms.onnx"));
  const BoxesOfPictures wanted = ours("any", {"--letterbox", "false"});
  expect_same("ONNX Runtime, ONNX boxes",
              theirs("any",
                     [&](const cv::Mat& picture) {
                       const auto out = runtime.maps(boxes, tensor_of(blob_of(picture)), {"boxes", "scores"});
                       return candidates_of(out[0], out[1], picture);
                     }),
              wanted);
  expect_same("ONNX Runtime, ONNX nms",
              theirs("any",
                     [&](const cv::Mat& picture) {
                       std::vector<Detection> all;
                       const auto out = runtime.run(nms, tensor_of(blob_of(picture)));
                       for (const auto& one : test::detections_of_nms(out)) {
                         all.push_back(one.detection);
                         all.back().box = scaled(one.detection.box, picture);
                       }
                       return all;
                     }),
              wanted);
}

// Darknet resizes in its own way (app/darknet_program_test.cc), so it gets pictures of the network's size.
TEST_F(ExportedModelSlow, DarknetsProgramReadsItsFiles) {
  if (!test::have_darknet()) GTEST_SKIP() << "NO PROGRAM darknet (Debian's package of this name)";
  const std::vector<fs::path> pictures = list_files(folder_ / "same");
  BoxesOfPictures wanted = ours("same", {});
  test::count_pixels_from_one(pictures, wanted);
  const BoxesOfPictures found =
      test::boxes_by_darknet(path("m.cfg"), path("m.weights"), kClasses, pictures, folder_ / "darknet");
  expect_same("Darknet's program", found, wanted);
}

}  // namespace
}  // namespace yolov3
