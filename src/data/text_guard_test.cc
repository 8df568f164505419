#include "data/text_guard.h"

#include <gtest/gtest.h>

#include "data/source.h"
#include "data/test_folder.h"

namespace yolov3 {
namespace {

TEST(TextGuard, Utf8AsRfc3629SaysIt) {
  for (const char* good :
       {"", "dog", "\xC3\xA9", "\xE8\xA1\x80", "\xF0\x9F\x90\xB6", "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(is_utf8(good)) << good;
  }
  for (const char* bad :
       {"\x80", "\xC0\x80", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF", "\xE8\xA1"}) {
    EXPECT_FALSE(is_utf8(bad)) << bad;
  }
}

TEST(TextGuard, ShownIsSafeToPrint) {
  EXPECT_EQ(shown("a\nb\x1B[2J"), "a?b?[2J");
  EXPECT_EQ(shown("caf\xC3\xA9"), "caf\xC3\xA9");
  EXPECT_EQ(shown("caf\xE9"), "caf?");
  EXPECT_EQ(shown("caf\xC3\xA9s", 4), "caf...");  // never half a character
}

TEST(ClassNames, D21BlankLinesBomAndCrlfAreNoClasses) {
  const std::vector<std::string> want = {"traffic light", "dog"};
  EXPECT_EQ(parse_class_names("\xEF\xBB\xBFtraffic light\r\n\r\n  dog\t\r\n\r\n", "x.names"), want);
  EXPECT_EQ(parse_class_names("traffic light\ndog", "x.names"), want);  // no final newline
}

TEST(ClassNames, RefusesWhatIsNotNames) {
  EXPECT_TRUE(contains(error_of([] { parse_class_names("", "x.names"); }), "x.names: expected class names"));
  EXPECT_TRUE(contains(error_of([] { parse_class_names("\n \n", "x.names"); }), "found none"));
  EXPECT_TRUE(contains(error_of([] {
                         parse_class_names(std::string("\xFF\xFE"
                                                       "d\0o\0",
                                                       6),
                                           "x.names");
                       }),
                       "UTF-16"));
  EXPECT_TRUE(contains(error_of([] { parse_class_names("dog\ncaf\xE9\n", "x.names"); }), "x.names:2"));
  EXPECT_TRUE(contains(error_of([] { parse_class_names(std::string(300, 'x'), "x.names"); }), "300 bytes"));
  const TestFolder folder;
  EXPECT_TRUE(contains(error_of([&] { read_class_names(folder / "none.names"); }), "none.names: cannot open"));
}

TEST(ClassNames, DamagedFilesGiveNamesOrAnError) {
  for (const std::string& text : damaged("\xEF\xBB\xBFperson\r\nbicycle\r\ntraffic light\r\ndog\r\n")) {
    try {
      for (const std::string& name : parse_class_names(text, "x.names")) EXPECT_TRUE(!name.empty() && is_utf8(name));
    } catch (const Error& error) {
      EXPECT_TRUE(contains(error.what(), "x.names"));
    }
  }
}

TEST(TextGuard, LikelyMeantIsAskedForShortWordsOnly) {
  const std::string word(64, 'a');
  EXPECT_EQ(likely_meant("dgo", {"cat", "dog"}), "dog");
  EXPECT_EQ(likely_meant(word, {"cat", word}), word);
  EXPECT_EQ(likely_meant(word + "a", {"cat", word + "a"}), "");
  EXPECT_EQ(likely_meant(std::string(4 << 20, 'a'), std::vector<std::string>(10'000, word)), "");
}

}  // namespace
}  // namespace yolov3
