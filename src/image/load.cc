#include "image/load.h"

#include <array>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "image/cv_formats.h"
#include "image/jpeg.h"
#include "image/png.h"
#include "image/pnm.h"

namespace yolov3 {
namespace {

using std::string_view;

enum class Format { jpeg, png, bmp, webp, tiff, pnm };

struct Magic {
  string_view bytes;
  size_t at;
  const char* name;
};

// What people have and we do not read, by name.
constexpr std::array kUnsupported = {
    Magic{"GIF8", 0, "GIF"},
    Magic{string_view("\0\0\0\x0CjP  ", 8), 0, "JPEG 2000"},
    Magic{"\xFF\x4F\xFF\x51", 0, "JPEG 2000"},
    Magic{"ftypavif", 4, "AVIF"},
    Magic{"ftyphei", 4, "HEIC"},
    Magic{"ftyphev", 4, "HEIC"},
    Magic{"ftypmif1", 4, "HEIC"},
    Magic{"ftyp", 4, "video"},
    Magic{string_view("\0\0\0\x0CJXL ", 8), 0, "JPEG XL"},
    Magic{"\xFF\x0A", 0, "JPEG XL"},
    Magic{"8BPS", 0, "PSD"},
    Magic{"%PDF", 0, "PDF"},
    Magic{"\x76\x2F\x31\x01", 0, "OpenEXR"},
    Magic{"#?RADIANCE", 0, "Radiance HDR"},
    Magic{"P1", 0, "PBM"},
    Magic{"P4", 0, "PBM"},
    Magic{"P7\n", 0, "PAM"},
    Magic{"PF\n", 0, "PFM"},
    Magic{"Pf\n", 0, "PFM"},
    Magic{string_view("II+\0", 4), 0, "BigTIFF"},
    Magic{string_view("MM\0+", 4), 0, "BigTIFF"},
    Magic{string_view("\0\0\1\0", 4), 0, "ICO"},
    Magic{"<svg", 0, "SVG"},
};

bool is_pnm(string_view bytes) {
  return bytes.size() >= 3 && bytes[0] == 'P' && string_view("2356").find(bytes[1]) != string_view::npos &&
         string_view(" \t\r\n#").find(bytes[2]) != string_view::npos;
}

Format format_of(string_view bytes, const std::string& name) {
  check(!bytes.empty(), "{}: empty file", name);
  if (bytes.starts_with("\xFF\xD8")) return Format::jpeg;
  if (bytes.starts_with("\x89PNG\r\n\x1A\n")) return Format::png;
  if (bytes.starts_with("BM")) return Format::bmp;
  if (bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("WEBP")) return Format::webp;
  if (bytes.starts_with(string_view("II*\0", 4)) || bytes.starts_with(string_view("MM\0*", 4))) return Format::tiff;
  if (is_pnm(bytes)) return Format::pnm;
  for (const Magic& magic : kUnsupported) {
    if (bytes.size() > magic.at && bytes.substr(magic.at).starts_with(magic.bytes))
      fail("{}: unsupported format: {}; save it as JPEG or PNG", name, magic.name);
  }
  fail("{}: not an image: its first bytes are of no format we know", name);
}

LoadedImage whole(Image image) {
  LoadedImage loaded;
  loaded.full_width = image.width;
  loaded.full_height = image.height;
  loaded.image = std::move(image);
  return loaded;
}

}  // namespace

LoadedImage decode_image(string_view bytes, const std::string& name, const LoadOptions& options) {
  switch (format_of(bytes, name)) {
    case Format::jpeg: return decode_jpeg(bytes, name, options);
    case Format::png: return whole(decode_png(bytes, name));
    case Format::bmp: return whole(decode_bmp(bytes, name));
    case Format::webp: return whole(decode_webp(bytes, name));
    case Format::tiff: return whole(decode_tiff(bytes, name));
    case Format::pnm: return whole(decode_pnm(bytes, name));
  }
  fail("{}: not an image", name);
}

LoadedImage load_image(const std::filesystem::path& path, const LoadOptions& options) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  check(status.type() != std::filesystem::file_type::not_found, "{}: missing file", path.string());
  return decode_image(read_file(path), path.string(), options);
}

bool has_image_extension(const std::filesystem::path& path) {
  static constexpr std::array kExtensions = {".bmp", ".jpg",  ".jpeg", ".mpo", ".png",
                                             ".tif", ".tiff", ".webp", ".ppm", ".pgm"};
  const std::string extension = to_lower(path.extension().string());
  for (const char* known : kExtensions) {
    if (extension == known) return true;
  }
  return false;
}

}  // namespace yolov3
