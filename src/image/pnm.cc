#include "image/pnm.h"

#include "image/bytes.h"
#include "image/limits.h"

namespace yolov3 {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

class PnmReader {
 public:
  PnmReader(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  Image read() {
    const char kind = bytes_[1];
    const bool text = kind == '2' || kind == '3';
    const int channels = kind == '3' || kind == '6' ? 3 : 1;
    const int64_t width = number(), height = number();
    maxval_ = static_cast<uint32_t>(number());
    check_image_size(name_, width, height);
    check(maxval_ >= 1 && maxval_ <= 65535, "{}: corrupt PNM: maxval {} is not in 1..65535", name_, maxval_);
    if (!text && at_ < bytes_.size()) ++at_;  // exactly one white space before binary samples
    const uint64_t samples =
        static_cast<uint64_t>(width) * static_cast<uint64_t>(height) * static_cast<uint64_t>(channels);
    const uint64_t sample_bytes = text ? 2 : maxval_ > 255 ? 2 : 1;
    check_claim(name_, "PNM", at_ + samples * sample_bytes - (text ? 1 : 0), bytes_.size());

    Image image(static_cast<int>(width), static_cast<int>(height));
    const ByteReader binary(bytes_, false);
    for (uint64_t i = 0; i < samples; ++i) {
      uint32_t value;
      if (text) {
        value = static_cast<uint32_t>(number());
      } else {
        value = sample_bytes == 2 ? binary.u16(at_) : binary.u8(at_);
        at_ += sample_bytes;
      }
      const uint8_t level = level_of(value);
      if (channels == 3) {
        image.rgb[i] = level;
      } else {
        image.rgb[3 * i] = image.rgb[3 * i + 1] = image.rgb[3 * i + 2] = level;
      }
    }
    return image;
  }

 private:
  uint8_t level_of(uint32_t value) const {
    check(value <= maxval_, "{}: corrupt PNM: sample {} is over maxval {}", name_, value, maxval_);
    return static_cast<uint8_t>((value * 255 + maxval_ / 2) / maxval_);
  }

  int64_t number() {
    while (at_ < bytes_.size() && (is_space(bytes_[at_]) || bytes_[at_] == '#')) {
      if (bytes_[at_] == '#') {
        while (at_ < bytes_.size() && bytes_[at_] != '\n') ++at_;
      } else {
        ++at_;
      }
    }
    check(at_ < bytes_.size(), "{}: truncated PNM: the file ends before its picture does", name_);
    int64_t value = 0;
    const size_t first = at_;
    while (at_ < bytes_.size() && bytes_[at_] >= '0' && bytes_[at_] <= '9' && value <= 1'000'000'000)
      value = value * 10 + (bytes_[at_++] - '0');
    check(at_ > first && value <= 1'000'000'000, "{}: corrupt PNM: expected a number at byte {}", name_, first);
    return value;
  }

  std::string_view bytes_;
  const std::string& name_;
  size_t at_ = 2;  // after "P6"
  uint32_t maxval_ = 0;
};

}  // namespace

Image decode_pnm(std::string_view bytes, const std::string& name) { return PnmReader(bytes, name).read(); }

}  // namespace yolov3
