#include "image/cv_formats.h"

#include <cstdlib>
#include <map>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <utility>
#include <vector>

#include "image/bytes.h"
#include "image/exif.h"
#include "image/limits.h"

namespace yolov3 {
namespace {

// 1, 3 (BGR) or 4 (BGRA) channels of 8 or 16 bits -> RGB of 8.
Image image_from_mat(const cv::Mat& mat, const std::string& name) {
  const int depth = mat.depth(), channels = mat.channels();
  check((depth == CV_8U || depth == CV_16U) && (channels == 1 || channels == 3 || channels == 4),
        "{}: unsupported format: samples that are not 8-bit or 16-bit integers", name);
  Image image(mat.cols, mat.rows);
  const int red = channels >= 3 ? 2 : 0, green = channels >= 3 ? 1 : 0;
  for (int y = 0; y < mat.rows; ++y) {
    uint8_t* target = image.pixel(0, y);
    const auto convert = [&](const auto* source, auto level) {
      for (int x = 0; x < mat.cols; ++x, source += channels, target += 3) {
        target[0] = level(source[red]);
        target[1] = level(source[green]);
        target[2] = level(source[0]);
      }
    };
    if (depth == CV_8U) {
      convert(mat.ptr<uint8_t>(y), [](uint8_t v) { return v; });
    } else {
      convert(mat.ptr<uint16_t>(y), [](uint16_t v) { return static_cast<uint8_t>((v + 128u) / 257u); });
    }
  }
  return image;
}

Image decode_with_opencv(std::string_view bytes, const std::string& name, const char* kind) {
  cv::Mat mat;
  try {
    const cv::Mat input(1, static_cast<int>(bytes.size()), CV_8U, const_cast<char*>(bytes.data()));
    mat = cv::imdecode(input, cv::IMREAD_UNCHANGED);
  } catch (const cv::Exception& error) {
    fail("{}: corrupt {}: {}", name, kind, error.err);
  }
  check(!mat.empty(), "{}: truncated or corrupt {}", name, kind);
  return image_from_mat(mat, name);
}

// The least number of bytes of BMP rows: two make a run of at most 255 pixels in the run-length kinds.
uint64_t bmp_row_bytes(const ByteReader& in, int64_t width, int64_t height) {
  const bool old = in.u32(14) == 12;
  const uint32_t bits = old ? in.u16(24) : in.u16(28), compression = old ? 0 : in.u32(30);
  if (compression == 1 || compression == 2) return static_cast<uint64_t>(width * height) * 2 / 255;
  return (static_cast<uint64_t>(width) * bits + 31) / 32 * 4 * static_cast<uint64_t>(height);
}

// What the headers inside a WebP state: the canvas (0 = no VP8X chunk), the first frame, the EXIF chunk.
struct WebpFacts {
  int64_t canvas_width = 0, canvas_height = 0;
  int64_t width = 0, height = 0;
  bool animated = false, lossless = false;
  int orientation = 1;
};

WebpFacts read_webp_facts(std::string_view bytes) {
  const ByteReader in(bytes, true);
  WebpFacts facts;
  uint64_t at = 12;
  while (in.has(at, 8)) {
    const std::string_view chunk = bytes.substr(at, 4);
    const uint64_t size = in.u32(at + 4), data = at + 8;
    const bool first_frame = facts.width == 0;
    if (chunk == "VP8X") {
      facts.animated = in.u8(data) & 2;
      facts.canvas_width = in.u24(data + 4) + 1;
      facts.canvas_height = in.u24(data + 7) + 1;
    } else if (chunk == "VP8 " && first_frame) {
      facts.width = in.u16(data + 6) & 0x3FFF;
      facts.height = in.u16(data + 8) & 0x3FFF;
    } else if (chunk == "VP8L" && first_frame) {
      facts.lossless = true;
      facts.width = (in.u32(data + 1) & 0x3FFF) + 1;
      facts.height = (in.u32(data + 1) >> 14 & 0x3FFF) + 1;
    } else if (chunk == "EXIF" && in.has(data, size)) {
      facts.orientation = exif_orientation(bytes.substr(data, size));
    }
    at = data + size + (size & 1);
  }
  return facts;
}

// Tags of the first directory of a classic TIFF, each with its first numbers.
class TiffDirectory {
 public:
  TiffDirectory(std::string_view bytes, const std::string& name) : in_(bytes, bytes[0] == 'I'), name_(name) {
    const uint64_t directory = in_.u32(4), entries = in_.u16(directory);
    check(in_.has(directory, 2 + 12 * entries) && entries > 0, "{}: truncated TIFF: no directory inside the file",
          name);
    for (uint64_t i = 0; i < entries; ++i) {
      const uint64_t entry = directory + 2 + 12 * i;
      entries_.emplace(in_.u16(entry), entry);
    }
  }

  std::vector<uint32_t> numbers(uint32_t tag) const {
    const auto found = entries_.find(tag);
    if (found == entries_.end()) return {};
    const uint64_t entry = found->second, count = in_.u32(entry + 4);
    const uint64_t size = in_.u16(entry + 2) == 3 ? 2 : in_.u16(entry + 2) == 4 ? 4 : 0;
    if (!size) return {};
    const uint64_t at = size * count <= 4 ? entry + 8 : in_.u32(entry + 8);
    check(in_.has(at, size * count), "{}: truncated TIFF: tag {} points outside the file", name_, tag);
    std::vector<uint32_t> values(count);
    for (uint64_t i = 0; i < count; ++i) values[i] = size == 2 ? in_.u16(at + 2 * i) : in_.u32(at + 4 * i);
    return values;
  }
  uint32_t number(uint32_t tag, uint32_t otherwise) const {
    const auto values = numbers(tag);
    return values.empty() ? otherwise : values[0];
  }

  // The least number of bytes of uncompressed samples; 0 where they are compressed.
  uint64_t row_bytes(int64_t width, int64_t height) const {
    constexpr uint32_t kYcbcr = 6;  // its colours may be stored for each fourth pixel only
    if (number(259, 1) != 1) return 0;
    const uint32_t samples = number(262, 1) == kYcbcr ? 1 : number(277, 1);
    return (static_cast<uint64_t>(width) * number(258, 1) * samples + 7) / 8 * static_cast<uint64_t>(height);
  }

  // Every strip or tile lies inside the file.
  void check_data(uint32_t offsets_tag, uint32_t counts_tag) const {
    const auto offsets = numbers(offsets_tag), counts = numbers(counts_tag);
    check(offsets.size() == counts.size(), "{}: corrupt TIFF: {} data offsets, {} sizes", name_, offsets.size(),
          counts.size());
    for (size_t i = 0; i < offsets.size(); ++i)
      check(in_.has(offsets[i], counts[i]), "{}: truncated TIFF: the file ends before its picture does", name_);
  }

 private:
  ByteReader in_;
  const std::string& name_;
  std::map<uint32_t, uint64_t> entries_;
};

}  // namespace

Image decode_bmp(std::string_view bytes, const std::string& name) {
  const ByteReader in(bytes, true);
  check(in.has(14, 12), "{}: truncated BMP: the file ends in its header", name);
  const bool old = in.u32(14) == 12;
  const int64_t width = old ? in.u16(18) : static_cast<int32_t>(in.u32(18));
  const int64_t height = old ? in.u16(20) : std::abs(int64_t{static_cast<int32_t>(in.u32(22))});
  check_image_size(name, width, height);
  check_claim(name, "BMP", in.u32(10) + bmp_row_bytes(in, width, height), bytes.size());
  return decode_with_opencv(bytes, name, "BMP");
}

Image decode_webp(std::string_view bytes, const std::string& name) {
  const WebpFacts facts = read_webp_facts(bytes);
  check(!facts.animated, "{}: unsupported format: animated WebP", name);
  const uint64_t stated = uint64_t{ByteReader(bytes, true).u32(4)} + 8;
  check_claim(name, "WebP", stated, bytes.size());
  check_image_size(name, facts.width, facts.height);
  check(facts.canvas_width == 0 || (facts.canvas_width == facts.width && facts.canvas_height == facts.height),
        "{}: corrupt WebP: its canvas is {} x {}, its picture {} x {}", name, facts.canvas_width, facts.canvas_height,
        facts.width, facts.height);
  // A lossy block of 16x16 has a mode of 2.6 bits at least, coded with fixed odds (RFC 6386, section 11.2).
  if (!facts.lossless)
    check_claim(name, "WebP", static_cast<uint64_t>(facts.width * facts.height) / 1024, bytes.size());
  check_flat_claim(name, facts.width, facts.height, bytes.size());
  return upright(decode_with_opencv(bytes, name, "WebP"), facts.orientation);
}

Image decode_tiff(std::string_view bytes, const std::string& name) {
  const TiffDirectory tags(bytes, name);
  const int64_t width = tags.number(256, 0), height = tags.number(257, 0);
  check_image_size(name, width, height);
  const uint32_t bits = tags.number(258, 1), photometric = tags.number(262, 1), sample_format = tags.number(339, 1);
  check(bits <= 8 || (bits == 16 && (photometric == 1 || photometric == 2)),
        "{}: unsupported TIFF: {} bits a sample, photometric kind {}", name, bits, photometric);
  check(sample_format == 1, "{}: unsupported TIFF: samples are not unsigned integers", name);
  const bool tiled = !tags.numbers(324).empty();
  check(tiled || !tags.numbers(273).empty(), "{}: corrupt TIFF: no picture data", name);
  tiled ? tags.check_data(324, 325) : tags.check_data(273, 279);
  check_claim(name, "TIFF", tags.row_bytes(width, height), bytes.size());
  check_flat_claim(name, width, height, bytes.size());
  if (tiled) {
    const int64_t tile_width = tags.number(322, 0), tile_height = tags.number(323, 0);
    check_image_size(name, tile_width, tile_height);
    check_flat_claim(name, tile_width, tile_height, bytes.size());
  }
  return decode_with_opencv(bytes, name, "TIFF");
}

}  // namespace yolov3
