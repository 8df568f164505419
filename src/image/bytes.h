// Numbers inside a file's bytes, little or big endian. Anything outside reads as 0: ask has() where 0 would mislead.
#pragma once

#include <cstdint>
#include <string_view>

namespace yolov3 {

class ByteReader {
 public:
  ByteReader(std::string_view bytes, bool little_endian) : bytes_(bytes), little_(little_endian) {}

  bool has(uint64_t at, uint64_t count) const { return at <= bytes_.size() && count <= bytes_.size() - at; }
  uint32_t u8(uint64_t at) const { return has(at, 1) ? static_cast<uint8_t>(bytes_[at]) : 0; }
  uint32_t u16(uint64_t at) const {
    if (!has(at, 2)) return 0;
    return little_ ? u8(at) | u8(at + 1) << 8 : u8(at) << 8 | u8(at + 1);
  }
  uint32_t u24(uint64_t at) const {
    if (!has(at, 3)) return 0;
    return little_ ? u16(at) | u8(at + 2) << 16 : u16(at) << 8 | u8(at + 2);
  }
  uint32_t u32(uint64_t at) const {
    if (!has(at, 4)) return 0;
    return little_ ? u16(at) | u16(at + 2) << 16 : u16(at) << 16 | u16(at + 2);
  }

 private:
  std::string_view bytes_;
  bool little_;
};

}  // namespace yolov3
