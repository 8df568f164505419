// CRC-32C (Castagnoli, RFC 3720 appendix B.4): TensorBoard's record files and our model files carry it.
#pragma once

#include <cstdint>
#include <string_view>

namespace yolov3 {

// Continues from `crc` of the bytes before. crc32c("123456789") == 0xe3069283.
uint32_t crc32c(std::string_view bytes, uint32_t crc = 0);

// TensorFlow's masked form, for checksums that are themselves stored in checksummed data.
inline uint32_t masked_crc32c(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

}  // namespace yolov3
