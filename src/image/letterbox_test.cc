#include "image/letterbox.h"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <cmath>
#include <opencv2/imgproc.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "image/test_pictures.h"

namespace yolov3 {
namespace {

double attribute(hid_t group, const char* name) {
  double value = NAN;
  const hid_t id = H5Aopen(group, name, H5P_DEFAULT);
  EXPECT_GE(id, 0) << name;
  EXPECT_GE(H5Aread(id, H5T_NATIVE_DOUBLE, &value), 0);
  H5Aclose(id);
  return value;
}

std::vector<double> dataset(hid_t group, const char* name) {
  const hid_t id = H5Dopen2(group, name, H5P_DEFAULT), space = H5Dget_space(id);
  std::vector<double> values(static_cast<size_t>(H5Sget_simple_extent_npoints(space)));
  EXPECT_GE(H5Dread(id, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
  H5Sclose(space);
  H5Dclose(id);
  return values;
}

TEST(Letterbox, Golden) {
  const hid_t file = H5Fopen(YOLOV3_SOURCE_DIR "/golden/yolov3.h5", H5F_ACC_RDONLY, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  int cases = 0;
  for (; H5Lexists(file, ("letterbox/" + std::to_string(cases)).c_str(), H5P_DEFAULT) > 0; ++cases) {
    SCOPED_TRACE(cases);
    const hid_t group = H5Gopen2(file, ("letterbox/" + std::to_string(cases)).c_str(), H5P_DEFAULT);
    const int width = static_cast<int>(attribute(group, "width")),
              height = static_cast<int>(attribute(group, "height"));
    const int side = static_cast<int>(attribute(group, "input_size"));
    const Letterbox box = make_letterbox(width, height, side, side);
    EXPECT_DOUBLE_EQ(box.scale_x, attribute(group, "scale"));
    EXPECT_DOUBLE_EQ(box.scale_y, attribute(group, "scale"));
    EXPECT_EQ(box.pad_x, attribute(group, "pad_x"));
    EXPECT_EQ(box.pad_y, attribute(group, "pad_y"));
    const auto in = dataset(group, "boxes_in"), out = dataset(group, "boxes_out");
    ASSERT_EQ(in.size(), out.size());
    for (size_t i = 0; i + 4 < in.size(); i += 5) {
      const Box got = net_from_image(box, {float(in[i]), float(in[i + 1]), float(in[i + 2]), float(in[i + 3])});
      EXPECT_NEAR(got.x0, out[i], 1e-4);
      EXPECT_NEAR(got.y0, out[i + 1], 1e-4);
      EXPECT_NEAR(got.x1, out[i + 2], 1e-4);
      EXPECT_NEAR(got.y1, out[i + 3], 1e-4);
    }
    H5Gclose(group);
  }
  H5Fclose(file);
  EXPECT_EQ(cases, 4);
}

TEST(Letterbox, HalfRoundsToEven) {
  // 832 x 401 into 416: scale 1/2, 401/2 = 200.5 -> 200; 403/2 = 201.5 -> 202.
  EXPECT_EQ(make_letterbox(832, 401, 416, 416).resized_height, 200);
  EXPECT_EQ(make_letterbox(832, 401, 416, 416).pad_y, 108);
  EXPECT_EQ(make_letterbox(832, 403, 416, 416).resized_height, 202);
  EXPECT_EQ(make_letterbox(65000, 1, 416, 416).resized_height, 1);  // never nothing
  EXPECT_THROW(make_letterbox(0, 5, 416, 416), Error);
  EXPECT_THROW(make_stretch(5, 5, -1, 416), Error);
}

TEST(Letterbox, ThereAndBack) {
  Rng rng(5);
  for (int i = 0; i < 1000; ++i) {
    const int w = static_cast<int>(rng.integer(1, 4000)), h = static_cast<int>(rng.integer(1, 4000));
    const int nw = static_cast<int>(rng.integer(1, 30)) * 32, nh = static_cast<int>(rng.integer(1, 30)) * 32;
    const Letterbox box = i % 2 ? make_letterbox(w, h, nw, nh) : make_stretch(w, h, nw, nh);
    const Box a{float(rng.uniform(0, w)), float(rng.uniform(0, h)), float(rng.uniform(0, w)), float(rng.uniform(0, h))};
    const Box b = image_from_net(box, net_from_image(box, a));
    // float keeps 24 bits of the network coordinate, which the inverse magnifies.
    const double tolerance = 1e-4 + 6e-8 * std::max(nw, nh) / std::min(box.scale_x, box.scale_y);
    EXPECT_NEAR(a.x0, b.x0, tolerance);
    EXPECT_NEAR(a.y0, b.y0, tolerance);
    EXPECT_NEAR(a.x1, b.x1, tolerance);
    EXPECT_NEAR(a.y1, b.y1, tolerance);
  }
}

TEST(Letterbox, BilinearByOpenCV) {
  const int sizes[][4] = {{640, 480, 416, 416}, {37, 91, 416, 320},   {500, 333, 96, 64},
                          {416, 416, 416, 416}, {1, 1, 32, 32},       {3, 2, 64, 64},
                          {832, 832, 416, 416}, {1921, 77, 608, 352}, {5, 900, 320, 320}};
  for (const auto& s : sizes) {
    SCOPED_TRACE(testing::PrintToString(s));
    Rng rng(2);
    Image image(s[0], s[1]);
    for (auto& v : image.rgb) v = static_cast<uint8_t>(rng.next());
    const Letterbox box = make_letterbox(s[0], s[1], s[2], s[3]);
    const Image got = apply_letterbox(image, box);
    cv::Mat want(s[3], s[2], CV_8UC3, cv::Scalar(128, 128, 128));
    cv::resize(cv::Mat(s[1], s[0], CV_8UC3, image.rgb.data()),
               want(cv::Rect(box.pad_x, box.pad_y, box.resized_width, box.resized_height)),
               {box.resized_width, box.resized_height}, 0, 0, cv::INTER_LINEAR);
    int worst = 0;
    for (size_t i = 0; i < got.rgb.size(); ++i) worst = std::max(worst, std::abs(got.rgb[i] - want.data[i]));
    EXPECT_EQ(worst, 0);
  }
}

TEST(Letterbox, RectangleStaysUnderItsBox) {
  Image image(1333, 800, 0);
  const Box box_image{200, 300, 500, 640};
  for (int y = 300; y < 640; ++y)
    for (int x = 200; x < 500; ++x) image.pixel(x, y)[0] = 255;
  const Letterbox letterbox = make_letterbox(1333, 800, 416, 416);
  const Image net = apply_letterbox(image, letterbox);
  float x0 = 1e9f, y0 = 1e9f, x1 = 0, y1 = 0;
  for (int y = letterbox.pad_y; y < letterbox.pad_y + letterbox.resized_height; ++y) {
    for (int x = 0; x < 416; ++x) {
      if (net.pixel(x, y)[0] < 128) continue;
      x0 = std::min(x0, float(x)), y0 = std::min(y0, float(y)), x1 = std::max(x1, float(x + 1)),
      y1 = std::max(y1, float(y + 1));
    }
  }
  const Box box_net = net_from_image(letterbox, box_image);
  EXPECT_NEAR(x0, box_net.x0, 1);
  EXPECT_NEAR(y0, box_net.y0, 1);
  EXPECT_NEAR(x1, box_net.x1, 1);
  EXPECT_NEAR(y1, box_net.y1, 1);
}

TEST(Letterbox, ReducedDecodeFillsTheSameWindow) {
  const Letterbox box = make_letterbox(1600, 1200, 416, 416);
  const Image whole = apply_letterbox(test::smooth_picture(1600, 1200), box);
  Image reduced_source(800, 600);
  const Image full = test::smooth_picture(1600, 1200);
  for (int y = 0; y < 600; ++y)
    for (int x = 0; x < 800; ++x)
      for (int c = 0; c < 3; ++c) reduced_source.pixel(x, y)[c] = full.pixel(2 * x, 2 * y)[c];
  const Image reduced = apply_letterbox(reduced_source, box);
  EXPECT_EQ(reduced.pixel(0, 51)[0], 128);
  EXPECT_NE(reduced.pixel(300, 52)[0], 128);
  EXPECT_LT(test::mean_difference(whole, reduced), 12);
  EXPECT_THROW(apply_letterbox(Image(), box), Error);
}

// Wide, tall, stretched and of the input's own size, each over what the one before left behind.
TEST(Letterbox, AReusedPictureKeepsNothingOfTheOneBefore) {
  LetterboxScratch scratch;
  Image reused;
  const auto both = [&](const Image& image, const Letterbox& box) {
    apply_letterbox_into(image, box, scratch, reused);
    EXPECT_EQ(reused, apply_letterbox(image, box)) << image.width << "x" << image.height;
    for (int y = 0; y < box.net_height; ++y)
      for (int x = 0; x < box.net_width; ++x) {
        const bool inside =
            x >= box.pad_x && x < box.pad_x + box.resized_width && y >= box.pad_y && y < box.pad_y + box.resized_height;
        ASSERT_EQ(reused.pixel(x, y)[1], inside ? image.rgb[1] : kPadGrey) << x << "," << y;
      }
  };
  both(Image(200, 50, 1), make_letterbox(200, 50, 64, 96));
  both(Image(50, 201, 2), make_letterbox(50, 201, 64, 96));
  both(Image(64, 96, 3), make_letterbox(64, 96, 64, 96));
  both(Image(64, 33, 4), make_letterbox(64, 33, 64, 96));
  both(Image(200, 50, 5), make_stretch(200, 50, 64, 96));
  both(Image(64, 32, 6), make_letterbox(64, 32, 32, 32));
}

TEST(Letterbox, Planes) {
  Image image(7, 3);
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i * 4 + 1);
  std::vector<float> planes(63, -1);
  planes_from_image(image, planes.data());
  for (int y = 0; y < 3; ++y)
    for (int x = 0; x < 7; ++x)
      for (int c = 0; c < 3; ++c)
        EXPECT_EQ(planes[static_cast<size_t>(c * 21 + y * 7 + x)],
                  static_cast<float>((3 * (7 * y + x) + c) * 4 % 256 + 1) / 255.0f);
  Image white(2, 1, 255);
  planes_from_image(white, planes.data());
  EXPECT_EQ(planes[0], 1.0f);
}

}  // namespace
}  // namespace yolov3
