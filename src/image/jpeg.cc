#include "image/jpeg.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <jerror.h>
#include <jpeglib.h>

#include "base/error.h"
#include "base/text.h"
#include "image/exif.h"
#include "image/limits.h"

namespace yolov3 {
namespace {

constexpr int kMaxScans = 500;             // a hostile progressive file could repeat cheap scans for hours
constexpr long kMaxScanMemory = 1L << 30;  // for the coefficients of a file of several scans, 6 bytes a pixel in 4:4:4

// libjpeg knows its error manager by address: `base` stays first.
struct Errors {
  jpeg_error_mgr base{};
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX] = "";
  bool in_picture = false;  // past the header
  bool input_ended = false;
};

Errors& errors_of(j_common_ptr info) { return *reinterpret_cast<Errors*>(info->err); }

[[noreturn]] void give_up(j_common_ptr info) {
  Errors& errors = errors_of(info);
  info->err->format_message(info, errors.message);
  std::longjmp(errors.jump, 1);
}

// Level -1 is a warning; only those that lost no picture data are passed over.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  const Errors& errors = errors_of(info);
  switch (info->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA: return;
    case JWRN_EXTRANEOUS_DATA: {
      const int skipped = info->err->msg_parm.i[0], marker = info->err->msg_parm.i[1];
      const bool before_restart = marker >= 0xD0 && marker <= 0xD7;
      if (!errors.in_picture || (!before_restart && skipped <= kMaxExtraBytes)) return;
      break;
    }
    default: break;
  }
  give_up(info);
}

void no_output(j_common_ptr) {}

// libjpeg's jumps skip destructors, so `call` may hold only plain values. False = it gave up; the reason is in errors.
template <class Call>
bool guarded(Errors& errors, Call&& call) {
  if (setjmp(errors.jump)) return false;
  call();
  return true;
}

void install(Errors& errors) {
  jpeg_std_error(&errors.base);
  errors.base.error_exit = give_up;
  errors.base.emit_message = on_message;
  errors.base.output_message = no_output;
}

// The input: all bytes at once; after them libjpeg is given an EOI marker, and we remember that it asked.
boolean feed_end(j_decompress_ptr info) {
  static const JOCTET kEnd[2] = {0xFF, JPEG_EOI};
  Errors& errors = errors_of(reinterpret_cast<j_common_ptr>(info));
  errors.input_ended = true;
  if (!errors.in_picture) ERREXIT(info, JERR_INPUT_EOF);
  info->src->next_input_byte = kEnd;
  info->src->bytes_in_buffer = 2;
  return TRUE;
}

void skip_input(j_decompress_ptr info, long count) {
  jpeg_source_mgr& source = *info->src;
  if (count <= 0) return;
  if (static_cast<size_t>(count) > source.bytes_in_buffer) {
    feed_end(info);
    return;
  }
  source.next_input_byte += count;
  source.bytes_in_buffer -= static_cast<size_t>(count);
}

void nothing(j_decompress_ptr) {}

void count_scans(j_common_ptr info) {
  if (!info->is_decompressor) return;
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMaxScans) return;
  Errors& errors = errors_of(info);
  info->err->msg_code = JERR_BAD_PROGRESSION;
  std::snprintf(errors.message, sizeof errors.message, "more than %d scans", kMaxScans);
  std::longjmp(errors.jump, 1);
}

// With Adobe's marker the four inks are stored inverted: 255 is no ink.
void rgb_from_cmyk(const uint8_t* cmyk, uint8_t* rgb, int width, bool inverted) {
  for (int x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
    for (int c = 0; c < 3; ++c) {
      const int light = inverted ? cmyk[c] * cmyk[3] : (255 - cmyk[c]) * (255 - cmyk[3]);
      rgb[c] = static_cast<uint8_t>((light + 127) / 255);
    }
  }
}

class JpegReader {
 public:
  JpegReader(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {
    install(errors_);
    info_.err = &errors_.base;
  }
  ~JpegReader() { jpeg_destroy_decompress(&info_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  LoadedImage read(const LoadOptions& options) {
    read_header();
    check_header();
    const int orientation = find_orientation();
    LoadedImage out;
    const int width = static_cast<int>(info_.image_width), height = static_cast<int>(info_.image_height);
    out.full_width = swaps_sides(orientation) ? height : width;
    out.full_height = swaps_sides(orientation) ? width : height;
    info_.scale_num = static_cast<unsigned>(choose_scale(out.full_width, out.full_height, options));
    info_.scale_denom = 8;
    out.image = upright(read_picture(), orientation);
    return out;
  }

  PictureSize read_size() {
    read_header();
    check_image_size(name_, info_.image_width, info_.image_height);
    const int width = static_cast<int>(info_.image_width), height = static_cast<int>(info_.image_height);
    return swaps_sides(find_orientation()) ? PictureSize{height, width} : PictureSize{width, height};
  }

 private:
  void read_header() {
    const bool ok = guarded(errors_, [this] {
      jpeg_create_decompress(&info_);
      info_.mem->max_memory_to_use = kMaxScanMemory;
      info_.src = &source_;
      source_.next_input_byte = reinterpret_cast<const JOCTET*>(bytes_.data());
      source_.bytes_in_buffer = bytes_.size();
      source_.init_source = source_.term_source = nothing;
      source_.fill_input_buffer = feed_end;
      source_.skip_input_data = skip_input;
      source_.resync_to_restart = jpeg_resync_to_restart;
      progress_.progress_monitor = count_scans;
      info_.progress = &progress_;
      jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xFFFF);
      jpeg_read_header(&info_, TRUE);
      errors_.in_picture = true;
    });
    if (!ok) report();
  }

  void check_header() {
    check_image_size(name_, info_.image_width, info_.image_height);
    // Not one 8x8 block of a colour component is shorter than a bit.
    uint64_t blocks = 0;
    for (int c = 0; c < info_.num_components; ++c)
      blocks += uint64_t{info_.comp_info[c].width_in_blocks} * info_.comp_info[c].height_in_blocks;
    check_claim(name_, "JPEG", blocks / 8, bytes_.size());
    check(!info_.arith_code, "{}: unsupported JPEG: arithmetic coding; save it as a baseline JPEG", name_);
    const J_COLOR_SPACE space = info_.jpeg_color_space;
    four_inks_ = space == JCS_CMYK || space == JCS_YCCK;
    check(four_inks_ || space == JCS_GRAYSCALE || space == JCS_RGB || space == JCS_YCbCr,
          "{}: unsupported JPEG: {} colour components", name_, info_.num_components);
    info_.out_color_space = four_inks_ ? JCS_CMYK : JCS_RGB;
  }

  int find_orientation() const {
    for (auto* marker = info_.marker_list; marker; marker = marker->next) {
      const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
      if (data.starts_with(std::string_view("Exif\0\0", 6))) return exif_orientation(data);
    }
    return 1;
  }

  static int choose_scale(int width, int height, const LoadOptions& options) {
    if (options.net_width <= 0 || options.net_height <= 0) return 8;
    for (int eighths : {1, 2, 4}) {
      if ((int64_t{width} * eighths + 7) / 8 >= 2 * int64_t{options.net_width} &&
          (int64_t{height} * eighths + 7) / 8 >= 2 * int64_t{options.net_height})
        return eighths;
    }
    return 8;
  }

  Image read_picture() {
    if (!guarded(errors_, [this] { jpeg_start_decompress(&info_); })) report();
    // Files of several scans have been read to their end by now. Whether one more scan was to come is not known.
    if (jpeg_has_multiple_scans(&info_) && errors_.input_ended) report();
    for (int c = 0; c < info_.num_components; ++c)
      check(info_.comp_info[c].quant_table, "{}: corrupt JPEG: colour component {} has no data", name_, c + 1);

    Image image(static_cast<int>(info_.output_width), static_cast<int>(info_.output_height));
    row_.resize(four_inks_ ? 4 * static_cast<size_t>(image.width) : 0);
    if (!guarded(errors_, [this, &image] { read_lines(image); })) report();
    return image;
  }

  void read_lines(Image& image) {
    while (info_.output_scanline < info_.output_height) {
      uint8_t* line = image.pixel(0, static_cast<int>(info_.output_scanline));
      JSAMPROW target = four_inks_ ? row_.data() : line;
      jpeg_read_scanlines(&info_, &target, 1);
      if (four_inks_) rgb_from_cmyk(row_.data(), line, image.width, info_.saw_Adobe_marker);
    }
    jpeg_finish_decompress(&info_);
  }

  [[noreturn]] void report() {
    if (errors_.input_ended && !errors_.in_picture) fail("{}: truncated JPEG: the file ends in its header", name_);
    if (errors_.input_ended) fail("{}: truncated JPEG: the file ends before its picture does", name_);
    switch (errors_.base.msg_code) {
      case JERR_SOF_UNSUPPORTED:
      case JERR_BAD_PRECISION:
      case JERR_COMPONENT_COUNT:
      case JERR_CONVERSION_NOTIMPL:
      case JERR_ARITH_NOTIMPL:
      case JERR_NOT_COMPILED: fail("{}: unsupported JPEG: {}", name_, errors_.message);
      case JERR_NO_BACKING_STORE:
        fail("{}: too large: {} x {} pixels in several scans need over {} of memory; save it as a baseline JPEG", name_,
             info_.image_width, info_.image_height, human_bytes(static_cast<double>(kMaxScanMemory)));
      case JERR_OUT_OF_MEMORY: fail("{}: out of memory", name_);
      default: fail("{}: corrupt JPEG: {}", name_, errors_.message);
    }
  }

  std::string_view bytes_;
  const std::string& name_;
  Errors errors_;
  jpeg_source_mgr source_{};
  jpeg_progress_mgr progress_{};
  jpeg_decompress_struct info_{};
  std::vector<uint8_t> row_;
  bool four_inks_ = false;
};

struct FreeBuffer {
  unsigned char* data = nullptr;
  unsigned long size = 0;
  ~FreeBuffer() { std::free(data); }
};

}  // namespace

LoadedImage decode_jpeg(std::string_view bytes, const std::string& name, const LoadOptions& options) {
  return JpegReader(bytes, name).read(options);
}

PictureSize jpeg_size(std::string_view bytes, const std::string& name) { return JpegReader(bytes, name).read_size(); }

std::string encode_jpeg(const Image& image, int quality) {
  check(image.width > 0 && image.height > 0 && image.width <= kMaxImageSide && image.height <= kMaxImageSide,
        "cannot write a JPEG of {} x {} pixels", image.width, image.height);
  Errors errors;
  install(errors);
  jpeg_compress_struct info{};
  info.err = &errors.base;
  FreeBuffer out;
  const bool ok = guarded(errors, [&] {
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &out.data, &out.size);
    info.image_width = static_cast<JDIMENSION>(image.width);
    info.image_height = static_cast<JDIMENSION>(image.height);
    info.input_components = 3;
    info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, quality, TRUE);
    if (quality >= 90) info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;
    info.optimize_coding = TRUE;
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
      JSAMPROW line = const_cast<JSAMPROW>(image.pixel(0, static_cast<int>(info.next_scanline)));
      jpeg_write_scanlines(&info, &line, 1);
    }
    jpeg_finish_compress(&info);
  });
  jpeg_destroy_compress(&info);
  check(ok, "cannot write a JPEG: {}", errors.message);
  return std::string(reinterpret_cast<const char*>(out.data), out.size);
}

}  // namespace yolov3
