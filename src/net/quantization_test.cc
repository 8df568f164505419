#include "net/quantization.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "net/builder.h"
#include "net/models.h"

namespace yolov3 {
namespace {

// A skip, a join of an upsampled and an earlier map, and a head behind it.
NetworkSpec joined_network() {
  NetworkBuilder net({3, 32, 32});
  net.conv(8, 3).conv(8, 3, 2);                   // 0, 1
  net.conv(8, 3).shortcut(1);                     // 2, 3
  net.conv(8, 3, 2).upsample().route({5, 3});     // 4, 5, 6: 5 copies 4, 6 joins 5 and 3
  net.conv(7, 1, 16, Activation::linear, false);  // 7
  return net.yolo({{4, 5}}, {0}, 2).build();      // 8
}

std::string error_of(const NetworkSpec& spec, const Quantization& quantization) {
  try {
    check_quantization(spec, quantization);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

#define EXPECT_SAYS(message, words) EXPECT_NE((message).find(words), std::string::npos) << (message)

TEST(Quantization, MapsPassedOnShareTheirLargestScale) {
  const NetworkSpec spec = joined_network();
  std::vector<float> scales = {1, 2, 3, 4, 5, 9, 6, 7, 8};
  share_scales(spec, scales);
  // 5 copies 4, and 8 is the head on 7; 6 joins 5 and 3, which keep their own.
  EXPECT_EQ(scales, (std::vector<float>{1, 2, 3, 4, 9, 9, 6, 8, 8}));
  EXPECT_EQ(error_of(spec, {scales, {}}), "");
  const std::vector<float> once = scales;
  share_scales(spec, scales);
  EXPECT_EQ(scales, once);
  std::vector<float> few = {1, 2};
  EXPECT_THROW(share_scales(spec, few), Error);
}

// SPP's three poolings of one map and YOLOv3's joins, by hand from Darknet's yolov3-spp.cfg: layers 77 to 84 are
// conv, maxpool 5, route, maxpool 9, route, maxpool 13, route of all, conv.
TEST(Quantization, PoolingAndLongJoinsOfSpp) {
  const NetworkSpec spec = yolov3_spp();
  std::vector<float> scales(spec.layers.size(), 1.0f);
  scales[79] = 3;
  share_scales(spec, scales);
  for (int layer = 77; layer <= 82; ++layer) EXPECT_EQ(scales[static_cast<size_t>(layer)], 3) << layer;
  EXPECT_EQ(scales[76], 1);
  EXPECT_EQ(scales[83], 1) << "the join";
  EXPECT_EQ(scales[84], 1);
}

TEST(Quantization, HostileValuesAreNamed) {
  const NetworkSpec spec = joined_network();
  const std::vector<float> good(9, 0.5f);
  EXPECT_EQ(error_of(spec, {good, {0, 2, 7}}), "");
  EXPECT_SAYS(error_of(spec, {{}, {}}), "0 for a network of 9 layers");
  EXPECT_SAYS(error_of(spec, {std::vector<float>(10, 1.0f), {}}), "10 for a network of 9 layers");
  for (const float bad :
       {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> scales = good;
    scales[2] = bad;
    EXPECT_SAYS(error_of(spec, {scales, {}}), "int8 scale of layer 2 is");
  }
  std::vector<float> apart = good;
  apart[5] = 1;
  EXPECT_SAYS(error_of(spec, {apart, {}}), "passes on the other's map");
  apart = good;
  apart[2] = 1;  // computed from, not passed on
  EXPECT_EQ(error_of(spec, {apart, {}}), "");
  for (const std::vector<int>& layers : std::vector<std::vector<int>>{{-1}, {9}, {1 << 30}, {3}, {8}, {2, 0}, {2, 2}}) {
    EXPECT_SAYS(error_of(spec, {good, layers}), "no convolution or is listed out of order");
  }
}

}  // namespace
}  // namespace yolov3
