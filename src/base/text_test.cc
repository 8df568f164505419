#include "base/text.h"

#include <gtest/gtest.h>

namespace yolov3 {
namespace {

using Parts = std::vector<std::string_view>;

TEST(Text, TrimTakesWhiteSpaceAtBothEndsOnly) {
  EXPECT_EQ(trim(" \t a b\r\n"), "a b");
  EXPECT_EQ(trim("a"), "a");
  EXPECT_EQ(trim(" \r\n\t "), "");
  EXPECT_EQ(trim(""), "");
}

TEST(Text, SplitKeepsEmptyParts) {
  EXPECT_EQ(split("a,,b,", ','), (Parts{"a", "", "b", ""}));
  EXPECT_EQ(split("", ','), (Parts{""}));
  EXPECT_EQ(split("abc", ','), (Parts{"abc"}));
}

TEST(Text, SplitWordsKeepsNone) {
  EXPECT_EQ(split_words("  a \t bc\r\nd "), (Parts{"a", "bc", "d"}));
  EXPECT_EQ(split_words(" \n "), Parts{});
  EXPECT_EQ(split_words("one"), (Parts{"one"}));
}

TEST(Text, LinesOfAnySystem) {
  EXPECT_EQ(split_lines("\xEF\xBB\xBF"
                        "a\r\nb\r\n"),
            (Parts{"a", "b"}));
  EXPECT_EQ(split_lines("a\n\nb"), (Parts{"a", "", "b"}));
  EXPECT_EQ(split_lines("a\r"), (Parts{"a"}));
  EXPECT_EQ(split_lines("\n"), (Parts{""}));
  EXPECT_EQ(split_lines(""), Parts{});
  EXPECT_EQ(split_lines("\xEF\xBB\xBF"), Parts{});
}

TEST(Text, OnlyAByteOrderMarkIsTaken) {
  EXPECT_EQ(without_bom("\xEF\xBB\xBFx"), "x");
  EXPECT_EQ(without_bom("\xEF\xBBx"), "\xEF\xBBx");
  EXPECT_EQ(without_bom("x\xEF\xBB\xBF"), "x\xEF\xBB\xBF");
}

TEST(Text, IntegersAreWholeOrNothing) {
  EXPECT_EQ(parse_integer("0"), 0);
  EXPECT_EQ(parse_integer("-12"), -12);
  EXPECT_EQ(parse_integer("+3"), 3);
  EXPECT_EQ(parse_integer("007"), 7);
  EXPECT_EQ(parse_integer("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(parse_integer("-9223372036854775808"), INT64_MIN);
  for (const char* text : {"", "+", "-", "+-3", "-+3", "++3", "12x", "x12", " 3", "3 ", "1.0", "1e3", "0x10", "nan",
                           "9223372036854775808", "-9223372036854775809"}) {
    EXPECT_EQ(parse_integer(text), std::nullopt) << '"' << text << '"';
  }
}

TEST(Text, NumbersAreFiniteAndWholeOrNothing) {
  EXPECT_EQ(parse_number("0.5"), 0.5);
  EXPECT_EQ(parse_number("-1.25e2"), -125);
  EXPECT_EQ(parse_number("+3"), 3);
  EXPECT_EQ(parse_number(".5"), 0.5);
  EXPECT_EQ(parse_number("5."), 5);
  EXPECT_EQ(parse_number("1e308"), 1e308);
  for (const char* text : {"", "+", ".", "+-3", "12x", " 3", "3 ", "1,5", "0x10", "nan", "NaN", "-nan", "inf", "-inf",
                           "infinity", "1e999", "-1e999", "1e", "1e+"}) {
    EXPECT_EQ(parse_number(text), std::nullopt) << '"' << text << '"';
  }
  EXPECT_EQ(parse_number(std::string_view("3\0", 2)), std::nullopt);
}

TEST(Text, ClosestMatchIsNearOrNothing) {
  const std::vector<std::string> options = {"batch", "epochs", "imgsz"};
  EXPECT_EQ(closest_match("epcohs", options), "epochs");
  EXPECT_EQ(closest_match("bach", options), "batch");
  EXPECT_EQ(closest_match("imgsz", options), "imgsz");
  EXPECT_EQ(closest_match("learning-rate", options), "");
  EXPECT_EQ(closest_match("zzz", options), "");
  EXPECT_EQ(closest_match("batch", {}), "");
}

TEST(Text, CaseIsOfAsciiLettersOnly) {
  EXPECT_EQ(to_lower("AbZ-09_\xC3\x84"), "abz-09_\xC3\x84");
  EXPECT_TRUE(ends_with_ignoring_case("a.JPG", ".jpg"));
  EXPECT_FALSE(ends_with_ignoring_case("a.jpeg", ".jpg"));
  EXPECT_FALSE(ends_with_ignoring_case("g", ".jpg"));
  EXPECT_TRUE(ends_with_ignoring_case("a", ""));
}

TEST(Text, DurationsHaveUnits) {
  EXPECT_EQ(parse_duration("30s"), 30);
  EXPECT_EQ(parse_duration("10m"), 600);
  EXPECT_EQ(parse_duration("2h"), 7200);
  EXPECT_EQ(parse_duration("1h30m"), 5400);
  EXPECT_EQ(parse_duration("1h0.5s"), 3600.5);
  EXPECT_EQ(parse_duration("0.5h"), 1800);
  EXPECT_EQ(parse_duration("0"), 0);
  EXPECT_EQ(parse_duration("0s"), 0);
  for (const char* wrong : {"", "10", "m", "10 m", "10min", "-10m", "1m1h", "1m1m", "1e3s", "1..5s", "10m5", "nan s"}) {
    EXPECT_FALSE(parse_duration(wrong)) << wrong;
  }
}

TEST(Text, HumanFigures) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1000), "1.0 kB");
  EXPECT_EQ(human_bytes(3.2e6), "3.2 MB");
  EXPECT_EQ(human_bytes(5e15), "5000.0 TB");
  EXPECT_EQ(human_seconds(0), "0:00");
  EXPECT_EQ(human_seconds(-5), "0:00");
  EXPECT_EQ(human_seconds(59.6), "1:00");
  EXPECT_EQ(human_seconds(3723), "1:02:03");
  EXPECT_EQ(human_seconds(1.0 / 0.0), "?");
}

TEST(Text, MarkupIsEscaped) {
  EXPECT_EQ(markup_escaped("a & b <c> \"d\" 'e' \xC3\xBC"), "a &amp; b &lt;c&gt; &quot;d&quot; 'e' \xC3\xBC");
  EXPECT_EQ(markup_escaped(""), "");
}

}  // namespace
}  // namespace yolov3
