#include "image/png.h"

#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "image/exif.h"
#include "image/limits.h"

namespace yolov3 {
namespace {

struct Errors {
  std::jmp_buf jump;
  char message[200] = "";
  bool input_ended = false;
};

[[noreturn]] void give_up(png_structp png, png_const_charp message) {
  auto& errors = *static_cast<Errors*>(png_get_error_ptr(png));
  std::snprintf(errors.message, sizeof errors.message, "%s", message);
  std::longjmp(errors.jump, 1);
}

void ignore_warning(png_structp, png_const_charp) {}  // about metadata; lost pixels are errors of libpng

// libpng's jumps skip destructors, so `call` may hold only plain values. False = it gave up; the reason is in errors.
template <class Call>
bool guarded(Errors& errors, Call&& call) {
  if (setjmp(errors.jump)) return false;
  call();
  return true;
}

// "\nexif\n   128\n45786966..." as ImageMagick writes it: name, length, hexadecimal bytes.
std::string bytes_of_raw_profile(std::string_view text) {
  text = trim(text);
  for (int line = 0; line < 2; ++line) {
    const size_t end = text.find('\n');
    if (end == text.npos) return "";
    text = text.substr(end + 1);
  }
  std::string bytes;
  int high = -1;
  for (char c : text) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) continue;
    if (high < 0) {
      high = digit;
    } else {
      bytes.push_back(static_cast<char>(high * 16 + digit));
      high = -1;
    }
  }
  return bytes;
}

class PngReader {
 public:
  PngReader(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &errors_, give_up, ignore_warning);
    info_ = png_ ? png_create_info_struct(png_) : nullptr;
    if (!info_) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      fail("{}: out of memory", name_);
    }
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  Image read() {
    if (!guarded(errors_, [this] { read_header(); })) report();
    const int64_t width = png_get_image_width(png_, info_), height = png_get_image_height(png_, info_);
    check_image_size(name_, width, height);
    // Deflate's best is 1032 bytes from one.
    check_claim(name_, "PNG", static_cast<uint64_t>(height) * png_get_rowbytes(png_, info_) / 1032, bytes_.size());
    check_flat_claim(name_, width, height, bytes_.size());  // of 1-bit pixels
    if (!guarded(errors_, [this] { convert_to_rgb(); })) report();

    Image image(static_cast<int>(width), static_cast<int>(height));
    check(png_get_rowbytes(png_, info_) == 3 * static_cast<size_t>(width), "{}: corrupt PNG: rows of {} bytes", name_,
          png_get_rowbytes(png_, info_));
    std::vector<png_bytep> rows(static_cast<size_t>(height));
    for (int y = 0; y < height; ++y) rows[static_cast<size_t>(y)] = image.pixel(0, y);
    if (!guarded(errors_, [this, &rows] {
          png_read_image(png_, rows.data());
          png_read_end(png_, info_);
        }))
      report();
    return upright(std::move(image), find_orientation());
  }

 private:
  static void give(png_structp png, png_bytep target, size_t count) {
    auto& self = *static_cast<PngReader*>(png_get_io_ptr(png));
    if (count > self.bytes_.size() - self.at_) {
      self.errors_.input_ended = true;
      png_error(png, "the file ends too early");
    }
    std::memcpy(target, self.bytes_.data() + self.at_, count);
    self.at_ += count;
  }

  void read_header() {
    png_set_read_fn(png_, this, give);
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // check_image_size says it better
    png_set_chunk_malloc_max(png_, 8u << 20);
    png_set_chunk_cache_max(png_, 128);
    png_read_info(png_, info_);
  }

  void convert_to_rgb() {
    png_set_scale_16(png_);
    png_set_expand(png_);
    png_set_gray_to_rgb(png_);
    png_set_strip_alpha(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
  }

  int find_orientation() {
    png_bytep exif = nullptr;
    png_uint_32 size = 0;
    if (png_get_eXIf_1(png_, info_, &size, &exif)) return exif_orientation({reinterpret_cast<const char*>(exif), size});
    png_textp texts = nullptr;
    const int count = png_get_text(png_, info_, &texts, nullptr);
    for (int i = 0; i < count; ++i) {
      const std::string_view key = texts[i].key;
      if (key == "Raw profile type exif" || key == "Raw profile type APP1")
        return exif_orientation(bytes_of_raw_profile(texts[i].text));
    }
    return 1;
  }

  [[noreturn]] void report() {
    if (errors_.input_ended) fail("{}: truncated PNG: the file ends before its picture does", name_);
    fail("{}: corrupt PNG: {}", name_, errors_.message);
  }

  std::string_view bytes_;
  size_t at_ = 0;
  const std::string& name_;
  Errors errors_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

void append(png_structp png, png_bytep data, size_t count) {
  static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<const char*>(data), count);
}

void no_flush(png_structp) {}

}  // namespace

Image decode_png(std::string_view bytes, const std::string& name) { return PngReader(bytes, name).read(); }

std::string encode_png(const Image& image) {
  check_image_size("a PNG to write", image.width, image.height);
  std::string out;
  Errors errors;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &errors, give_up, ignore_warning);
  png_infop info = png ? png_create_info_struct(png) : nullptr;
  const bool ok =
      info && guarded(errors, [&] {
        png_set_write_fn(png, &out, append, no_flush);
        png_set_compression_level(png, 4);
        png_set_IHDR(png, info, static_cast<png_uint_32>(image.width), static_cast<png_uint_32>(image.height), 8,
                     PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
        png_write_info(png, info);
        for (int y = 0; y < image.height; ++y) png_write_row(png, image.pixel(0, y));
        png_write_end(png, nullptr);
      });
  png_destroy_write_struct(&png, &info);
  check(ok, "cannot write a PNG: {}", errors.message);
  return out;
}

}  // namespace yolov3
