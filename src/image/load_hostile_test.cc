// Files cut short, damaged, random or absurd: an Error or a picture, never a crash, never memory that the
// file did not earn.
#include <gtest/gtest.h>

#include <opencv2/imgcodecs.hpp>

#include "base/rng.h"
#include "image/load.h"
#include "image/test_pictures.h"

namespace yolov3 {
namespace {

using test::error_of;
using test::expect_error;

TEST(LoadHostile, CutJpegAndPngAreErrors) {
  const Image picture = test::smooth_picture(160, 120);
  const std::vector<std::string> files = {
      test::jpeg_file(160, 120, picture.rgb), test::jpeg_file(160, 120, picture.rgb, {.progressive = true}),
      test::jpeg_file(160, 120, picture.rgb, {.restart_rows = 1}), test::png_file(160, 120, test::rows_of(picture)),
      test::png_file(160, 120, test::rows_of(picture), {.interlace = PNG_INTERLACE_ADAM7})};
  for (size_t k = 0; k < files.size(); ++k) {
    for (size_t part = 0; part < 16; ++part) {
      const std::string message = error_of(std::string_view(files[k]).substr(0, files[k].size() * part / 16));
      EXPECT_TRUE(message.find("truncated") != message.npos || part == 0)
          << k << " cut at " << part << "/16: '" << message << "'";
      EXPECT_NE(message, "");
    }
  }
}

TEST(LoadHostile, CutAndDamagedOtherFormats) {
  const Image picture = test::smooth_picture(80, 60);
  const cv::Mat mat(60, 80, CV_8UC3, const_cast<uint8_t*>(picture.rgb.data()));
  cv::Mat bgr(60, 80, CV_8UC3);
  for (int i = 0; i < 80 * 60; ++i)
    for (int c = 0; c < 3; ++c) bgr.data[3 * i + c] = mat.data[3 * i + 2 - c];
  for (const char* extension : {".bmp", ".tiff", ".webp", ".ppm"}) {
    std::vector<uint8_t> data;
    cv::imencode(
        extension, bgr, data,
        std::string(extension) == ".webp" ? std::vector<int>{cv::IMWRITE_WEBP_QUALITY, 101} : std::vector<int>{});
    const std::string file(data.begin(), data.end());
    EXPECT_EQ(decode_image(file, "a").image, picture) << extension;
    for (size_t part = 0; part < 16; ++part)
      EXPECT_NE(error_of(std::string_view(file).substr(0, file.size() * part / 16)), "")
          << extension << " cut at " << part << "/16";
    Rng rng(7);
    for (int i = 0; i < 200; ++i) {  // no crash; a changed pixel is a picture, a changed header an Error
      std::string damaged = file;
      for (int k = 0; k < 3; ++k)
        damaged[static_cast<size_t>(rng.integer(0, std::min<int64_t>(200, static_cast<int64_t>(file.size()) - 1)))] =
            static_cast<char>(rng.next());
      error_of(damaged);
    }
  }
}

TEST(LoadHostile, RandomBytesAndFlippedBytes) {
  Rng rng(3);
  const Image picture = test::smooth_picture(64, 48);
  const std::vector<std::string> files = {test::jpeg_file(64, 48, picture.rgb),
                                          test::jpeg_file(64, 48, picture.rgb, {.progressive = true}),
                                          test::png_file(64, 48, test::rows_of(picture))};
  for (const std::string& file : files) {
    for (int i = 0; i < 400; ++i) {
      std::string damaged = file;
      for (int k = 0; k < 1 + i % 5; ++k)
        damaged[static_cast<size_t>(rng.integer(2, static_cast<int64_t>(file.size()) - 1))] =
            static_cast<char>(rng.next());
      error_of(damaged);  // a picture or an Error, nothing else
    }
  }
  for (std::string_view start :
       {"\xFF\xD8", "\x89PNG\r\n\x1A\n", "BM", "II*\0\x08\0\0\0", "P6 ", "RIFF\x40\0\0\0WEBPVP8 ", ""}) {
    for (int i = 0; i < 50; ++i) {
      std::string bytes(start);
      while (bytes.size() < 300) bytes.push_back(static_cast<char>(rng.next()));
      EXPECT_NE(error_of(bytes), "");
    }
  }
}

TEST(LoadHostile, AbsurdSizesAreRefusedBeforeAllocation) {
  std::string jpeg = test::jpeg_file(16, 16, test::smooth_picture(16, 16).rgb);
  const size_t frame = jpeg.find("\xFF\xC0");
  const auto jpeg_of = [&](unsigned w, unsigned h) {
    std::string file = jpeg;
    file[frame + 5] = static_cast<char>(h >> 8), file[frame + 6] = static_cast<char>(h);
    file[frame + 7] = static_cast<char>(w >> 8), file[frame + 8] = static_cast<char>(w);
    return file;
  };
  expect_error(jpeg_of(60000, 60000), "too large");
  expect_error(jpeg_of(16000, 16000), "truncated JPEG");
  // A PNG whose IHDR (with a right CRC) claims much and holds a few bytes.
  const auto png_of = [](uint32_t w, uint32_t h) {
    std::string head("IHDR");
    for (uint32_t side : {w, h})
      for (int shift : {24, 16, 8, 0}) head.push_back(static_cast<char>(side >> shift));
    head += std::string("\x08\x02\0\0\0", 5);
    uint32_t crc = 0xFFFFFFFF;
    for (unsigned char c : head) {
      crc ^= c;
      for (int i = 0; i < 8; ++i) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    std::string file("\x89PNG\r\n\x1A\n\0\0\0\x0D", 12);
    file += head;
    for (int shift : {24, 16, 8, 0}) file.push_back(static_cast<char>(~crc >> shift));
    return file + std::string("\0\0\0\0IDAT\x35\xAF\x06\x1E", 12);
  };
  expect_error(png_of(60000, 60000), "too large");
  expect_error(png_of(2000000000, 2000000000), "too large");
  expect_error(png_of(16000, 16000), "truncated PNG");
}

TEST(LoadHostile, CorruptPngChecksums) {
  const std::string file = test::png_file(64, 48, test::rows_of(test::smooth_picture(64, 48)));
  std::string damaged = file;
  damaged[file.find("IDAT") + 60] ^= 1;
  expect_error(damaged, "corrupt PNG");
  damaged = file;
  damaged[17] ^= 1;
  expect_error(damaged, "corrupt PNG");
}

}  // namespace
}  // namespace yolov3
