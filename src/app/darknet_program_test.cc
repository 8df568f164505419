// Darknet's own program on models that other people trained, beside `yolov3 detect`: the same boxes where both see the
// same pixels, and what makes the difference where they do not. Skipped, loudly, without the package or the models.
#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <cstdio>

#include "app/test_darknet.h"
#include "app/test_folder.h"
#include "app/test_real_models.h"
#include "image/save.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;
using test::BoxesOfPictures;
using test::BoxShare;
using test::RealModel;

constexpr float kDarknetsLowScore = 0.005f, kDarknetsNms = 0.45f;

DetectOptions darknets_options() {
  DetectOptions options;
  options.decode = {.score_threshold = kDarknetsLowScore, .multi_label = true};
  options.nms = {.iou_threshold = kDarknetsNms, .max_detections = 0};
  return options;
}

// ---- Darknet's own way from a picture into the network and back, after its image.c and yolo_layer.c

struct Planes {
  int width = 0, height = 0;
  std::vector<float> values;  // 3,H,W
  float& at(int c, int y, int x) { return values[static_cast<size_t>((c * height + y) * width + x)]; }
  Planes(int w, int h, float fill) : width(w), height(h), values(static_cast<size_t>(3 * w * h), fill) {}
};

// The corners of both pictures lie on each other, where ours, OpenCV's and others' put their edges on each other. The last
// row lacks the lower of its two source rows: where rounding leaves it a share of 0.9999 the row is black.
Planes resized_by_darknet(const Image& image, int width, int height) {
  Planes out(width, height, 0);
  const float scale_x = static_cast<float>(image.width - 1) / static_cast<float>(width - 1),
              scale_y = static_cast<float>(image.height - 1) / static_cast<float>(height - 1);
  const auto pixel = [&](int c, int y, int x) {
    const size_t at = static_cast<size_t>((std::min(y, image.height - 1) * image.width) + std::min(x, image.width - 1));
    return static_cast<float>(image.rgb[3 * at + static_cast<size_t>(c)]) / 255;
  };
  for (int y = 0; y < height; ++y) {
    const float sy = static_cast<float>(y) * scale_y, dy = sy - std::floor(sy);  // rounded as Darknet rounds
    for (int x = 0; x < width; ++x) {
      const float sx = static_cast<float>(x) * scale_x, dx = sx - std::floor(sx);
      const int x0 = static_cast<int>(sx), y0 = static_cast<int>(sy);
      for (int c = 0; c < 3; ++c) {
        const float upper = (1 - dx) * pixel(c, y0, x0) + dx * pixel(c, y0, x0 + 1),
                    lower = (1 - dx) * pixel(c, y0 + 1, x0) + dx * pixel(c, y0 + 1, x0 + 1);
        out.at(c, y, x) = (1 - dy) * upper + (y + 1 < height ? dy * lower : 0);
      }
    }
  }
  return out;
}

// Sides are cut to whole pixels, and the grey is 0.5 (ours is 128/255).
struct DarknetsFrame {
  int net_width, net_height, width, height;
  DarknetsFrame(const Image& image, const LayerShape& net)
      : net_width(static_cast<int>(net.width)), net_height(static_cast<int>(net.height)) {
    const bool wide = int64_t{net_width} * image.height < int64_t{net_height} * image.width;
    width = wide ? net_width : image.width * net_height / image.height;
    height = wide ? image.height * net_width / image.width : net_height;
  }
  Tensor input(const Image& image) const {
    Planes boxed(net_width, net_height, 0.5f), inner = resized_by_darknet(image, width, height);
    const int left = (net_width - width) / 2, top = (net_height - height) / 2;
    for (int c = 0; c < 3; ++c) {
      for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) boxed.at(c, top + y, left + x) = inner.at(c, y, x);
      }
    }
    Tensor images({1, 3, net_height, net_width});
    std::ranges::copy(boxed.values, images.data());
    return images;
  }
  Box in_image(const Box& box_net, const Image& image) const {
    const float left = static_cast<float>(net_width - width) / 2, top = static_cast<float>(net_height - height) / 2;
    const float x = static_cast<float>(image.width) / static_cast<float>(width),
                y = static_cast<float>(image.height) / static_cast<float>(height);
    return {(box_net.x0 - left) * x, (box_net.y0 - top) * y, (box_net.x1 - left) * x, (box_net.y1 - top) * y};
  }
};

// ---- ours

Detector make_detector(const NetworkSpec& spec, const Weights& weights) {
  EngineOptions options;
  options.kind = "dnnl";
  options.threads = 1;
  return Detector(spec, make_engine(options, spec, std::make_shared<const Weights>(weights)), darknets_options());
}

BoxesOfPictures detected(Detector& detector, const std::vector<fs::path>& pictures) {
  BoxesOfPictures boxes;
  for (const fs::path& picture : pictures) boxes[picture.stem()] = detector.detect(load_image(picture));
  test::count_pixels_from_one(pictures, boxes);
  return boxes;
}

// Our network, decode and NMS on the pixels that Darknet makes.
BoxesOfPictures detected_in_darknets_frame(Detector& detector, const std::vector<fs::path>& pictures) {
  BoxesOfPictures boxes;
  for (const fs::path& picture : pictures) {
    const Image image = load_image(picture).image;
    const DarknetsFrame frame(image, detector.spec().input);
    const std::vector<Tensor> raw = detector.engine().forward(frame.input(image));
    std::vector<Detection> candidates = decode(views_of(raw), 0, detector.heads(), darknets_options().decode);
    for (Detection& d : candidates) d.box = frame.in_image(d.box, image);
    boxes[picture.stem()] = non_maximum_suppression(candidates, darknets_options().nms);
    for (Detection& d : boxes[picture.stem()]) {
      d.box = clip(d.box, static_cast<float>(image.width), static_cast<float>(image.height));
    }
  }
  test::count_pixels_from_one(pictures, boxes);
  return boxes;
}

struct Both {
  BoxShare there, back;
};
Both compared(const char* what, const RealModel& model, BoxesOfPictures& theirs, BoxesOfPictures& ours,
              const test::BoxTolerance& tolerance = {}) {
  Both both;
  std::vector<std::string> missing;
  for (auto& [picture, boxes] : theirs) {
    const size_t before = missing.size();
    test::add_share(boxes, ours[picture], tolerance, both.there, &missing);
    test::add_share(ours[picture], boxes, tolerance, both.back, &missing);
    for (size_t i = before; i < missing.size(); ++i) missing[i] = picture + ", " + missing[i];
  }
  std::printf("%-28s %-44s %3d of %3d of Darknet's boxes, %3d of %3d of ours; least IoU %.4f, scores within %.4f\n",
              model.stem, what, both.there.found, both.there.all, both.back.found, both.back.all,
              std::min(both.there.worst_iou, both.back.worst_iou),
              std::max(both.there.worst_score, both.back.worst_score));
  constexpr size_t kShown = 4;
  for (size_t i = 0; i < std::min(missing.size(), kShown); ++i) std::printf("  not found: %s\n", missing[i].c_str());
  return both;
}

class DarknetProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    omp_set_num_threads(1);
    if (!test::have_darknet() || !test::have_real_models()) {
      GTEST_SKIP() << "NO PROGRAM darknet (Debian's package of this name) OR NO REAL MODELS in "
                   << test::shared_folder() << ": nothing is compared with Darknet";
    }
  }
  void TearDown() override {
    omp_set_num_threads(threads_);
    fs::remove_all(folder_);
  }

  // The model as a program of 2018 understands it, which knows no scale_x_y.
  static Model loaded(const RealModel& model) {
    Model own = test::load(model).model;
    for (Layer& layer : own.spec.layers) {
      if (auto* yolo = std::get_if<Yolo>(&layer.op)) yolo->scale_xy = 1;
    }
    return own;
  }
  BoxesOfPictures darknets(const RealModel& model, const NetworkSpec& spec, const std::vector<fs::path>& pictures) {
    return test::boxes_by_darknet(test::file_of(model, ".cfg"), test::file_of(model, ".weights"), class_count(spec),
                                  pictures, folder_ / model.stem);
  }
  // Pictures of the network's size: nobody resizes them.
  std::vector<fs::path> pictures_of_size(const LayerShape& net, size_t count) const {
    const std::string name = fmt::format("{}x{}", net.width, net.height);
    make_directories(folder_ / name);
    std::vector<fs::path> made;
    for (const fs::path& picture : test::coco_pictures(count)) {
      const LoadedImage image = load_image(picture);
      const Letterbox box =
          make_stretch(image.full_width, image.full_height, static_cast<int>(net.width), static_cast<int>(net.height));
      made.push_back(folder_ / name / (picture.stem().string() + ".png"));
      save_image(made.back(), apply_letterbox(image.image, box));
    }
    return made;
  }

  const fs::path folder_ = make_test_folder("darknet");
  const int threads_ = omp_get_max_threads();
};

// The same pixels and the same normalisation: what is left is rounding.
TEST_F(DarknetProgram, SlowFindsTheSameBoxesInTheSamePixels) {
  for (const RealModel& model : test::kRealModels) {
    const Model own = loaded(model);
    const std::vector<fs::path> pictures = pictures_of_size(own.spec.input, 16);
    BoxesOfPictures theirs = darknets(model, own.spec, pictures);
    Detector detector = make_detector(own.spec, test::as_darknet_normalises(own.spec, own.weights));
    BoxesOfPictures ours = detected(detector, pictures);
    const Both both =
        compared("same pixels, Darknet's normalisation", model, theirs, ours, {.iou = 0.99f, .score = 1e-3f});
    EXPECT_GT(both.there.all, 10) << model.stem;
    EXPECT_EQ(both.there.found, both.there.all) << model.stem;
    EXPECT_EQ(both.back.found, both.back.all) << model.stem;
  }
}

// All of COCO128 as it is. As a user runs both, boxes differ by what the two do to a picture; with Darknet's resizing and
// its normalisation on a CPU they are the same, so that nothing else differs.
TEST_F(DarknetProgram, SlowDiffersByResizingAndNormalisationAlone) {
  const std::vector<fs::path> pictures = test::coco_pictures(128);
  for (const RealModel& model : test::kRealModels) {
    const Model own = loaded(model);
    BoxesOfPictures theirs = darknets(model, own.spec, pictures);
    Detector as_is = make_detector(own.spec, own.weights);
    Detector normalised = make_detector(own.spec, test::as_darknet_normalises(own.spec, own.weights));
    BoxesOfPictures plain = detected(as_is, pictures), other = detected(normalised, pictures),
                    same = detected_in_darknets_frame(normalised, pictures);
    const Both user = compared("as a user runs both", model, theirs, plain);
    compared("with Darknet's normalisation", model, theirs, other);
    compared("with Darknet's resizing too", model, theirs, same);
    const Both loose =
        compared("as a user runs both, IoU > 0.75, score +-0.2", model, theirs, plain, {.iou = 0.75f, .score = 0.2f});
    const Both exact =
        compared("with both, IoU > 0.99, score +-0.001", model, theirs, same, {.iou = 0.99f, .score = 1e-3f});
    EXPECT_GT(user.there.all, 10) << model.stem;
    if (own.spec.input.width >=
        320) {  // shrunk to 56 pixels without smoothing, a picture is another by every half pixel
      EXPECT_GE(loose.there.share(), 0.85) << model.stem;
      EXPECT_GE(loose.back.share(), 0.85) << model.stem;
    }
    EXPECT_GE(exact.there.share(), 0.99) << model.stem;
    EXPECT_GE(exact.back.share(), 0.99) << model.stem;
  }
}

}  // namespace
}  // namespace yolov3
