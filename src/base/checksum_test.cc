#include "base/checksum.h"

#include <gtest/gtest.h>

#include <string>

namespace yolov3 {
namespace {

// RFC 3720 appendix B.4; "123456789" is the check value of CRC catalogues.
TEST(Crc32c, PublishedVectors) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string rising, falling;
  for (int i = 0; i < 32; ++i) {
    rising.push_back(static_cast<char>(i));
    falling.push_back(static_cast<char>(31 - i));
  }
  EXPECT_EQ(crc32c(rising), 0x46dd794eu);
  EXPECT_EQ(crc32c(falling), 0x113fdb5cu);
}

TEST(Crc32c, ContinuesAtAnyByte) {
  const std::string bytes = "123456789";
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    EXPECT_EQ(crc32c(bytes.substr(cut), crc32c(bytes.substr(0, cut))), 0xe3069283u) << cut;
  }
}

// crc 0xe3069283 turned right by 15 bits is 0x2507c60d; 0x2507c60d + 0xa282ead8 = 0xc78ab0e5.
TEST(Crc32c, MaskedAsTensorFlowDoes) {
  EXPECT_EQ(masked_crc32c(""), 0xa282ead8u);
  EXPECT_EQ(masked_crc32c("123456789"), 0xc78ab0e5u);
}

}  // namespace
}  // namespace yolov3
