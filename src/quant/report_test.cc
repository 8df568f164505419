#include "quant/report.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "quant/test_int8_engine.h"

namespace yolov3 {
namespace {

Calibration example() {
  Calibration c;
  c.quantization = {std::vector<float>(5, 1.0f), {0, 2, 3}};
  c.passed = true;
  c.method = ScaleMethod::entropy;
  c.f32_map50 = 0.9;
  c.int8_map50 = 0.896;
  c.f32_map = 0.56;
  c.int8_map = 0.5512;
  c.max_drop = 0.5;
  c.float_layers = {{0, FloatReason::first, {}}, {2, FloatReason::sensitive, 0.125}, {3, FloatReason::head, {}}};
  c.images = 64;
  c.judged = 72;
  c.f32_engine = "dnnl f32";
  c.int8_engine = "dnnl int8";
  c.f32_ms = 160.04;
  return c;
}

#define EXPECT_SAYS(text, words) EXPECT_NE((text).find(words), std::string::npos) << (text)

TEST(QuantReport, TheTableHasTheFiguresAndTheReasons) {
  const NetworkSpec spec = testing::white_finder({false, false}).spec;
  Calibration c = example();
  const std::string table = calibration_table(spec, c);
  EXPECT_SAYS(table, "f32        0.9000    0.5600     160.0 ms  dnnl f32\n");
  EXPECT_SAYS(table, "int8       0.8960    0.5512            -  dnnl int8\n");
  EXPECT_SAYS(table, "drop 0.40 points, allowed 0.50: passed\n");
  EXPECT_SAYS(table, "scales by entropy from 64 pictures, judged on 72\n");
  EXPECT_SAYS(table, "int8: 1 of 4 convolutions");
  EXPECT_SAYS(table, "layer   0 in floating point (32x32/32 conv, 2 filters): reads the picture\n");
  EXPECT_SAYS(table,
              "layer   2 in floating point (1x1/1 conv, 2 filters): sensitive: int8 in it alone moves the raw "
              "maps by 12.5%\n");
  EXPECT_SAYS(table, "layer   3 in floating point (1x1/1 conv, 7 filters): feeds a head\n");
  c.passed = false;
  EXPECT_SAYS(calibration_table(spec, c), ": FAILED\n");
  EXPECT_SAYS(calibration_summary(spec, c),
              "mAP50 0.8960 of 0.9000 in f32; scales by entropy from 64 pictures; 1 of 4");
}

TEST(QuantReport, TheJsonHoldsTheSame) {
  const NetworkSpec spec = testing::white_finder({false, false}).spec;
  Calibration c = example();
  c.float_layers[1].deviation = std::numeric_limits<double>::infinity();
  const nlohmann::json json = nlohmann::json::parse(calibration_json(spec, c));
  EXPECT_EQ(json["passed"], true);
  EXPECT_EQ(json["f32_AP50"], 0.9);
  EXPECT_EQ(json["int8_AP50"], 0.896);
  EXPECT_EQ(json["f32_AP"], 0.56);
  EXPECT_EQ(json["int8_AP"], 0.5512);
  EXPECT_NEAR(json["drop_points"].get<double>(), 0.4, 1e-9);
  EXPECT_EQ(json["max_drop_points"], 0.5);
  EXPECT_EQ(json["method"], "entropy");
  EXPECT_EQ(json["f32_ms"], 160.04);
  EXPECT_TRUE(json["int8_ms"].is_null());
  EXPECT_EQ(json["convolutions"], 4);
  EXPECT_EQ(json["int8_convolutions"], 1);
  ASSERT_EQ(json["float_layers"].size(), 3u);
  EXPECT_EQ(json["float_layers"][1]["layer"], 2);
  EXPECT_EQ(json["float_layers"][1]["reason"], "sensitive");
  EXPECT_TRUE(json["float_layers"][1]["deviation"].is_null());
}

// Multiply-adds: layer 0 has 2 filters of 3*32*32 over 4 cells, 1 and 2 have 2 of 2, the head 7 of 2.
TEST(QuantReport, TheShareOfInt8CountsOperations) {
  const NetworkSpec spec = testing::white_finder({false, false}).spec;
  const double all = 2 * 3 * 32 * 32 + 2 * 2 + 2 * 2 + 7 * 2;
  EXPECT_NEAR(int8_share(spec, {{}, {0, 2, 3}}), 4 / all, 1e-12);
  EXPECT_EQ(int8_share(spec, {{}, {}}), 1);
}

}  // namespace
}  // namespace yolov3
