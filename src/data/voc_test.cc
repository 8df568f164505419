#include "data/voc.h"

#include <gtest/gtest.h>

#include "data/source.h"
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
  const VocPictures read = read_voc(folder / "", "train", {"cat", "dog", "zebra"});
  const std::vector<StatedPicture>& pictures = read.pictures;
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
  EXPECT_EQ(read_voc(folder / "", "test", kNames).pictures.size(), 3u);
}

TEST(Voc, FilenameDecidesBetweenImagesOfOneStem) {
  const TestFolder folder;
  make_folder(folder);
  folder.picture("JPEGImages/a.jpg", 8, 8);
  EXPECT_EQ(read_voc(folder / "", "train", kNames).pictures[0].image.filename(), "a.jpg");
}

std::vector<std::string> places(const std::vector<Defect>& defects) {
  std::vector<std::string> all;
  for (const Defect& defect : defects) {
    all.push_back(defect.reason + " " + std::filesystem::path(defect.where).filename().string());
  }
  return all;
}

TEST(Voc, PicturesWithoutAnnotationAreListedAndCountForNothing) {
  const TestFolder folder;
  make_folder(folder);
  std::filesystem::remove_all(folder / "ImageSets");
  for (const char* name : {"new.jpg", "newer.png", "z.png"}) folder.picture(std::string("JPEGImages/") + name, 8, 8);
  const VocPictures read = read_voc(folder / "", "train", kNames);
  EXPECT_EQ(read.pictures.size(), 3u);
  EXPECT_EQ(places(read.loose),
            (std::vector<std::string>{"image without annotation new.jpg", "image without annotation newer.png"}));
  DefectReport report;
  EXPECT_EQ(load_dataset(options_for(folder / ""), "train", report).examples.size(), 3u)
      << "two of five are no reason to stop: they may wait to be annotated";
  EXPECT_EQ(report.images_seen, 3);
  EXPECT_EQ(report.counts(), (Counts{{"image without annotation", 2}, {"other size", 3}})) << "8x8, 100x80 stated";
}

TEST(Voc, WhatNoListNamesIsFound) {
  const TestFolder folder;
  make_folder(folder);
  folder.write("Annotations/extra.xml", annotation(""));
  folder.write("ImageSets/Main/trainval.txt", "a\nextra\n");
  folder.picture("JPEGImages/new.jpg", 8, 8);
  DataOptions options = options_for(folder / "");
  EXPECT_EQ(splits_of(options), (std::vector<std::string>{"train", "val"}));
  EXPECT_EQ(places(find_unread(options)),
            (std::vector<std::string>{"annotation in no split extra.xml", "image without annotation new.jpg"}));
  EXPECT_TRUE(find_unread(options_for(folder / ":trainval")).empty()) << "who asks for a list wants that list";
}

// labelImg writes the XML beside its picture; many shared data sets have annotations/ and images/.
TEST(Voc, OtherLayoutsOfTheSameFiles) {
  for (const auto& [xml, picture] : {std::pair("a.xml", "a.jpg"), std::pair("annotations/a.xml", "images/a.jpg"),
                                     std::pair("annotations/a.XML", "Images/a.jpg")}) {
    const TestFolder folder;
    folder.write(xml, annotation(object("dog", corners("1", "2", "30", "40"))));
    folder.picture(picture, 100, 80);
    EXPECT_TRUE(is_voc_folder(folder / "")) << xml;
    DefectReport report;
    const Dataset read = load_dataset(options_for(folder / ""), "train", report);
    EXPECT_EQ(read.names, (std::vector<std::string>{"dog"}));
    EXPECT_EQ(read.examples.at(0).objects.at(0).box, (Box{0, 1, 30, 40})) << xml;
    EXPECT_TRUE(report.defects.empty()) << describe(report, 5);
  }
  const TestFolder folder;  // labels beside the pictures count, whatever XML lies around
  folder.picture("a.jpg", 8, 8);
  folder.write("a.txt", "0 0.5 0.5 1 1\n");
  folder.write("a.xml", annotation(""));
  EXPECT_FALSE(is_voc_folder(folder / ""));
  folder.write("coco/annotations/instances.json", "{}");
  folder.picture("coco/images/a.jpg", 8, 8);
  EXPECT_FALSE(is_voc_folder(folder / "coco"));
}

TEST(Voc, LinksThatLeadNowhereAreMissing) {
  const TestFolder folder;
  make_folder(folder);
  std::filesystem::remove_all(folder / "ImageSets");
  std::filesystem::create_symlink("/nowhere", folder / "Annotations/c.xml");
  std::filesystem::create_symlink("/nowhere", folder / "JPEGImages/z.png");
  DefectReport report;
  DataOptions options = options_for(folder / "");
  options.max_left_out = 1;
  EXPECT_EQ(load_dataset(options, "train", report).examples.size(), 2u);
  EXPECT_EQ(report.counts()["missing annotation"], 1);
  EXPECT_EQ(report.counts()["missing image"], 1);
}

TEST(Voc, MacOsFilesAreNeitherAnnotationsNorPictures) {
  const TestFolder folder;
  make_folder(folder);
  std::filesystem::remove_all(folder / "ImageSets");
  folder.write("Annotations/._a.xml", "\x05\x16\x07");
  folder.write("JPEGImages/._a.jpg", "\x05\x16\x07");
  const VocPictures read = read_voc(folder / "", "train", kNames);
  EXPECT_EQ(read.pictures.size(), 3u);
  EXPECT_TRUE(read.loose.empty());
}

// It would end the line of a names file.
TEST(Voc, AClassNameOfTwoLinesIsNone) {
  const TestFolder folder;
  make_folder(folder);
  folder.write("Annotations/a.xml", annotation(object("big\ndog", corners("1", "2", "3", "4"))));
  EXPECT_EQ(voc_class_names(folder / ""), (std::vector<std::string>{"cat", "zebra"}));
  const StatedPicture picture =
      parse_voc_xml(annotation(object("big\ndog", corners("1", "2", "3", "4"))), "a.xml", kNames);
  EXPECT_EQ(picture.boxes.at(0).class_id, -1);
}

TEST(Voc, WhatIsNotReadIsCounted) {
  Unheld unheld;
  parse_voc_xml(
      annotation("<folder>x</folder><source><database>Unknown</database></source><owner><name>n</name></owner>"
                 "<segmented>0</segmented>" +
                 object("dog", corners("1", "2", "3", "4"), "<truncated>1</truncated><pose>Left</pose>")),
      "a.xml", kNames, &unheld);
  EXPECT_EQ(unheld, (Unheld{{"annotation owner", 1}, {"object pose", 1}, {"object truncated", 1}}));
}

}  // namespace
}  // namespace yolov3
