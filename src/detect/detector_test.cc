#include "detect/detector.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "detect/golden_test.h"

namespace yolov3 {
namespace {

float logit(double probability) { return static_cast<float>(std::log(probability / (1 - probability))); }

// Decoded predictions back to raw maps: each row a head of one cell of 1024 pixels with an anchor of one pixel;
// scale_xy = 2 lets the centre lie up to half a cell outside.
struct RawPredictions {
  explicit RawPredictions(const GoldenArray& predictions) {
    const int64_t columns = predictions.shape[1];
    for (int64_t i = 0; i < predictions.rows(); ++i) {
      const double* row = predictions.row(i);
      heads.push_back({static_cast<int>(i), static_cast<int>(columns - 5), {{1, 1}}, 2.0f, 1, 1, 1024, 1024});
      Tensor map({1, columns, 1, 1});
      map[0] = logit((row[0] / 1024 + 0.5) / 2);
      map[1] = logit((row[1] / 1024 + 0.5) / 2);
      map[2] = static_cast<float>(std::log(row[2]));
      map[3] = static_cast<float>(std::log(row[3]));
      for (int64_t c = 4; c < columns; ++c) map[c] = logit(row[c]);
      maps.push_back(std::move(map));
    }
  }
  std::vector<Head> heads;
  std::vector<Tensor> maps;
};

TEST(PostProcessor, EqualsTheReference) {
  for (int k = 0; k < 3; ++k) {
    SCOPED_TRACE(k);
    const std::string group = "post/" + std::to_string(k);
    const auto number = [&](const char* name) { return golden_number(group, name); };
    const int width = static_cast<int>(number("width")), height = static_cast<int>(number("height"));
    const int size = static_cast<int>(number("input_size"));
    DetectOptions options;
    options.decode.score_threshold = static_cast<float>(number("score_threshold"));
    options.nms.iou_threshold = static_cast<float>(number("iou_threshold"));
    options.clip_first = true;  // the notes' order
    const RawPredictions raw(golden_array(group + "/pred"));

    PostProcessor post(raw.heads, options);
    std::vector<Detection> got =
        post.run(views_of(raw.maps), 0, make_letterbox(width, height, size, size), width, height);
    EXPECT_TRUE(std::is_sorted(got.begin(), got.end(), [](auto& a, auto& b) { return a.score > b.score; }));
    std::stable_sort(got.begin(), got.end(), [](auto& a, auto& b) { return a.class_id < b.class_id; });

    const GoldenArray want = golden_array(group + "/out");
    ASSERT_EQ(static_cast<int64_t>(got.size()), want.rows());
    // sigmoid near 0.5 is known to 2^-24 and comes times 2048 pixels of the net, on both sides of the inversion.
    const double tolerance = 4 * 2048 * std::ldexp(1.0, -24) * std::max(1.0, std::max(width, height) / double(size));
    for (int64_t i = 0; i < want.rows(); ++i) {
      const double* row = want.row(i);
      const Detection& found = got[static_cast<size_t>(i)];
      EXPECT_NEAR(found.box.x0, row[0], tolerance);
      EXPECT_NEAR(found.box.y0, row[1], tolerance);
      EXPECT_NEAR(found.box.x1, row[2], tolerance);
      EXPECT_NEAR(found.box.y1, row[3], tolerance);
      EXPECT_NEAR(found.score, row[4], 1e-6);
      EXPECT_EQ(found.class_id, static_cast<int>(row[5]));
    }
  }
}

// A box of 200 x 100 that reaches 100 beyond the left border, and one of 100 x 80 inside it: IoU 0.4, clipped 0.8.
TEST(PostProcessor, NmsSeesBoxesBeforeOrAfterTheyAreClipped) {
  const Letterbox letterbox = make_stretch(300, 300, 300, 300);
  const std::vector<Detection> candidates_net = {{{-100, 0, 100, 100}, 0, 0.9f}, {{0, 0, 100, 80}, 0, 0.8f}};
  DetectOptions options{.nms = {.iou_threshold = 0.5f}};
  EXPECT_EQ(PostProcessor({}, options).run(candidates_net, letterbox, 300, 300),
            (std::vector<Detection>{{{0, 0, 100, 100}, 0, 0.9f}, {{0, 0, 100, 80}, 0, 0.8f}}));
  options.clip_first = true;
  EXPECT_EQ(PostProcessor({}, options).run(candidates_net, letterbox, 300, 300),
            (std::vector<Detection>{{{0, 0, 100, 100}, 0, 0.9f}}));
}

TEST(PostProcessor, ClipsMapsBackAndLeavesOutWhatIsEmpty) {
  const Letterbox letterbox = make_letterbox(200, 100, 100, 100);  // scale 0.5, 25 rows of pad above
  const std::vector<Detection> candidates_net = {
      {{10, 30, 20, 45}, 0, 0.5f}, {{-5, 0, 20, 60}, 1, 0.9f}, {{10, 0, 20, 20}, 2, 0.8f}, {{NAN, 0, 20, 60}, 3, 1}};
  PostProcessor post({}, {});
  EXPECT_EQ(post.run(candidates_net, letterbox, 200, 100),
            (std::vector<Detection>{{{0, 0, 40, 70}, 1, 0.9f}, {{20, 10, 40, 40}, 0, 0.5f}}));
}

// One 1x1 convolution and a head over 2x2 cells of 32 pixels.
NetworkSpec tiny_spec() {
  NetworkSpec spec;
  spec.input = {3, 64, 64};
  Conv conv;
  conv.filters = 6;
  conv.size = conv.stride = 32;
  Yolo yolo;
  yolo.anchors = {{16, 16}};
  yolo.mask = {0};
  yolo.classes = 1;
  spec.layers = {{{kNetworkInput}, conv, {6, 2, 2}}, {{0}, yolo, {6, 2, 2}}};
  return spec;
}

// Finds an object in each cell whose middle pixel is white: the image's content decides, as in a real network.
class WhiteFinder : public Engine {
 public:
  std::vector<Tensor> forward(const Tensor& images) override {
    ++calls;
    Tensor map({images.dim(0), 6, 2, 2});
    for (int64_t n = 0; n < images.dim(0); ++n)
      for (int64_t y = 0; y < 2; ++y)
        for (int64_t x = 0; x < 2; ++x) {
          const bool white = images.at(n, 1, y * 32 + 16, x * 32 + 16) > 0.9f;
          map.at(n, 4, y, x) = map.at(n, 5, y, x) = white ? 20.0f : -20.0f;
        }
    std::vector<Tensor> maps;
    maps.push_back(std::move(map));
    return maps;
  }
  std::unique_ptr<Engine> share() const override { return std::make_unique<WhiteFinder>(); }
  std::string name() const override { return "white finder"; }
  int calls = 0;
};

LoadedImage picture(int width, int height, uint8_t value) { return {Image(width, height, value), width, height}; }

TEST(Detector, FromPicturesToBoxesInTheirPixels) {
  auto engine = std::make_unique<WhiteFinder>();
  const WhiteFinder* counter = engine.get();
  Detector detector(tiny_spec(), std::move(engine), {});
  // 128x64: scale 0.5, the picture is rows 16..48 of the net: cells' middles at rows 16 and 48 are white, then grey.
  const auto found = detector.detect({picture(128, 64, 255), picture(64, 64, 0)});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(counter->calls, 1);
  EXPECT_TRUE(found[1].empty());
  ASSERT_EQ(found[0].size(), 2u);
  // Cell (0,0): centre 16,16 net = 32,0 image, 32 wide; the upper half is outside.
  EXPECT_NEAR(found[0][0].box.x0, 16, 1e-4f);
  EXPECT_NEAR(found[0][0].box.y0, 0, 1e-4f);
  EXPECT_NEAR(found[0][0].box.x1, 48, 1e-4f);
  EXPECT_NEAR(found[0][0].box.y1, 16, 1e-4f);
  EXPECT_NEAR(found[0][0].score, 1, 1e-6f);
  EXPECT_EQ(detector.detect(picture(128, 64, 255)), found[0]);
  EXPECT_TRUE(detector.detect(std::vector<LoadedImage>{}).empty());
}

TEST(Detector, StretchedPictures) {
  DetectOptions options;
  options.letterbox = false;
  Detector detector(tiny_spec(), std::make_unique<WhiteFinder>(), options);
  const auto found = detector.detect(picture(128, 64, 255));
  ASSERT_EQ(found.size(), 4u);
  for (const Detection& d : found) {
    EXPECT_NEAR(d.box.width(), 32, 1e-4f);
    EXPECT_NEAR(d.box.height(), 16, 1e-4f);
  }
}

// The picture may have been decoded smaller than the file: boxes are in the file's pixels.
TEST(Detector, ReducedDecodesGiveBoxesOfTheFullPicture) {
  Detector detector(tiny_spec(), std::make_unique<WhiteFinder>(), {});
  EXPECT_EQ(detector.detect({Image(128, 128, 255), 1024, 1024}), detector.detect(picture(1024, 1024, 255)));
}

// Batches of other sizes, and pictures with other pads, over the memory of those before.
TEST(Detector, WhatItKeepsBetweenCallsIsNotSeen) {
  Detector detector(tiny_spec(), std::make_unique<WhiteFinder>(), {});
  const std::vector<LoadedImage> pictures = {picture(128, 64, 255), picture(64, 64, 255), picture(64, 128, 0),
                                             picture(10, 200, 255)};
  const std::vector<size_t> objects = {2, 4, 0, 0};  // cells whose middle is in the picture; 10 x 200 is 3 pixels wide
  std::vector<std::vector<Detection>> found;
  for (const size_t first : {0u, 2u, 1u, 3u}) {
    detector.detect_into(std::span(pictures).subspan(first), found);
    ASSERT_EQ(found.size(), pictures.size() - first);
    for (size_t i = first; i < pictures.size(); ++i)
      EXPECT_EQ(found[i - first].size(), objects[i]) << first << " " << i;
  }
  EXPECT_EQ(detector.times().pictures, 4 + 2 + 3 + 1);
  EXPECT_GT(detector.times().letterbox, 0);
  EXPECT_GT(detector.times().network, 0);
  EXPECT_GT(detector.times().boxes, 0);
  detector.reset_times();
  EXPECT_EQ(detector.times().pictures, 0);
}

TEST(Detector, ABadPictureOfABatchIsAnError) {
  Detector detector(tiny_spec(), std::make_unique<WhiteFinder>(), {});
  EXPECT_THROW(detector.detect({picture(64, 64, 255), {Image(), 64, 64}, picture(64, 64, 0)}), Error);
  EXPECT_EQ(detector.detect(picture(64, 64, 255)).size(), 4u) << "it goes on afterwards";
}

TEST(Detector, SharedOnesFindTheSame) {
  DetectOptions options;
  options.letterbox = false;
  Detector detector(tiny_spec(), std::make_unique<WhiteFinder>(), options);
  Detector other = detector.share();
  EXPECT_NE(&other.engine(), &detector.engine());
  EXPECT_EQ(other.detect(picture(128, 64, 255)), detector.detect(picture(128, 64, 255)));
  EXPECT_EQ(other.detect(picture(128, 64, 255)).size(), 4u);
}

TEST(Detector, NeedsAnEngine) { EXPECT_THROW(Detector(tiny_spec(), nullptr, {}), Error); }

}  // namespace
}  // namespace yolov3
