#include "image/size.h"

#include <fstream>
#include <optional>
#include <string>
#include <system_error>

#include "base/error.h"
#include "image/bytes.h"
#include "image/jpeg.h"
#include "image/limits.h"
#include "image/load.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr size_t kFirstBytes = size_t{1} << 16;  // hold the header of most JPEGs
constexpr size_t kMostBytes = size_t{1} << 22;   // ... of all but odd ones, with thumbnails and profiles in front

// The first bytes of the file; fewer than asked for only where it ends.
std::string first_bytes(const fs::path& path, size_t count) {
  std::error_code reason;
  if (!fs::is_regular_file(path, reason)) return "";
  std::ifstream in(path, std::ios::binary);
  std::string bytes(count, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(count));
  bytes.resize(static_cast<size_t>(in.gcount()));
  return bytes;
}

// Of a PNG whose chunks hold no orientation, be it before the pixels or behind them; nothing where one might, or where
// the chunks do not lead to the end.
std::optional<PictureSize> plain_png_size(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string head(24, '\0');
  if (!file.read(head.data(), 24) || !head.starts_with("\x89PNG\r\n\x1A\n") || head.substr(12, 4) != "IHDR") {
    return std::nullopt;
  }
  const ByteReader size(head, false);
  const uint32_t width = size.u32(16), height = size.u32(20);
  if (width < 1 || height < 1 || width > kMaxImageSide || height > kMaxImageSide) return std::nullopt;
  std::string chunk(8, '\0'), key(16, '\0');
  for (uint64_t at = 8; file.seekg(static_cast<std::streamoff>(at)) && file.read(chunk.data(), 8);) {
    const std::string kind = chunk.substr(4);
    if (kind == "IEND") return PictureSize{static_cast<int>(width), static_cast<int>(height)};
    if (kind == "eXIf") return std::nullopt;
    const bool text = kind == "tEXt" || kind == "zTXt" || kind == "iTXt";
    if (text && file.read(key.data(), 16) && key == "Raw profile type") return std::nullopt;
    at += 12 + uint64_t{ByteReader(chunk, false).u32(0)};
  }
  return std::nullopt;
}

}  // namespace

PictureSize read_picture_size(const fs::path& path) {
  std::string bytes = first_bytes(path, kFirstBytes);  // none of what is no file, such as a pipe
  while (bytes.starts_with("\xFF\xD8")) {
    try {
      return jpeg_size(bytes, path.string());
    } catch (const Error&) {
      // The header may be longer than what was read; of a damaged one load_image says more.
      if (bytes.size() % kFirstBytes != 0 || bytes.size() >= kMostBytes) break;
      bytes = first_bytes(path, 8 * bytes.size());
    }
  }
  if (!bytes.empty()) {
    if (const std::optional<PictureSize> size = plain_png_size(path)) return *size;
  }
  const LoadedImage loaded = load_image(path, {.net_width = 1, .net_height = 1});
  return {loaded.full_width, loaded.full_height};
}

}  // namespace yolov3
