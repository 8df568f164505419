#include "image/load.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <opencv2/imgcodecs.hpp>

#include "base/error.h"
#include "base/rng.h"
#include "image/exif.h"
#include "image/jpeg.h"
#include "image/png.h"
#include "image/save.h"
#include "image/test_pictures.h"

namespace yolov3 {
namespace {

using test::error_of;
using test::expect_error;
using test::JpegKnobs;
using test::PngKnobs;
using Rgb = std::array<int, 3>;

Rgb at(const Image& image, int x, int y) {
  const uint8_t* p = image.pixel(x, y);
  return {p[0], p[1], p[2]};
}

// Four 16x16 blocks: red, green / blue, white; wide enough that JPEG keeps them apart. 48 x 32: the last column grey.
Image marked() {
  Image image(48, 32, 90);
  for (int y = 0; y < 32; ++y) {
    for (int x = 0; x < 32; ++x) {
      const int block = x / 16 + 2 * (y / 16);
      uint8_t* p = image.pixel(x, y);
      p[0] = block == 0 || block == 3 ? 255 : 0;
      p[1] = block == 1 || block == 3 ? 255 : 0;
      p[2] = block == 2 || block == 3 ? 255 : 0;
    }
  }
  return image;
}

// The corners of the upright picture, by hand from the EXIF standard's "0th row, 0th column" table.
// Stored: red | grey over blue | grey in the corners top left, top right, bottom left, bottom right: R, x, B, x.
struct Corners {
  int orientation, width, height;
  char top_left, top_right, bottom_left, bottom_right;
};
constexpr Corners kUpright[] = {{1, 48, 32, 'R', 'x', 'B', 'x'}, {2, 48, 32, 'x', 'R', 'x', 'B'},
                                {3, 48, 32, 'x', 'B', 'x', 'R'}, {4, 48, 32, 'B', 'x', 'R', 'x'},
                                {5, 32, 48, 'R', 'B', 'x', 'x'}, {6, 32, 48, 'B', 'R', 'x', 'x'},
                                {7, 32, 48, 'x', 'x', 'B', 'R'}, {8, 32, 48, 'x', 'x', 'R', 'B'}};

char letter(const Image& image, int x, int y) {
  const auto [r, g, b] = at(image, x, y);
  return r > 200 && g < 50 ? 'R' : b > 200 && r < 50 ? 'B' : 'x';
}

void expect_corners(const Image& image, const Corners& want) {
  ASSERT_EQ(image.width, want.width);
  ASSERT_EQ(image.height, want.height);
  const int r = image.width - 5, b = image.height - 5;
  EXPECT_EQ(letter(image, 4, 4), want.top_left);
  EXPECT_EQ(letter(image, r, 4), want.top_right);
  EXPECT_EQ(letter(image, 4, b), want.bottom_left);
  EXPECT_EQ(letter(image, r, b), want.bottom_right);
}

TEST(Load, ExifOrientationOfJpegAndPng) {
  for (const Corners& want : kUpright) {
    SCOPED_TRACE(want.orientation);
    for (bool little : {true, false}) {
      const auto loaded = decode_image(
          test::jpeg_file(48, 32, marked().rgb, {.app1 = test::exif_app1(want.orientation, little)}), "a.jpg");
      expect_corners(loaded.image, want);
      EXPECT_EQ(loaded.full_width, want.width);
      EXPECT_EQ(loaded.full_height, want.height);
    }
    expect_corners(
        decode_image(test::png_file(48, 32, test::rows_of(marked()), {.exif = test::exif_tiff(want.orientation)}),
                     "a.png")
            .image,
        want);
  }
}

TEST(Load, OrientationOfTiffAndWebp) {
  const Image picture = marked();
  cv::Mat bgr(32, 48, CV_8UC3);
  for (int i = 0; i < 48 * 32; ++i)
    for (int c = 0; c < 3; ++c) bgr.data[3 * i + c] = picture.rgb[static_cast<size_t>(3 * i + 2 - c)];
  std::vector<uint8_t> data;
  cv::imencode(".webp", bgr, data, {cv::IMWRITE_WEBP_QUALITY, 101});
  const std::string webp(data.begin(), data.end());
  for (const Corners& want : kUpright) {
    SCOPED_TRACE(want.orientation);
    expect_corners(decode_image(test::tiff_file(picture, 8, want.orientation), "a.tiff").image, want);
    expect_corners(decode_image(test::tiff_file(picture, 16, want.orientation), "a.tiff").image, want);
    expect_corners(decode_image(test::webp_with_exif(webp, 48, 32, test::exif_tiff(want.orientation)), "a.webp").image,
                   want);
  }
}

TEST(Load, ExifOfLargePictureWalksAllTiles) {
  const Image image = test::smooth_picture(101, 67);
  for (int orientation = 2; orientation <= 8; ++orientation) {
    Image out = upright(image, orientation);
    const int back = orientation == 6 ? 8 : orientation == 8 ? 6 : orientation;
    EXPECT_EQ(upright(out, back), image) << orientation;
  }
}

TEST(Load, ImageMagickRawProfileOrientation) {
  const std::string tiff = test::exif_app1(3);
  std::string text = fmt::format("\nexif\n{:8}\n", tiff.size());
  for (size_t i = 0; i < tiff.size(); ++i)
    text += fmt::format("{:02x}{}", static_cast<unsigned char>(tiff[i]), i % 36 == 35 ? "\n" : "");
  expect_corners(
      decode_image(test::png_file(48, 32, test::rows_of(marked()), {.text_key = "Raw profile type exif", .text = text}),
                   "a.png")
          .image,
      kUpright[2]);
}

TEST(Load, DamagedExifIsIgnored) {
  const std::string good = test::exif_app1(6);
  Rng rng(1);
  for (size_t cut = 0; cut < good.size(); ++cut) {
    const auto image =
        decode_image(test::jpeg_file(48, 32, marked().rgb, {.app1 = good.substr(0, cut)}), "a.jpg").image;
    EXPECT_TRUE(image.width == 48 || image.width == 32);
  }
  for (int i = 0; i < 2000; ++i) {
    std::string bad = test::exif_tiff(6);
    for (int k = 0; k < 4; ++k)
      bad[static_cast<size_t>(rng.integer(4, static_cast<int64_t>(bad.size()) - 1))] = static_cast<char>(rng.next());
    const int orientation = exif_orientation(bad);
    EXPECT_TRUE(orientation >= 1 && orientation <= 8);
  }
  EXPECT_EQ(exif_orientation(test::exif_tiff(9)), 1);
  EXPECT_EQ(exif_orientation(test::exif_tiff(0)), 1);
  EXPECT_EQ(exif_orientation(""), 1);
}

TEST(Load, JpegKindsGiveTheSamePicture) {
  const Image want = marked();
  const auto mean = [&](const JpegKnobs& knobs) {
    return test::mean_difference(decode_image(test::jpeg_file(48, 32, want.rgb, knobs), "a.jpg").image, want);
  };
  EXPECT_LT(mean({}), 2);
  EXPECT_LT(mean({.progressive = true}), 2);
  EXPECT_LT(mean({.restart_rows = 1}), 2);
  EXPECT_LT(mean({.stored = JCS_RGB, .adobe = true}), 2);  // transform 0: not converted from YCbCr
}

TEST(Load, GreyJpegIsReplicated) {
  std::vector<uint8_t> grey(16 * 16, 77);
  const Image image =
      decode_image(test::jpeg_file(16, 16, grey, {.input = JCS_GRAYSCALE, .stored = JCS_GRAYSCALE}), "g.jpg").image;
  EXPECT_EQ(at(image, 8, 8), (Rgb{77, 77, 77}));
}

TEST(Load, CmykAndYcck) {
  // Cyan ink only, then black ink only. Adobe stores inks inverted: 255 = none.
  const auto samples = [](int c, int m, int y, int k) {
    std::vector<uint8_t> out;
    for (int i = 0; i < 256; ++i) out.insert(out.end(), {uint8_t(c), uint8_t(m), uint8_t(y), uint8_t(k)});
    return out;
  };
  const auto near = [](const Rgb& got, const Rgb& want) {
    for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(got[i], want[i], 3);
  };
  const JpegKnobs adobe{.input = JCS_CMYK, .stored = JCS_CMYK, .adobe = true},
      plain{.input = JCS_CMYK, .stored = JCS_CMYK};
  const JpegKnobs ycck{.input = JCS_CMYK, .stored = JCS_YCCK};
  near(at(decode_image(test::jpeg_file(16, 16, samples(0, 255, 255, 255), adobe), "c.jpg").image, 5, 5), {0, 255, 255});
  near(at(decode_image(test::jpeg_file(16, 16, samples(0, 255, 255, 255), ycck), "c.jpg").image, 5, 5), {0, 255, 255});
  near(at(decode_image(test::jpeg_file(16, 16, samples(255, 255, 255, 51), ycck), "c.jpg").image, 5, 5), {51, 51, 51});
  near(at(decode_image(test::jpeg_file(16, 16, samples(255, 0, 0, 0), plain), "c.jpg").image, 5, 5), {0, 255, 255});
}

TEST(Load, ReducedJpegOnlyWhereTwiceTheNetworkRemains) {
  const Image picture = test::smooth_picture(640, 480);
  const std::string file = test::jpeg_file(640, 480, picture.rgb);
  const auto size_at = [&](int w, int h) {
    const auto l = decode_image(file, "a.jpg", {w, h});
    EXPECT_EQ(l.full_width, 640);
    EXPECT_EQ(l.full_height, 480);
    return std::pair(l.image.width, l.image.height);
  };
  EXPECT_EQ(size_at(0, 0), std::pair(640, 480));
  EXPECT_EQ(size_at(121, 121), std::pair(640, 480));  // 240 < 242
  EXPECT_EQ(size_at(120, 120), std::pair(320, 240));
  EXPECT_EQ(size_at(60, 60), std::pair(160, 120));
  EXPECT_EQ(size_at(30, 30), std::pair(80, 60));
  EXPECT_EQ(size_at(8, 8), std::pair(80, 60));
  const auto turned =
      decode_image(test::jpeg_file(640, 480, picture.rgb, {.app1 = test::exif_app1(6)}), "a.jpg", {120, 160});
  EXPECT_EQ(std::pair(turned.full_width, turned.full_height), std::pair(480, 640));
  EXPECT_EQ(std::pair(turned.image.width, turned.image.height), std::pair(240, 320));

  // Half size is the mean of 2 x 2 pixels.
  const Image half = decode_image(file, "a.jpg", {120, 120}).image;
  Image mean(320, 240);
  for (int y = 0; y < 240; ++y)
    for (int x = 0; x < 320; ++x)
      for (int c = 0; c < 3; ++c)
        mean.pixel(x, y)[c] =
            static_cast<uint8_t>((picture.pixel(2 * x, 2 * y)[c] + picture.pixel(2 * x + 1, 2 * y)[c] +
                                  picture.pixel(2 * x, 2 * y + 1)[c] + picture.pixel(2 * x + 1, 2 * y + 1)[c] + 2) /
                                 4);
  EXPECT_LT(test::mean_difference(half, mean), 2);
}

TEST(Load, MissingEoiOnlyIsReadStraightButNotProgressive) {
  const Image want = marked();
  const std::string plain = test::jpeg_file(48, 32, want.rgb),
                    progressive = test::jpeg_file(48, 32, want.rgb, {.progressive = true});
  EXPECT_EQ(decode_image(plain.substr(0, plain.size() - 2), "a.jpg").image, decode_image(plain, "a.jpg").image);
  expect_error(progressive.substr(0, progressive.size() - 2), "truncated JPEG");
  EXPECT_EQ(decode_image(plain + "trailing bytes", "a.jpg").image, decode_image(plain, "a.jpg").image);
}

TEST(Load, UnsupportedJpegs) {
  std::string lossless = test::jpeg_file(48, 32, marked().rgb);
  lossless[lossless.find("\xFF\xC0") + 1] = '\xC3';
  expect_error(lossless, "unsupported JPEG");
  std::string twelve = test::jpeg_file(48, 32, marked().rgb);
  twelve[twelve.find("\xFF\xC0") + 4] = 12;
  expect_error(twelve, "unsupported JPEG");
  expect_error(test::jpeg_file(48, 32, marked().rgb, {.arithmetic = true}), "unsupported JPEG");
}

TEST(Load, PngKinds) {
  // 16 bits: value / 257 rounded. By hand: 0x807F is 127.996, 0x8000 is 127.502, 0x7FFF is 127.498.
  const std::vector<uint8_t> row16 = {0x80, 0x7F, 0x80, 0x00, 0x7F, 0xFF};
  EXPECT_EQ(at(decode_image(test::png_file(1, 1, {row16}, {.depth = 16}), "a.png").image, 0, 0), (Rgb{128, 128, 127}));
  // Alpha is dropped: colour as stored, even where it is fully transparent.
  EXPECT_EQ(
      at(decode_image(test::png_file(1, 1, {{10, 20, 30, 0}}, {.color = PNG_COLOR_TYPE_RGB_ALPHA}), "a.png").image, 0,
         0),
      (Rgb{10, 20, 30}));
  EXPECT_EQ(
      at(decode_image(test::png_file(1, 1, {{40, 7}}, {.color = PNG_COLOR_TYPE_GRAY_ALPHA}), "a.png").image, 0, 0),
      (Rgb{40, 40, 40}));
  EXPECT_EQ(
      at(decode_image(test::png_file(1, 1, {{0xFF, 0xFF, 0, 0}}, {.depth = 16, .color = PNG_COLOR_TYPE_GRAY_ALPHA}),
                      "a.png")
             .image,
         0, 0),
      (Rgb{255, 255, 255}));
  // One bit grey: 1010....
  const Image bits =
      decode_image(test::png_file(4, 1, {{0xA0}}, {.depth = 1, .color = PNG_COLOR_TYPE_GRAY}), "a.png").image;
  EXPECT_EQ(at(bits, 0, 0), (Rgb{255, 255, 255}));
  EXPECT_EQ(at(bits, 1, 0), (Rgb{0, 0, 0}));
  // Palette of 4 bits, one entry transparent: indices 1, 0.
  const Image palette = decode_image(test::png_file(2, 1, {{0x10}},
                                                    {.depth = 4,
                                                     .color = PNG_COLOR_TYPE_PALETTE,
                                                     .palette = {{1, 2, 3}, {200, 100, 50}},
                                                     .palette_alpha = {255, 0}}),
                                     "a.png")
                            .image;
  EXPECT_EQ(at(palette, 0, 0), (Rgb{200, 100, 50}));
  EXPECT_EQ(at(palette, 1, 0), (Rgb{1, 2, 3}));
  const Image picture = test::smooth_picture(37, 23);
  EXPECT_EQ(
      decode_image(test::png_file(37, 23, test::rows_of(picture), {.interlace = PNG_INTERLACE_ADAM7}), "a.png").image,
      picture);
}

TEST(Load, SixteenBitTiffAndPgm) {
  cv::Mat grey(1, 2, CV_16U);
  grey.ptr<uint16_t>()[0] = 0x8000;
  grey.ptr<uint16_t>()[1] = 0x7FFF;
  std::vector<uint8_t> data;
  cv::imencode(".tiff", grey, data);
  const Image image = decode_image(std::string(data.begin(), data.end()), "a.tiff").image;
  EXPECT_EQ(at(image, 0, 0), (Rgb{128, 128, 128}));
  EXPECT_EQ(at(image, 1, 0), (Rgb{127, 127, 127}));
  // maxval 1023: 512 * 255 / 1023 = 127.6 -> 128.
  EXPECT_EQ(at(decode_image(std::string("P5\n# twelve\n1 1\n1023\n\x02\x00", 23), "a.pgm").image, 0, 0),
            (Rgb{128, 128, 128}));
  EXPECT_EQ(at(decode_image("P3 1 1 15\n15 0 3\n", "a.ppm").image, 0, 0), (Rgb{255, 0, 51}));
  expect_error("P2 2 1 9 3 ", "truncated PNM");
  expect_error("P2 1 1 9 33 ", "corrupt PNM");
  expect_error("P2 60000 60000 255 1", "too large");
  expect_error("P5 60000 1000 255 1", "truncated PNM");
}

TEST(Load, OtherFilesByName) {
  expect_error("", "empty file");
  expect_error("hello world", "not an image");
  expect_error("GIF89a......", "unsupported format: GIF");
  expect_error(std::string("\0\0\0\x1c"
                           "ftypavif",
                           12),
               "unsupported format: AVIF");
  expect_error(std::string("\0\0\0\x18"
                           "ftypheic",
                           12),
               "unsupported format: HEIC");
  EXPECT_THROW(
      {
        try {
          load_image("/no/such/picture.jpg");
        } catch (const Error& error) {
          EXPECT_STREQ(error.what(), "/no/such/picture.jpg: missing file");
          throw;
        }
      },
      Error);
  EXPECT_TRUE(has_image_extension("a/B.JPeG"));
  EXPECT_TRUE(has_image_extension("x.tif"));
  EXPECT_FALSE(has_image_extension("x.gif"));
  EXPECT_FALSE(has_image_extension("jpg"));
}

TEST(Save, ByExtensionAndBack) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "save_image_test";
  std::filesystem::create_directories(folder);
  const Image picture = test::smooth_picture(61, 43);
  save_image(folder / "a.png", picture);
  save_image(folder / "a.JPG", picture);
  EXPECT_EQ(load_image(folder / "a.png").image, picture);
  EXPECT_LT(test::mean_difference(load_image(folder / "a.JPG").image, picture), 5);
  EXPECT_THROW(save_image(folder / "a.gif", picture), Error);
  EXPECT_THROW(save_image(folder / "a.png", Image()), Error);
  EXPECT_THROW(save_image(folder / "none" / "a.png", picture), Error);
  // Another reader sees the same pixels.
  const cv::Mat mat = cv::imread((folder / "a.png").string());
  ASSERT_EQ(mat.cols, 61);
  EXPECT_EQ(mat.at<cv::Vec3b>(5, 7),
            (cv::Vec3b(picture.pixel(7, 5)[2], picture.pixel(7, 5)[1], picture.pixel(7, 5)[0])));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace yolov3
