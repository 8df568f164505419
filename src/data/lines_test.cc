#include "data/lines.h"

#include <gtest/gtest.h>

#include "data/test_folder.h"

namespace yolov3 {
namespace {

TEST(Lines, NumbersPathsAndLineNumbers) {
  const auto pictures = parse_lines(
      "\xEF\xBB\xBF"
      "a.jpg 1,2,30,40,0 5.5,6.25,7e1,80,12\r\n\r\n/abs/b.png\r\n",
      "set/train.txt");
  ASSERT_EQ(pictures.size(), 2u);
  EXPECT_EQ(pictures[0].image, "set/a.jpg");
  ASSERT_EQ(pictures[0].boxes.size(), 2u);
  const StatedBox& box = pictures[0].boxes[1];
  EXPECT_EQ(box.x0, 5.5);
  EXPECT_EQ(box.y0, 6.25);
  EXPECT_EQ(box.x1, 70);
  EXPECT_EQ(box.y1, 80);
  EXPECT_EQ(box.class_id, 12);
  EXPECT_EQ(pictures[0].boxes[0].class_id, 0);
  EXPECT_EQ(pictures[0].origin(), "set/train.txt:1");
  EXPECT_EQ(pictures[1].image, "/abs/b.png");  // D5: a background picture is kept
  EXPECT_TRUE(pictures[1].boxes.empty());
  EXPECT_EQ(pictures[1].origin(), "set/train.txt:3");
}

TEST(Lines, D6PathsMayHoldSpacesAndCommas) {
  const auto pictures =
      parse_lines("my  pictures/a, b 1,2,3.jpg 1,2,3,4,0\nmy pictures/none.jpg\nno extension 1,2,3,4,0\n", "t.txt");
  ASSERT_EQ(pictures.size(), 3u);
  EXPECT_EQ(pictures[0].image, "my  pictures/a, b 1,2,3.jpg");
  EXPECT_EQ(pictures[0].boxes.size(), 1u);
  EXPECT_EQ(pictures[1].image, "my pictures/none.jpg");
  EXPECT_TRUE(pictures[1].boxes.empty());
  EXPECT_EQ(pictures[2].image, "no extension");
  EXPECT_EQ(pictures[2].boxes.size(), 1u);
}

TEST(Lines, BoxesThatCannotBeReadAreNotPartOfThePath) {
  const auto pictures = parse_lines("a b.jpg 1,2,3,4,0 1,2,nan,4,0 5,6,7,8,1 1,2,3,4 9,9,9,9,9", "t.txt");
  ASSERT_EQ(pictures.size(), 1u);
  EXPECT_EQ(pictures[0].image, "a b.jpg");
  const std::vector<StatedBox>& boxes = pictures[0].boxes;
  ASSERT_EQ(boxes.size(), 5u);
  const bool want[] = {false, true, false, true, false};
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(boxes[i].unreadable, want[i]) << i;
  EXPECT_EQ(boxes[2].class_id, 1);
  EXPECT_TRUE(contains(boxes[1].problem, "1,2,nan,4,0"));
}

TEST(Lines, RefusesBinaryAndMissingFiles) {
  EXPECT_TRUE(contains(error_of([] { parse_lines(std::string_view("a\0b", 3), "t.txt"); }), "binary"));
  EXPECT_TRUE(contains(error_of([] { parse_lines("\xFF\xFE", "t.txt"); }), "UTF-16"));
  EXPECT_TRUE(contains(error_of([] { read_lines("/nowhere/t.txt"); }), "/nowhere/t.txt"));
  EXPECT_TRUE(parse_lines("", "t.txt").empty());
  EXPECT_TRUE(parse_lines(" \n\t\r\n", "t.txt").empty());
}

TEST(Lines, LongPathsAndTooManyBoxesAreDefectsOfTheirPicture) {
  std::string boxes;
  for (int i = 0; i < 20'000; ++i) boxes += " 1,2,3,4,0";
  const std::string path = std::string(4092, 'a') + ".jpg";
  const auto pictures =
      parse_lines(path + boxes + "\n" + "a.jpg" + boxes + " 1,2,3,4,0\n" + "a" + path + "\n" + "a.jpg x" + boxes + "\n",
                  "/set/t.txt");
  ASSERT_EQ(pictures.size(), 4u);
  EXPECT_FALSE(pictures[0].defect.has_value());
  EXPECT_EQ(pictures[0].image, "/set/" + path);
  EXPECT_EQ(pictures[0].boxes.size(), 20'000u);
  const char* const reasons[] = {"", "too many boxes", "unreadable path", "too many boxes"};
  for (size_t i = 1; i < 4; ++i) {
    ASSERT_TRUE(pictures[i].defect.has_value()) << i;
    EXPECT_EQ(pictures[i].defect->reason, reasons[i]);
    EXPECT_EQ(pictures[i].defect->where, "/set/t.txt:" + std::to_string(i + 1));
    EXPECT_TRUE(pictures[i].defect->image);
    EXPECT_LT(pictures[i].defect->detail.size(), 200u);
  }
}

TEST(Lines, FilesOfNothingButShortLinesOrWordsAreRefused) {
  std::string lines;
  for (int i = 0; i < 5'000'001; ++i) lines += "a\n";
  EXPECT_TRUE(contains(error_of([&] { parse_lines(lines, "t.txt"); }), "t.txt: more than 5000000 lines"));
  std::string line = "a.jpg", text;
  for (int i = 0; i < 20'000; ++i) line += " x";
  for (int i = 0; i < 51; ++i) text += line + "\n";
  EXPECT_TRUE(contains(error_of([&] { parse_lines(text, "t.txt"); }), "t.txt:51: more than 1000000 boxes"));
}

TEST(Lines, DamagedAndHostileTextNeverCrashes) {
  const std::string good = "a.jpg 1,2,30,40,0 5,6,70,80,1\nmy pictures/b.jpg 1.5,2.5,3.5,4.5,2\nc.jpg\n";
  std::vector<std::string> texts = damaged(good);
  texts.push_back("a.jpg " + std::string(100'000, ','));
  texts.push_back("a.jpg 1e999,-1e999,99999999999999999999999,4,0");
  texts.push_back("a.jpg 1,2,3,4,99999999999999999999999999");
  texts.push_back(std::string(1 << 20, 'x'));
  std::string words;
  for (int i = 0; i < 200'000; ++i) words += "x ";  // linear time, not quadratic
  texts.push_back(words);
  std::string boxes(1 << 20, 'x');
  for (int i = 0; i < 20'000; ++i) boxes += " 1,2,3,4,0";
  texts.push_back(boxes);
  for (const std::string& text : texts) {
    try {
      for (const StatedPicture& picture : parse_lines(text, "t.txt")) EXPECT_GE(picture.line, 1);
    } catch (const Error& error) {
      EXPECT_TRUE(contains(error.what(), "t.txt"));
    }
  }
}

// Read in blocks: lines of all lengths fall across their ends.
TEST(Lines, FilesLargerThanABlockAreReadLineByLine) {
  const TestFolder folder;
  std::string text = "\xEF\xBB\xBF";
  std::vector<size_t> boxes;
  for (size_t i = 0; text.size() < 3'500'000; ++i) {
    boxes.push_back(i % 97 * (i % 13 == 0 ? 40 : 1));
    text += "p" + std::to_string(i) + ".jpg";
    for (size_t k = 0; k < boxes.back(); ++k) text += " 1,2,3.25,4," + std::to_string(k % 7);
    text += i % 2 ? "\r\n" : "\n";
  }
  text += "last.jpg";  // without an end
  const auto pictures = read_lines(folder.write("t.txt", text));
  ASSERT_EQ(pictures.size(), boxes.size() + 1);
  for (size_t i = 0; i < boxes.size(); ++i) {
    ASSERT_EQ(pictures[i].image.filename(), "p" + std::to_string(i) + ".jpg");
    ASSERT_EQ(pictures[i].boxes.size(), boxes[i]);
    ASSERT_EQ(pictures[i].line, static_cast<int64_t>(i) + 1);
  }
  EXPECT_EQ(pictures.back().image.filename(), "last.jpg");
  EXPECT_TRUE(contains(error_of([&] { read_lines(folder.write("b.txt", text + std::string(1, '\0'))); }), "binary"));
  EXPECT_TRUE(contains(error_of([&] { read_lines(folder / ""); }), "expected a file"));
}

// What `data convert --to lines` writes of a large data set must be readable here.
TEST(Lines, SlowAFileOfOver64MegabytesIsRead) {
  const TestFolder folder;
  std::string line = "a.jpg";
  for (int i = 0; i < 10'000; ++i) line += " 100.25,200.5,300,400,12";
  std::string text;
  for (int i = 0; i < 300; ++i) text += line + "\n";
  ASSERT_GT(text.size(), size_t{70'000'000});
  const auto pictures = read_lines(folder.write("t.txt", text));
  ASSERT_EQ(pictures.size(), 300u);
  EXPECT_EQ(pictures[299].boxes.size(), 10'000u);
}

TEST(Lines, PathsFromWindowsAreFound) {
  const TestFolder folder;
  folder.picture("sub/a.png", 8, 8);
  const auto pictures = read_lines(folder.write("t.txt", "sub\\a.png 1,2,3,4,0\r\nsub\\none.png\r\n"));
  EXPECT_EQ(pictures.at(0).image, folder / "sub/a.png");
  EXPECT_EQ(pictures.at(0).boxes.size(), 1u);
  EXPECT_EQ(pictures.at(1).image, folder / "sub\\none.png");
}

}  // namespace
}  // namespace yolov3
