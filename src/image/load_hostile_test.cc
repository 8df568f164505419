// Files cut short, damaged, random or absurd: an Error or a picture, never a crash, never memory that the
// file did not earn.
#include <gtest/gtest.h>

#include <opencv2/imgcodecs.hpp>

#include "base/rng.h"
#include "image/jpeg.h"
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

void put(std::string& file, size_t at, size_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) file.at(at + static_cast<size_t>(i)) = static_cast<char>(value >> 8 * i);
}

std::string cv_file(const char* extension, const cv::Mat& bgr, const std::vector<int>& knobs) {
  std::vector<uint8_t> data;
  EXPECT_TRUE(cv::imencode(extension, bgr, data, knobs));
  return {data.begin(), data.end()};
}

TEST(LoadHostile, WebpClaims) {
  const cv::Mat mat(32, 48, CV_8UC3, cv::Scalar(10, 20, 30));
  const std::string lossless = cv_file(".webp", mat, {cv::IMWRITE_WEBP_QUALITY, 101});
  const std::string lossy = cv_file(".webp", mat, {cv::IMWRITE_WEBP_QUALITY, 90});
  ASSERT_EQ(lossless.substr(12, 4), "VP8L");
  ASSERT_EQ(lossy.substr(12, 4), "VP8 ");
  EXPECT_EQ(error_of(test::webp_with_exif(lossy, 48, 32, test::exif_tiff(1))), "");
  expect_error(test::webp_with_exif(lossy, 16000, 16000, ""), "corrupt WebP: its canvas is 16000 x 16000");
  std::string file = lossy;
  put(file, 26, 16000, 2), put(file, 28, 16000, 2);
  expect_error(file, "truncated WebP: the size in its header needs at least 250000 bytes");
  file = lossless;
  put(file, 21, 15999 | 15999 << 14, 4);
  expect_error(file, "too large: 16000 x 16000 pixels in a file of");
  file = "RIFF" + std::string("\x16\0\0\0", 4) + "WEBPVP8X" + std::string("\x0A\0\0\0", 4) + std::string(10, 0x7F);
  file[20] = 0;  // a canvas and no picture
  expect_error(file, "not an image");
}

TEST(LoadHostile, TiffClaims) {
  const std::string tiff = test::tiff_file(test::smooth_picture(16, 16), 8, 1);
  const size_t directory = 8 + 16 * 16 * 3 + 6;
  const auto set = [&](std::string& file, size_t entry, size_t value) {
    put(file, directory + 2 + 12 * entry + 8, value, 4);
  };
  std::string file = tiff;
  set(file, 0, 16000), set(file, 1, 16000);
  expect_error(file, "truncated TIFF: the size in its header needs at least 768000000 bytes");
  set(file, 3, 5);  // LZW
  expect_error(file, "too large: 16000 x 16000 pixels in a file of");
  file = tiff;
  for (size_t entry : {5, 9}) put(file, directory + 2 + 12 * entry, entry == 5 ? 324 : 325, 2);  // strips as tiles,
  put(file, directory + 2 + 12 * 7, 322, 2), put(file, directory + 2 + 12 * 8, 323, 2);          // of an absurd size
  set(file, 7, 30000), set(file, 8, 8000);
  expect_error(file, "too large: 30000 x 8000 pixels in a file of");
}

TEST(LoadHostile, BmpClaims) {
  std::string file("BM");
  file.resize(54 + 1024 + 100);
  put(file, 10, 54 + 1024, 4), put(file, 14, 40, 4), put(file, 26, 1, 2), put(file, 28, 8, 2), put(file, 30, 1, 4);
  for (const size_t height : {size_t{16000}, size_t{0} - 16000}) {  // bottom up and top down
    put(file, 18, 16000, 4), put(file, 22, height, 4);
    expect_error(file, "truncated BMP: the size in its header needs at least 2008921 bytes");  // 256e6 * 2 / 255 + 1078
  }
  put(file, 30, 0, 4);
  expect_error(file, "truncated BMP: the size in its header needs at least 256001078 bytes");
}

TEST(LoadHostile, ScansOfAProgressiveJpegTakeBoundedMemory) {
  std::string file = test::jpeg_file(16, 16, test::smooth_picture(16, 16).rgb, {.progressive = true});
  const size_t frame = file.find("\xFF\xC2");
  for (size_t at : {frame + 5, frame + 7})
    file[at] = static_cast<char>(16000 >> 8), file[at + 1] = static_cast<char>(16000 & 255);
  expect_error(file, "truncated JPEG: the size in its header needs at least 1500000 bytes");  // 3 * 2000 * 2000 bits
  file.resize(1600000);
  expect_error(file, "too large: 16000 x 16000 pixels in several scans");
}

// The bounds on claims must not refuse what encoders make of the emptiest pictures.
TEST(LoadHostile, LargeFlatPicturesAreRead) {
  const Image flat(3000, 2000, 77);
  const cv::Mat mat(2000, 3000, CV_8UC3, cv::Scalar(77, 77, 77));
  const std::vector<std::pair<std::string, std::string>> files = {
      {"baseline", encode_jpeg(flat, 95)},
      {"progressive", test::jpeg_file(3000, 2000, flat.rgb, {.progressive = true})},
      {"subsampled", cv_file(".jpg", mat, {cv::IMWRITE_JPEG_OPTIMIZE, 1})},
      {"png", cv_file(".png", mat, {cv::IMWRITE_PNG_COMPRESSION, 9})},
      {"lossy webp", cv_file(".webp", mat, {cv::IMWRITE_WEBP_QUALITY, 1})},
      {"lossless webp", cv_file(".webp", mat, {cv::IMWRITE_WEBP_QUALITY, 101})},
      {"lzw tiff", cv_file(".tiff", mat, {cv::IMWRITE_TIFF_COMPRESSION, 5})},
      {"bmp", cv_file(".bmp", mat, {})}};
  for (const auto& [kind, file] : files) {
    SCOPED_TRACE(kind + " of " + std::to_string(file.size()) + " bytes");
    ASSERT_EQ(error_of(file), "");
    EXPECT_LE(test::mean_difference(decode_image(file, "a").image, flat), 2);
  }
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
