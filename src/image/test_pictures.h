// For the tests of this room: small picture files made by libjpeg and libpng themselves, with every knob in reach.
#pragma once

#include <gtest/gtest.h>
#include <jpeglib.h>
#include <png.h>

#include <cstdio>
#include <cstdlib>

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "image/image.h"
#include "image/load.h"

namespace yolov3::test {

struct JpegKnobs {
  J_COLOR_SPACE input = JCS_RGB, stored = JCS_YCbCr;
  int quality = 95;
  bool progressive = false, adobe = false, arithmetic = false;
  int restart_rows = 0;
  std::string app1;  // content of an APP1 marker
};

// `samples`: rows of interleaved samples, as many a pixel as the input colour space has.
inline std::string jpeg_file(int width, int height, const std::vector<uint8_t>& samples, const JpegKnobs& knobs = {}) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &data, &size);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.in_color_space = knobs.input;
  info.input_components = knobs.input == JCS_GRAYSCALE ? 1 : knobs.input == JCS_CMYK ? 4 : 3;
  jpeg_set_defaults(&info);
  jpeg_set_colorspace(&info, knobs.stored);
  if (knobs.stored == JCS_RGB || knobs.stored == JCS_CMYK) info.write_Adobe_marker = knobs.adobe;
  jpeg_set_quality(&info, knobs.quality, TRUE);
  for (int c = 0; c < info.num_components; ++c) info.comp_info[c].h_samp_factor = info.comp_info[c].v_samp_factor = 1;
  info.restart_in_rows = knobs.restart_rows;
  info.arith_code = knobs.arithmetic;
  if (knobs.progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  if (!knobs.app1.empty())
    jpeg_write_marker(&info, JPEG_APP0 + 1, reinterpret_cast<const JOCTET*>(knobs.app1.data()),
                      static_cast<unsigned>(knobs.app1.size()));
  const size_t stride = static_cast<size_t>(width) * static_cast<size_t>(info.input_components);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = const_cast<JSAMPROW>(samples.data() + info.next_scanline * stride);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string file(reinterpret_cast<const char*>(data), size);
  std::free(data);
  return file;
}

struct PngKnobs {
  int depth = 8, color = PNG_COLOR_TYPE_RGB, interlace = PNG_INTERLACE_NONE;
  std::vector<png_color> palette;
  std::vector<png_byte> palette_alpha;
  std::string exif, text_key, text;
};

// `rows`: packed as PNG stores them (16 bits big endian).
inline std::string png_file(int width, int height, const std::vector<std::vector<uint8_t>>& rows,
                            const PngKnobs& knobs = {}) {
  std::string file;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &file,
      [](png_structp p, png_bytep data, size_t count) {
        static_cast<std::string*>(png_get_io_ptr(p))->append(reinterpret_cast<const char*>(data), count);
      },
      nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), knobs.depth, knobs.color,
               knobs.interlace, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (!knobs.palette.empty()) png_set_PLTE(png, info, knobs.palette.data(), static_cast<int>(knobs.palette.size()));
  if (!knobs.palette_alpha.empty())
    png_set_tRNS(png, info, knobs.palette_alpha.data(), static_cast<int>(knobs.palette_alpha.size()), nullptr);
  std::string exif = knobs.exif;
  if (!exif.empty())
    png_set_eXIf_1(png, info, static_cast<png_uint_32>(exif.size()), reinterpret_cast<png_bytep>(exif.data()));
  png_text text{};
  std::string key = knobs.text_key, value = knobs.text;
  if (!key.empty()) {
    text.compression = PNG_TEXT_COMPRESSION_zTXt;
    text.key = key.data();
    text.text = value.data();
    text.text_length = value.size();
    png_set_text(png, info, &text, 1);
  }
  std::vector<png_bytep> pointers;
  for (const auto& row : rows) pointers.push_back(const_cast<png_bytep>(row.data()));
  png_set_rows(png, info, pointers.data());
  png_write_png(png, info, PNG_TRANSFORM_IDENTITY, nullptr);
  png_destroy_write_struct(&png, &info);
  return file;
}

// A TIFF structure with nothing but an orientation.
inline std::string exif_tiff(int orientation, bool little = true) {
  const auto number = [little](unsigned value, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> 8 * (little ? i : bytes - 1 - i)));
    return out;
  };
  return std::string(little ? "II" : "MM") + number(42, 2) + number(8, 4) + number(1, 2) + number(0x0112, 2) +
         number(3, 2) + number(1, 4) + number(static_cast<unsigned>(orientation), 2) + number(0, 2) + number(0, 4);
}

inline std::string exif_app1(int orientation, bool little = true) {
  return std::string("Exif\0\0", 6) + exif_tiff(orientation, little);
}

// An uncompressed little-endian RGB TIFF of one strip, 8 or 16 bits a sample.
inline std::string tiff_file(const Image& image, int bits, int orientation) {
  const auto number = [](size_t value, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> 8 * i));
    return out;
  };
  std::string pixels;
  for (uint8_t v : image.rgb) pixels += bits == 16 ? number(v * 257u, 2) : number(v, 1);
  const size_t data = 8, bits_at = data + pixels.size(), directory = bits_at + 6;
  const auto entry = [&](int tag, int type, size_t count, size_t value) {
    return number(static_cast<size_t>(tag), 2) + number(static_cast<size_t>(type), 2) + number(count, 4) +
           number(value, 4);
  };
  const size_t w = static_cast<size_t>(image.width), h = static_cast<size_t>(image.height),
               b = static_cast<size_t>(bits);
  return "II" + number(42, 2) + number(directory, 4) + pixels + number(b, 2) + number(b, 2) + number(b, 2) +
         number(10, 2) + entry(256, 4, 1, w) + entry(257, 4, 1, h) + entry(258, 3, 3, bits_at) + entry(259, 3, 1, 1) +
         entry(262, 3, 1, 2) + entry(273, 4, 1, data) + entry(274, 3, 1, static_cast<size_t>(orientation)) +
         entry(277, 3, 1, 3) + entry(278, 4, 1, h) + entry(279, 4, 1, pixels.size()) + number(0, 4);
}

// A simple WebP file (RIFF with one frame) as an extended one that carries EXIF.
inline std::string webp_with_exif(const std::string& simple, int width, int height, const std::string& exif) {
  const auto number = [](size_t value, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> 8 * i));
    return out;
  };
  std::string body = "WEBPVP8X" + number(10, 4) + number(8, 4) + number(static_cast<size_t>(width) - 1, 3) +
                     number(static_cast<size_t>(height) - 1, 3) + simple.substr(12) + "EXIF" + number(exif.size(), 4) +
                     exif;
  if (exif.size() % 2) body.push_back(0);
  return "RIFF" + number(body.size(), 4) + body;
}

// A smooth picture with something everywhere: ramps of red and green, a blue wave.
inline Image smooth_picture(int width, int height) {
  Image image(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      uint8_t* p = image.pixel(x, y);
      p[0] = static_cast<uint8_t>(255 * x / width);
      p[1] = static_cast<uint8_t>(255 * y / height);
      p[2] = static_cast<uint8_t>((x / 8 + y / 8) % 2 ? 180 : 60);
    }
  }
  return image;
}

inline std::vector<std::vector<uint8_t>> rows_of(const Image& image) {
  std::vector<std::vector<uint8_t>> rows;
  for (int y = 0; y < image.height; ++y) rows.emplace_back(image.pixel(0, y), image.pixel(0, y) + 3 * image.width);
  return rows;
}

inline double mean_difference(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height || a.empty()) return 1e9;
  double sum = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i) sum += std::abs(a.rgb[i] - b.rgb[i]);
  return sum / static_cast<double>(a.rgb.size());
}

// What decode_image says of these bytes; empty when it reads them.
inline std::string error_of(std::string_view bytes) {
  try {
    decode_image(bytes, "photo.x");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

inline void expect_error(std::string_view bytes, const std::string& start) {
  const std::string message = error_of(bytes);
  EXPECT_TRUE(message.starts_with("photo.x: " + start)) << "'" << message << "', expected '" << start << "'";
}

}  // namespace yolov3::test
