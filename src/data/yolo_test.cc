#include "data/yolo.h"

#include <gtest/gtest.h>

#include "data/source.h"
#include "data/test_folder.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

TEST(Yolo, LabelsLieWhereTheLastImagesFolderIsCalledLabels) {
  EXPECT_EQ(yolo_label_path("d/images/train/a.b.jpg"), "d/labels/train/a.b.txt");
  EXPECT_EQ(yolo_label_path("images/a.jpg"), "labels/a.txt");
  EXPECT_EQ(yolo_label_path("images/x/images/a.jpg"), "images/x/labels/a.txt");
  EXPECT_EQ(yolo_label_path("voc/JPEGImages/a.jpg"), "voc/labels/a.txt");
  EXPECT_EQ(yolo_label_path("my images/a.jpg"), "my images/a.txt");
  EXPECT_EQ(yolo_label_path("d/images.jpg"), "d/images.txt");
}

TEST(Yolo, LinesAreCentreAndSizeOrAnOutline) {
  Counts unheld;
  const StatedPicture picture = parse_yolo_labels(
      "\xEF\xBB\xBF"
      "1 0.5 0.25 0.5 0.1\r\n\r\n0.0 0.1 0.2 0.4 0.9 0.3 0.5\n",
      "a.txt", &unheld);
  ASSERT_EQ(picture.boxes.size(), 2u);
  EXPECT_TRUE(picture.relative);
  EXPECT_EQ(picture.boxes[0].class_id, 1);
  EXPECT_DOUBLE_EQ(picture.boxes[0].x0, 0.25);
  EXPECT_DOUBLE_EQ(picture.boxes[0].y0, 0.2);
  EXPECT_DOUBLE_EQ(picture.boxes[0].x1, 0.75);
  EXPECT_DOUBLE_EQ(picture.boxes[0].y1, 0.3);
  EXPECT_EQ(picture.boxes[1].line, 3);
  EXPECT_EQ(picture.boxes[1].class_id, 0);
  EXPECT_EQ(picture.boxes[1].x0, 0.1);  // of the points (0.1,0.2), (0.4,0.9), (0.3,0.5)
  EXPECT_EQ(picture.boxes[1].y0, 0.2);
  EXPECT_EQ(picture.boxes[1].x1, 0.4);
  EXPECT_EQ(picture.boxes[1].y1, 0.9);
  EXPECT_EQ(unheld, (Counts{{"outline", 1}}));
}

TEST(Yolo, WhatIsNoBoxSaysSo) {
  for (const char* line : {"0 0.5 0.5 0.1", "0 0.5 0.5 0.1 0.1 0.9", "dog 0.5 0.5 0.1 0.1", "0.5 0.5 0.5 0.1 0.1",
                           "0 1e300 0.5 0.1 0.1", "0 nan 0.5 0.1 0.1", "0,0.5,0.5,0.1,0.1"}) {
    const StatedPicture picture = parse_yolo_labels(line, "a.txt");
    ASSERT_EQ(picture.boxes.size(), 1u) << line;
    EXPECT_TRUE(picture.boxes[0].unreadable) << line;
  }
  EXPECT_TRUE(contains(error_of([] { parse_yolo_labels(std::string_view("0\0", 2), "a.txt"); }), "binary"));
}

TEST(Yolo, DamagedLabelsAreBoxesOrDefects) {
  for (const std::string& text : damaged("0 0.5 0.5 0.25 0.125\n1 0.1 0.2 0.3 0.4 0.5 0.6\n")) {
    try {
      EXPECT_LE(parse_yolo_labels(text, "a.txt").boxes.size(), 4097u);
    } catch (const Error&) {
    }
  }
}

// Pictures of 40x20: a has a box, b an empty label, c none; d.txt has no picture.
void write_set(const TestFolder& folder, const std::string& root = "") {
  for (const char* name : {"a.png", "b.png", "deep/c.png"}) folder.picture(root + "images/train2017/" + name, 40, 20);
  folder.write(root + "labels/train2017/a.txt", "1 0.5 0.5 0.5 0.5\n");
  folder.write(root + "labels/train2017/b.txt", "\n");
  folder.write(root + "labels/train2017/d.txt", "0 0.5 0.5 0.5 0.5\n");
  folder.write(root + "labels/classes.txt", "cat\ndog\n");
}

TEST(Yolo, AFolderOfPicturesAndItsLabels) {
  const TestFolder folder;
  write_set(folder);
  const YoloPictures read = read_yolo_folder(folder / "images/train2017");
  ASSERT_EQ(read.pictures.size(), 3u);
  EXPECT_EQ(read.pictures[0].boxes.size(), 1u);
  EXPECT_FALSE(read.pictures[0].note);
  EXPECT_FALSE(read.pictures[1].note) << "an empty label says background on purpose";
  ASSERT_TRUE(read.pictures[2].note);
  EXPECT_EQ(read.pictures[2].note->reason, "image without label");
  ASSERT_EQ(read.loose.size(), 1u);
  EXPECT_EQ(read.loose[0].reason, "label without image");
  EXPECT_EQ(read.loose[0].where, (folder / "labels/train2017/d.txt").string());
}

TEST(Yolo, TheWholeFolderHasItsSplitsAndNames) {
  const TestFolder folder;
  write_set(folder);
  folder.picture("images/val/v.png", 8, 8);
  folder.write("labels/val/v.txt", "0 0.5 0.5 1 1\n");
  EXPECT_EQ(splits_of(options_for(folder / "")), (std::vector<std::string>{"train", "val"}));
  DefectReport report;
  DataOptions options = options_for(folder / "");
  const Dataset val = load_dataset(options, "val", report);
  EXPECT_EQ(val.names, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(val.examples.at(0).objects.at(0).box, (Box{0, 0, 8, 8}));
  EXPECT_TRUE(report.defects.empty());
  // One of four left out is over 5%, but a single one never stops a run.
  const Dataset train = load_dataset(options, "train", report);
  ASSERT_EQ(train.examples.size(), 3u);
  EXPECT_EQ(train.examples[0].objects.at(0).box, (Box{10, 5, 30, 15}));
  EXPECT_EQ(train.examples[0].objects[0].class_id, 1);
  EXPECT_EQ(report.counts(), (Counts{{"image without label", 1}, {"label without image", 1}}));
  EXPECT_EQ(report.images_seen, 5);
  EXPECT_TRUE(contains(error_of([&] { load_dataset(options, "test", report); }), "no split \"test\""));
  fs::remove(folder / "labels/classes.txt");
  EXPECT_TRUE(contains(error_of([&] { load_dataset(options, "val", report); }), "--names"));
}

TEST(Yolo, PicturesWithoutASingleLabelAreNotTakenAsBackground) {
  const TestFolder folder;
  folder.picture("images/a.png", 8, 8);
  EXPECT_TRUE(contains(error_of([&] { read_yolo_folder(folder / "images"); }), "labels/a.txt"));
  make_directories(folder / "images/none");
  EXPECT_TRUE(contains(error_of([&] { read_yolo_folder(folder / "images/none"); }), "found none"));
}

TEST(Yolo, RoboflowsLayoutAndPathsAreUnderstood) {
  const TestFolder folder;
  folder.picture("train/images/a.png", 8, 8);
  folder.write("train/labels/a.txt", "0 0.5 0.5 1 1\n");
  folder.picture("valid/images/b.png", 8, 8);
  folder.write("valid/labels/b.txt", "0 0.5 0.5 1 1\n");
  const fs::path yaml =
      folder.write("data.yaml", "train: ../train/images\nval: ../valid/images\nnc: 1\nnames: ['cell']\n");
  DefectReport report;
  EXPECT_EQ(load_dataset(options_for(yaml), "val", report).examples.at(0).objects.size(), 1u);
  const fs::path names = folder.write("n.txt", "cell\n");
  EXPECT_EQ(splits_of(options_for(folder / "")), (std::vector<std::string>{"train", "val"}));
  EXPECT_EQ(load_dataset(options_for(folder / "", names), "val", report).examples.size(), 1u);
}

TEST(Yolo, ListsOfPicturesAreReadWithTheirLabels) {
  const TestFolder folder;
  write_set(folder, "set/");
  const fs::path names = folder.write("names.txt", "cat\ndog\n");
  const fs::path list = folder.write("set/train.txt", "./images/train2017/a.png\nimages/train2017/b.png\n");
  DefectReport report;
  EXPECT_EQ(load_dataset(options_for(list, names), "train", report).examples.at(0).objects.size(), 1u);
  EXPECT_TRUE(report.defects.empty()) << "d.txt may belong to another list";
  // Labels beside the pictures, as Darknet's tools have them.
  folder.picture("img/a b.png", 40, 20);
  folder.write("img/a b.txt", "0 0.5 0.5 0.5 0.5\n");
  const fs::path beside = folder.write("img.txt", "img/a b.png\n");
  EXPECT_EQ(load_dataset(options_for(beside, names), "train", report).examples.at(0).objects.size(), 1u);
}

TEST(Yolo, D7WrongBoxesAreWrittenAsTheFileHasThem) {
  const TestFolder folder;
  folder.picture("images/a.png", 40, 20);
  folder.write("labels/a.txt", "0 0.5 0.5 0.5 0.5\n0 0.75 0.5 1 0.5\n7 0.5 0.5 0.1 0.1\n1 0.5 0.5 0 0.1\n");
  DataOptions options = options_for(folder / "images", folder.write("names.txt", "cat\ndog\n"));
  options.bad_data = BadDataPolicy::repair;
  DefectReport report;
  EXPECT_THROW(load_dataset(options, "train", report), Error);  // two of four cannot be mended
  ASSERT_EQ(report.defects.size(), 3u);
  EXPECT_EQ(report.defects[0].reason, "box exceeds image");
  EXPECT_EQ(report.defects[0].where, (folder / "labels/a.txt").string() + ":2");
  EXPECT_TRUE(contains(report.defects[0].detail, "0.75 0.5 1 0.5 in a picture of 40x20"));
  EXPECT_EQ(report.defects[1].reason, "wrong class");
  EXPECT_EQ(report.defects[2].reason, "zero-area box");
}

TEST(Yolo, LinkedFoldersAreFollowedAndCirclesEnd) {
  const TestFolder folder;
  write_set(folder, "real/");
  make_directories(folder / "set/images/train");
  make_directories(folder / "set/labels/train");
  fs::create_directory_symlink(folder / "real/images/train2017", folder / "set/images/train/linked");
  fs::create_directory_symlink(folder / "real/labels/train2017", folder / "set/labels/train/linked");
  fs::create_directory_symlink(folder / "set/images", folder / "set/images/train/circle");
  const YoloPictures read = read_yolo_folder(folder / "set/images/train");
  std::vector<std::string> names;
  for (const StatedPicture& picture : read.pictures) names.push_back(picture.image.string());
  EXPECT_EQ(names, (std::vector<std::string>{(folder / "set/images/train/linked/a.png").string(),
                                             (folder / "set/images/train/linked/b.png").string(),
                                             (folder / "set/images/train/linked/deep/c.png").string()}));
  EXPECT_TRUE(has_pictures(folder / "set"));
}

TEST(Yolo, ALinkThatLeadsNowhereIsAMissingPicture) {
  const TestFolder folder;
  write_set(folder);
  fs::remove(folder / "labels/train2017/d.txt");
  fs::create_symlink(folder / "gone.png", folder / "images/train2017/link.png");
  folder.write("labels/train2017/link.txt", "0 0.5 0.5 0.5 0.5\n");
  DefectReport report;
  EXPECT_EQ(load_dataset(options_for(folder / ""), "train", report).examples.size(), 3u);
  EXPECT_EQ(report.counts()["missing image"], 1);
}

TEST(Yolo, MacOsFilesAreNeitherPicturesNorLabels) {
  const TestFolder folder;
  write_set(folder);
  folder.write("images/train2017/._a.png", "\x05\x16\x07");
  folder.write("labels/train2017/._a.txt", std::string_view("\x00\x05\x16", 3));
  const YoloPictures read = read_yolo_folder(folder / "images/train2017");
  EXPECT_EQ(read.pictures.size(), 3u);
  EXPECT_EQ(read.loose.size(), 1u) << "d.txt";
  EXPECT_EQ(read.unheld, (Counts{{"macOS file ._*", 1}}));
}

TEST(Yolo, ListsFromWindowsAreRead) {
  const TestFolder folder;
  write_set(folder, "set/");
  const fs::path names = folder.write("names.txt", "cat\ndog\n");
  const fs::path list = folder.write("set/train.txt", "images\\train2017\\a.png\r\nimages\\train2017\\b.png\r\n");
  DefectReport report;
  const Dataset read = load_dataset(options_for(list, names), "train", report);
  EXPECT_EQ(read.examples.at(0).objects.size(), 1u);
  EXPECT_TRUE(report.defects.empty()) << describe(report, 5);
}

TEST(Yolo, PicturesInNoSplitAreFound) {
  const TestFolder folder;
  write_set(folder);
  folder.picture("images/extra/e.png", 8, 8);
  folder.picture("images/loose.png", 8, 8);
  folder.picture("cover.png", 8, 8);  // not where pictures belong
  std::vector<std::string> found;
  for (const Defect& defect : find_unread(options_for(folder / ""))) {
    EXPECT_EQ(defect.reason, "image in no split");
    EXPECT_TRUE(defect.beside);
    found.push_back(fs::path(defect.where).filename().string());
  }
  EXPECT_EQ(found, (std::vector<std::string>{"e.png", "loose.png"}));
}

}  // namespace
}  // namespace yolov3
