#include "image/plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"

namespace yolov3 {
namespace {

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

TEST(Plot, LinesLegendTicks) {
  const std::string svg = svg_plot({{"train", {1, 2, 3}, {0, 0.5, 1}}, {"val", {1, 2, 3}, {0.1, 0.2, 0.9}}},
                                   {.title = "loss", .x_label = "epoch", .y_label = "value"});
  EXPECT_TRUE(svg.starts_with("<svg xmlns"));
  EXPECT_EQ(count(svg, "<polyline"), 2u);
  for (const char* text : {">train<", ">val<", ">epoch<", ">value<", ">0.2<", ">1<", "prefers-color-scheme:dark"})
    EXPECT_NE(svg.find(text), svg.npos) << text;
}

TEST(Plot, GapsAndLonePoints) {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  const std::string svg = svg_plot({{"a", {0, 1, 2, 3, 4, 5, 6}, {1, 2, nan, 3, inf, 4, 5}}}, {});
  EXPECT_EQ(count(svg, "<polyline"), 2u);
  EXPECT_EQ(count(svg, "<circle"), 1u);
  EXPECT_EQ(svg.find("nan"), svg.npos);
  EXPECT_EQ(svg.find("inf"), svg.npos);
}

TEST(Plot, EscapesText) {
  const std::string svg = svg_plot({{"<b>&\"'\x01", {0}, {0}}}, {.title = "a<b"});
  EXPECT_NE(svg.find("&lt;b&gt;&amp;&quot;&#39; <"), svg.npos);
  EXPECT_NE(svg.find("a&lt;b"), svg.npos);
}

TEST(Plot, AwkwardRanges) {
  for (bool log_y : {false, true}) {
    const PlotOptions options{.title = "t", .log_y = log_y};
    for (const auto& y : std::vector<std::vector<double>>{
             {}, {0, 0}, {5}, {-1e300, 1e300}, {1e-300, 1e300}, {1e-12, 2e-12}, {1e9, 1e9 + 1}, {-3, -3}}) {
      std::vector<double> x;
      for (size_t i = 0; i < y.size(); ++i) x.push_back(static_cast<double>(i));
      const std::string svg = svg_plot({{"s", x, y}}, options);
      EXPECT_TRUE(svg.ends_with("</svg>\n"));
      EXPECT_EQ(svg.find("nan"), svg.npos) << testing::PrintToString(y);
      EXPECT_EQ(svg.find("=\"inf"), svg.npos) << testing::PrintToString(y);
      EXPECT_LT(svg.size(), 20000u);
    }
  }
  EXPECT_THROW(svg_plot({{"s", {1, 2}, {1}}}, {}), Error);
}

TEST(Plot, LogAxisHasPowersOfTen) {
  const std::string svg = svg_plot({{"s", {0, 1, 2}, {0.01, 1, 90}}, {"zero", {0, 1}, {0, -1}}}, {.log_y = true});
  for (const char* tick : {">0.01<", ">0.1<", ">1<", ">10<", ">100<"}) EXPECT_NE(svg.find(tick), svg.npos) << tick;
  EXPECT_EQ(count(svg, "<polyline"), 1u);
}

}  // namespace
}  // namespace yolov3
