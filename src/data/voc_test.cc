#include "data/voc.h"

#include <gtest/gtest.h>

#include "data/test_folder.h"

namespace yolov3 {
namespace {

const std::vector<std::string> kNames = {"cat", "dog"};

std::string object(const std::string& name, const std::string& box, const std::string& more = "") {
  return "  <object>\n    <name>" + name + "</name>" + more + "\n    <bndbox>" + box + "</bndbox>\n  </object>\n";
}

std::string corners(const std::string& x0, const std::string& y0, const std::string& x1, const std::string& y1) {
  return "<xmin>" + x0 + "</xmin><ymin>" + y0 + "</ymin><xmax>" + x1 + "</xmax><ymax>" + y1 + "</ymax>";
}

std::string annotation(const std::string& inside) {
  return "<annotation>\n  <filename>a.jpg</filename>\n"
         "  <size><width>100</width><height>80</height><depth>3</depth></size>\n" +
         inside + "</annotation>\n";
}

TEST(Voc, CornersNamesDifficultAndLines) {
  const std::string xml = annotation(object("dog", corners("11", "21", "30.5", "40")) +
                                     object(" cat ", corners("1", "2", "3", "4"), "<difficult>1</difficult>"));
  const StatedPicture picture = parse_voc_xml(xml, "a.xml", kNames);
  EXPECT_FALSE(picture.defect);
  EXPECT_EQ(picture.image, "a.jpg");
  EXPECT_EQ(picture.width, 100);
  EXPECT_EQ(picture.height, 80);
  EXPECT_TRUE(picture.voc_corners);
  ASSERT_EQ(picture.boxes.size(), 2u);
  EXPECT_EQ(picture.boxes[0].class_id, 1);
  EXPECT_EQ(picture.boxes[0].x1, 30.5);
  EXPECT_EQ(picture.boxes[0].line, 6);  // of its <bndbox>
  EXPECT_FALSE(picture.boxes[0].difficult);
  EXPECT_EQ(picture.boxes[1].class_id, 0);
  EXPECT_TRUE(picture.boxes[1].difficult);
  EXPECT_EQ(picture.boxes[1].line, 10);
}

TEST(Voc, BoxesThatCannotBeRead) {
  const std::string xml = annotation(object("dog", corners("x", "1", "2", "3")) + object("dog", "") +
                                     object("bird", corners("1", "2", "3", "4")) + "<object/>" +
                                     object("dog", corners("nan", "1", "2", "3")));
  const StatedPicture picture = parse_voc_xml(xml, "a.xml", kNames);
  ASSERT_EQ(picture.boxes.size(), 5u);
  EXPECT_TRUE(picture.boxes[0].unreadable);
  EXPECT_TRUE(contains(picture.boxes[0].problem, "<xmin>"));
  EXPECT_TRUE(picture.boxes[1].unreadable);
  EXPECT_FALSE(picture.boxes[2].unreadable);
  EXPECT_EQ(picture.boxes[2].class_id, -1);
  EXPECT_EQ(picture.boxes[2].problem, "bird");
  EXPECT_TRUE(picture.boxes[3].unreadable);
  EXPECT_TRUE(picture.boxes[4].unreadable);
}

TEST(Voc, BrokenXmlSaysTheLine) {
  const StatedPicture cut = parse_voc_xml("<annotation>\n<object>\n", "a.xml", kNames);
  ASSERT_TRUE(cut.defect);
  EXPECT_EQ(cut.defect->reason, "broken annotation");
  EXPECT_TRUE(contains(cut.defect->where, "a.xml:"));
  EXPECT_TRUE(cut.defect->image);
  const StatedPicture other = parse_voc_xml("<html/>", "a.xml", kNames);
  ASSERT_TRUE(other.defect);
  EXPECT_TRUE(contains(other.defect->detail, "<html>"));
  EXPECT_TRUE(parse_voc_xml("", "a.xml", kNames).defect);
  EXPECT_TRUE(
      parse_voc_xml("<annotation><size><width>-5</width><height>1e300</height></size></annotation>", "a.xml", kNames)
          .width == 0);
}

TEST(Voc, DamagedAndHostileXmlNeverCrashes) {
  const std::string good =
      annotation(object("dog", corners("11", "21", "30", "40")) + object("cat", corners("1", "2", "3", "4")));
  std::vector<std::string> texts = damaged(good);
  std::string deep;
  for (int i = 0; i < 300'000; ++i) deep += "<a>";
  texts.push_back(deep);
  texts.push_back("<!DOCTYPE x [<!ENTITY a \"&a;&a;\"><!ENTITY b \"&a;&a;\">]><annotation>&b;</annotation>");
  texts.push_back("\xFF\xFE<\0a\0n\0");
  for (const std::string& text : texts) {
    const StatedPicture picture = parse_voc_xml(text, "a.xml", kNames);
    EXPECT_TRUE(!picture.defect || contains(picture.defect->where, "a.xml"));
  }
}

// A folder with two listed pictures, one XML that is missing and one that belongs to no split.
void make_folder(const TestFolder& folder) {
  folder.write("Annotations/a.xml", annotation(object("dog", corners("1", "2", "3", "4"))));
  folder.write("Annotations/b 1.xml", annotation(object("cat", corners("1", "2", "3", "4"))));
  folder.write("Annotations/z.xml", annotation(object("zebra", corners("1", "2", "3", "4"))));
  folder.write("ImageSets/Main/train.txt",
               "\xEF\xBB\xBF"
               "a  1\r\n\r\nb 1\r\nmissing\r\n");
  folder.write("ImageSets/Main/val.txt", "z\n");
  folder.picture("JPEGImages/A.PNG", 8, 8);
  folder.picture("JPEGImages/b 1.jpg", 8, 8);
}

TEST(Voc, FolderSplitsNamesAndImages) {
  const TestFolder folder;
  make_folder(folder);
  EXPECT_TRUE(is_voc_folder(folder / ""));
  EXPECT_EQ(voc_splits(folder / ""), (std::vector<std::string>{"train", "val"}));
  EXPECT_EQ(voc_class_names(folder / ""), (std::vector<std::string>{"cat", "dog", "zebra"}));
  const auto pictures = read_voc(folder / "", "train", {"cat", "dog", "zebra"});
  ASSERT_EQ(pictures.size(), 3u);
  EXPECT_EQ(pictures[0].image.filename(), "A.PNG");  // <filename> says a.jpg
  EXPECT_EQ(pictures[1].image.filename(), "b 1.jpg");
  EXPECT_EQ(pictures[1].boxes[0].class_id, 0);
  ASSERT_TRUE(pictures[2].defect);
  EXPECT_EQ(pictures[2].defect->reason, "missing annotation");
  EXPECT_TRUE(contains(pictures[2].defect->where, "train.txt:4"));
  EXPECT_TRUE(contains(error_of([&] { read_voc(folder / "", "test", kNames); }), "no split \"test\""));
  EXPECT_TRUE(contains(error_of([&] { read_voc(folder / "", "val", {"dog", "dog"}); }), "twice"));
}

TEST(Voc, WithoutImageSetsTheWholeFolderIsEverySplit) {
  const TestFolder folder;
  make_folder(folder);
  std::filesystem::remove_all(folder / "ImageSets");
  EXPECT_EQ(read_voc(folder / "", "test", kNames).size(), 3u);
}

TEST(Voc, FilenameDecidesBetweenImagesOfOneStem) {
  const TestFolder folder;
  make_folder(folder);
  folder.picture("JPEGImages/a.jpg", 8, 8);
  EXPECT_EQ(read_voc(folder / "", "train", kNames)[0].image.filename(), "a.jpg");
}

}  // namespace
}  // namespace yolov3
