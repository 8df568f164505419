#include "data/source.h"
#include "base/shared_folder.h"

#include <gtest/gtest.h>

#include "data/test_folder.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

std::string load_error(const DataOptions& options, const std::string& split = "train") {
  return error_of([&] {
    DefectReport report;
    load_dataset(options, split, report);
  });
}

// Ten sound pictures of 40x30 with two boxes each, then `lines`.
fs::path lines_file(const TestFolder& folder, const std::string& lines) {
  folder.write("names.txt", "cat\ndog\n");
  std::string text;
  for (int i = 0; i < 10; ++i) {
    const std::string name = "p" + std::to_string(i) + ".png";
    folder.picture(name, 40, 30);
    text += name + " 1,2,10,20,0 5.5,6,30,29,1\n";
  }
  return folder.write("train.txt", text + lines);
}

TEST(Source, LinesReadWholeWithBackgroundsAndOrigins) {
  const TestFolder folder;
  folder.picture("back ground.png", 40, 30);
  const fs::path data = lines_file(folder, "back ground.png\n");
  DefectReport report;
  const Dataset dataset = load_dataset(options_for(data, folder / "names.txt"), "train", report);
  EXPECT_EQ(dataset.names, (std::vector<std::string>{"cat", "dog"}));
  ASSERT_EQ(dataset.examples.size(), 11u);
  EXPECT_EQ(report.images_seen, 11);
  EXPECT_EQ(report.boxes_seen, 20);
  EXPECT_TRUE(report.defects.empty());
  EXPECT_EQ(dataset.examples[0].objects[1].box, (Box{5.5f, 6, 30, 29}));
  EXPECT_EQ(dataset.examples[0].origin, data.string() + ":1");
  EXPECT_TRUE(dataset.examples[10].objects.empty());
  EXPECT_EQ(dataset.examples[10].image_id, 10);
  const LoadedImage loaded = load_example(dataset.examples[10]);
  EXPECT_EQ(loaded.full_width, 40);
  EXPECT_EQ(loaded.full_height, 30);
}

TEST(Source, D6BadPicturesAreCountedByReasonWithFileAndLine) {
  const TestFolder folder;
  folder.write("broken.png", read_file(folder.picture("whole.png", 40, 30)).substr(0, 60));
  const fs::path data = lines_file(folder, "gone.png 1,2,3,4,0\nbroken.png 1,2,3,4,0\n./p0.png 1,2,3,4,0\n");
  DefectReport report;
  DataOptions options = options_for(data, folder / "names.txt");
  EXPECT_THROW(load_dataset(options, "train", report), Error);  // 3 of 13 is over 5%
  EXPECT_EQ(report.counts(), (Counts{{"missing image", 1}, {"broken image", 1}, {"duplicate image", 1}}));
  ASSERT_EQ(report.defects.size(), 3u);
  EXPECT_EQ(report.defects[0].where, data.string() + ":11");
  EXPECT_EQ(report.defects[1].where, data.string() + ":12");
  EXPECT_EQ(report.defects[2].where, data.string() + ":13");
  EXPECT_TRUE(contains(report.defects[2].detail, data.string() + ":1 already"));
  for (const Defect& defect : report.defects) EXPECT_TRUE(defect.image);
  const std::string text = describe(report, 2);
  EXPECT_TRUE(contains(text, "13 pictures, 23 boxes, 3 defects"));
  EXPECT_TRUE(contains(text, "missing image"));
  EXPECT_TRUE(contains(text, "... and 1 more"));

  options.bad_data = BadDataPolicy::error;
  EXPECT_TRUE(contains(load_error(options), "train.txt:11: missing image"));
}

TEST(Source, APictureOfTooManyBoxesIsLeftOut) {
  const TestFolder folder;
  std::string boxes;
  for (int i = 0; i < 20'001; ++i) boxes += " 1,2,3,4,0";
  const fs::path data = lines_file(folder, folder.picture("many.png", 40, 30).string() + boxes + "\n");
  DefectReport report;
  EXPECT_EQ(load_dataset(options_for(data, folder / "names.txt"), "train", report).examples.size(), 10u);
  EXPECT_EQ(report.counts(), (Counts{{"too many boxes", 1}}));
}

TEST(Source, SkipAndRepair) {
  const TestFolder folder;
  const fs::path data = lines_file(folder, "");
  std::string text = read_file(data);
  text.replace(0, text.find('\n'), "p0.png 1,2,10,20,0 30,29,5.5,6,1");  // one inverted box of 20
  folder.write("train.txt", text);
  DataOptions options = options_for(data, folder / "names.txt");
  DefectReport report;
  EXPECT_EQ(load_dataset(options, "train", report).examples[0].objects.size(), 1u);
  EXPECT_EQ(report.counts(), (Counts{{"inverted box", 1}}));
  options.bad_data = BadDataPolicy::repair;
  const Dataset repaired = load_dataset(options, "train", report);  // the report goes on
  EXPECT_EQ(repaired.examples[0].objects[1].box, (Box{5.5f, 6, 30, 29}));
  EXPECT_EQ(report.counts(), (Counts{{"inverted box", 2}}));
  EXPECT_EQ(report.images_seen, 20);
}

TEST(Source, ThreadsDoNotChangeTheResult) {
  const TestFolder folder;
  const fs::path data = lines_file(folder, "gone.png\n");
  DefectReport one, four;
  DataOptions options = options_for(data, folder / "names.txt");
  options.threads = 1;
  const Dataset a = load_dataset(options, "train", one);
  options.threads = 4;
  const Dataset b = load_dataset(options, "train", four);
  ASSERT_EQ(a.examples.size(), b.examples.size());
  for (size_t i = 0; i < a.examples.size(); ++i) EXPECT_EQ(a.examples[i].objects, b.examples[i].objects);
  EXPECT_EQ(describe(one, 9), describe(four, 9));
}

TEST(Source, ErrorsSayWhatToTry) {
  const TestFolder folder;
  const fs::path data = lines_file(folder, "");
  EXPECT_TRUE(contains(load_error(options_for(data)), "--names"));
  EXPECT_TRUE(contains(load_error(options_for(folder / "none.txt")), "no such file or folder"));
  EXPECT_TRUE(contains(load_error(options_for("synthetic:0")), "synthetic:N"));
  EXPECT_TRUE(contains(load_error(options_for("synthetic:5"), "dev"), "no split \"dev\""));
  EXPECT_TRUE(contains(load_error(options_for("")), "--data"));
  EXPECT_TRUE(contains(load_error(options_for(folder.write("i.json", "{}"))), "COCO"));
  EXPECT_TRUE(contains(load_error(options_for(folder.write("e.txt", ""), folder / "names.txt")), "found none"));
  make_directories(folder / "yolo/images");
  EXPECT_TRUE(contains(load_error(options_for(folder / "yolo")), "YOLO txt labels"));
  make_directories(folder / "empty");
  EXPECT_TRUE(contains(load_error(options_for(folder / "empty")), "Annotations"));
  EXPECT_EQ(parse_bad_data_policy("repair"), BadDataPolicy::repair);
  EXPECT_TRUE(contains(error_of([] { parse_bad_data_policy("skp"); }), "did you mean skip"));
}

TEST(Source, AListOfPicturesWithoutLabelsIsBackground) {
  const TestFolder folder;
  folder.write("names.txt", "cat\n");
  folder.picture("images/a.png", 8, 8);
  const fs::path list = folder.write("train.txt", "images/a.png\n");
  DefectReport report;
  EXPECT_TRUE(load_dataset(options_for(list, folder / "names.txt"), "train", report).examples.at(0).objects.empty());
}

TEST(Source, CocoAndYoloInsideADataYaml) {
  const TestFolder folder;
  for (const char* name : {"images/t/a.png", "images/v/b.png"}) folder.picture(name + std::string(), 40, 20);
  folder.write("labels/t/a.txt", "0 0.5 0.5 0.5 0.5\n");
  folder.write("v.json", R"({"images":[{"id":9,"file_name":"b.png"}],"categories":[{"id":8,"name":"dog"}],
"annotations":[{"id":1,"image_id":9,"category_id":8,"bbox":[10,5,20,10]}]})");
  const fs::path yaml = folder.write("d.yaml", "train: images/t\nval: [v.json]\nnames: [dog, cat]\n");
  DefectReport report;
  DataOptions options = options_for(yaml);
  EXPECT_EQ(load_dataset(options, "train", report).examples.at(0).objects.at(0).box, (Box{10, 5, 30, 15}));
  options.images = folder / "images/v";
  const Dataset val = load_dataset(options, "val", report);
  EXPECT_EQ(val.examples.at(0).objects.at(0).box, (Box{10, 5, 30, 15}));
  EXPECT_EQ(val.examples.at(0).image_id, 9);
  EXPECT_EQ(val.category_ids, (std::vector<int64_t>{8, 1}));
  EXPECT_TRUE(report.defects.empty());
}

TEST(Source, SyntheticCounts) {
  DefectReport report;
  DataOptions options = options_for("synthetic:11");
  EXPECT_EQ(load_dataset(options, "train", report).examples.size(), 11u);
  EXPECT_EQ(load_dataset(options, "val", report).examples.size(), 2u);
  EXPECT_EQ(load_dataset(options_for("synthetic:1"), "test", report).examples.size(), 1u);
  EXPECT_EQ(report.images_seen, 14);
  options.seed = 9;
  EXPECT_EQ(load_dataset(options, "train", report).examples[0].synthetic->seed, 9u);
}

const char* const kXml =
    "<annotation><object><name>7</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>8</xmax><ymax>8</ymax></bndbox></"
    "object>"
    "<object><name>pear</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox></object></"
    "annotation>";

TEST(Source, YamlMixesSourcesAndNamesAreTheirUnion) {
  const TestFolder folder;
  folder.write("voc/Annotations/a.xml", kXml);
  folder.picture("voc/JPEGImages/a.png", 8, 8);
  folder.write("voc/ImageSets/Main/train.txt", "a\n");
  folder.write("voc/ImageSets/Main/dev.txt", "a\n");
  const fs::path yaml =
      folder.write("data.yaml", "train: [voc, synthetic:5]\nval: voc:dev\ntest: voc/ImageSets/Main/dev.txt\n");
  DefectReport report;
  const Dataset train = load_dataset(options_for(yaml), "train", report);
  ASSERT_EQ(train.names.size(), 11u);
  EXPECT_EQ(train.names[10], "pear");
  ASSERT_EQ(train.examples.size(), 6u);
  ASSERT_EQ(train.examples[0].objects.size(), 2u);
  EXPECT_EQ(train.names[static_cast<size_t>(train.examples[0].objects[0].class_id)], "7");
  EXPECT_EQ(train.examples[0].objects[1].box, (Box{0, 0, 4, 4}));
  EXPECT_EQ(load_dataset(options_for(yaml), "val", report).examples.size(), 1u);
  EXPECT_EQ(load_dataset(options_for(yaml), "test", report).examples.size(), 1u);
  EXPECT_TRUE(contains(load_error(options_for(folder / "voc"), "val"), "no split \"val\""));

  // Names given by the user decide: "7" is none of them.
  const fs::path names = folder.write("names.txt", "pear\n");
  DefectReport fresh;
  EXPECT_EQ(load_dataset(options_for(folder / "voc", names), "train", fresh).examples[0].objects.size(), 1u);
  EXPECT_EQ(fresh.counts(), (Counts{{"wrong class", 1}}));
  EXPECT_TRUE(contains(load_error(options_for("synthetic:5", names)), "lack \"0\""));
}

TEST(Source, YamlNamesServeAnnotationLines) {
  const TestFolder folder;
  lines_file(folder, "");
  const fs::path yaml =
      folder.write("sub/data.yaml", "path: ..\ntrain: train.txt\nval: train.txt\nnames: [cat, dog]\n");
  DefectReport report;
  EXPECT_EQ(load_dataset(options_for(yaml), "val", report).examples.size(), 10u);
  EXPECT_TRUE(contains(load_error(options_for(yaml), "test"), "no split \"test\"; it has train, val"));
}

using Splits = std::vector<std::string>;

TEST(Source, SplitsOfEveryKindAndEachOfThemLoads) {
  const TestFolder folder;
  const fs::path lines = lines_file(folder, "");
  for (const char* name : {"plain", "sets", "odd"}) {
    folder.write(name + std::string("/Annotations/a.xml"), kXml);
    folder.picture(name + std::string("/JPEGImages/a.png"), 8, 8);
  }
  for (const char* name : {"train", "val", "trainval", "pear_train"}) {
    folder.write("sets/ImageSets/Main/" + std::string(name) + ".txt", "a\n");
  }
  folder.write("odd/ImageSets/Main/day.txt", "a\n");
  const fs::path yaml = folder.write("d.yaml", "val: train.txt\ntrain: train.txt\ntest:\nnames: [cat, dog]\n");
  const std::vector<std::pair<DataOptions, Splits>> cases = {{options_for(lines, folder / "names.txt"), {"all"}},
                                                             {options_for(folder / "plain"), {"all"}},
                                                             {options_for(folder / "sets"), {"train", "val"}},
                                                             {options_for(folder / "odd"), {"day"}},
                                                             {options_for(folder / "sets:trainval"), {"all"}},
                                                             {options_for("synthetic:5"), {"train", "val", "test"}},
                                                             {options_for(yaml), {"train", "val"}}};
  for (const auto& [options, want] : cases) {
    EXPECT_EQ(splits_of(options), want) << options.data;
    for (const std::string& split : want) {
      DefectReport report;
      EXPECT_FALSE(load_dataset(options, split, report).examples.empty()) << options.data << " " << split;
    }
  }
  EXPECT_TRUE(contains(error_of([&] { splits_of(options_for(folder / "none")); }), "no such file or folder"));
}

TEST(Source, ASplitThatIsNotThereHurtsOnlyThoseWhoAskForIt) {
  const TestFolder folder;
  lines_file(folder, "");
  DefectReport report;
  const fs::path yaml = folder.write("d.yaml", "train: train.txt\ntest: gone.txt\nnames: [cat, dog]\n");
  EXPECT_EQ(load_dataset(options_for(yaml), "train", report).examples.size(), 10u);
  EXPECT_EQ(splits_of(options_for(yaml)), (Splits{"train", "test"}));
  EXPECT_TRUE(contains(load_error(options_for(yaml), "test"), "gone.txt: no such file or folder"));
  // Without names in the yaml they come from the splits that are there.
  const fs::path nameless = folder.write("n.yaml", "train: synthetic:5\ntest: gone\n");
  EXPECT_EQ(load_dataset(options_for(nameless), "train", report).names.size(), 10u);
}

TEST(Source, ARepeatedBrokenPictureIsBrokenOnce) {
  const TestFolder folder;
  folder.write("broken.png", "no picture");
  const fs::path data = lines_file(folder, "broken.png\n./broken.png\nbroken.png\n");
  DefectReport report;
  EXPECT_THROW(load_dataset(options_for(data, folder / "names.txt"), "train", report), Error);
  EXPECT_EQ(report.counts(), (Counts{{"broken image", 1}, {"duplicate image", 2}}));
}

TEST(Source, WithoutVerifyingTheStatedSizeIsTaken) {
  const TestFolder folder;
  folder.write("Annotations/a.xml", "<annotation><size><width>9</width><height>9</height></size></annotation>");
  folder.write("Annotations/b.xml", kXml);
  folder.write("JPEGImages/a.png", "not a picture");
  folder.picture("JPEGImages/b.png", 8, 8);
  DataOptions options = options_for(folder / "");
  DefectReport report;
  options.verify_images = false;
  EXPECT_EQ(load_dataset(options, "train", report).examples.size(), 2u);
  options.verify_images = true;
  EXPECT_EQ(load_dataset(options, "train", report).examples.size(), 1u);
  EXPECT_EQ(report.counts(), (Counts{{"broken image", 1}}));
}

// Boxes drawn on a picture of another size, or before it was turned, are all wrong: that must not be a line in the log.
TEST(Source, SizesThatLieAreListed) {
  const TestFolder folder;
  const auto write = [&](const std::string& stem, int width, int height) {
    folder.picture("JPEGImages/" + stem + ".png", 40, 30);
    folder.write("Annotations/" + stem + ".xml",
                 "<annotation><size><width>" + std::to_string(width) + "</width><height>" + std::to_string(height) +
                     "</height></size><object><name>a</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9"
                     "</ymax></bndbox></object></annotation>");
  };
  write("right", 40, 30);
  write("turned", 30, 40);
  write("unsaid", 0, 0);
  write("wrong", 80, 60);
  DefectReport report;
  DataOptions options = options_for(folder / "");
  options.bad_data = BadDataPolicy::error;  // the picture is kept
  EXPECT_EQ(load_dataset(options, "train", report).examples.size(), 4u);
  EXPECT_EQ(report.counts(), (Counts{{"other size", 2}}));
  EXPECT_EQ(report.defects.at(0).where, (folder / "Annotations/turned.xml").string());
  EXPECT_TRUE(contains(report.defects[0].detail, "30x40 stated, turned.png has 40x30"));
  EXPECT_TRUE(contains(report.defects[0].detail, "turned?"));
  EXPECT_EQ(report.defects.at(1).detail.find("turned?"), std::string::npos);
  EXPECT_TRUE(report.defects[1].kept && report.defects[1].image);
}

TEST(Source, WithoutALimitTheWorstDataSetLoads) {
  const TestFolder folder;
  const fs::path data = lines_file(folder, "gone.png\ngone2.png\ngone3.png\n");
  DataOptions options = options_for(data, folder / "names.txt");
  options.max_left_out = 1;
  DefectReport report;
  EXPECT_EQ(load_dataset(options, "train", report).examples.size(), 10u);
  EXPECT_EQ(report.counts(), (Counts{{"missing image", 3}}));
}

TEST(Source, TheFileThatIsMeantIsNamed) {
  const TestFolder folder;
  folder.write("a/data.yaml", "train: x\n");
  folder.write("a/annotations/i.json", "{}");
  const std::string message = load_error(options_for(folder / "a"));
  EXPECT_TRUE(contains(message, "did you mean a file in it: "));
  EXPECT_TRUE(contains(message, "a/data.yaml"));
  EXPECT_TRUE(contains(message, "a/annotations/i.json"));
  folder.picture("b/train/images/a.png", 8, 8);
  folder.write("b/train/labels/a.txt", "0 0.5 0.5 1 1\n");
  folder.write("b/data.yaml", "train: train/images\nnames: [x]\n");
  EXPECT_TRUE(contains(load_error(options_for(folder / "b")), "--data " + (folder / "b/data.yaml").string()));
}

TEST(Source, ImagesOfNoCocoFileAreAnError) {
  const TestFolder folder;
  DataOptions options = options_for(lines_file(folder, ""), folder / "names.txt");
  options.images = folder / "";
  EXPECT_TRUE(contains(load_error(options), "COCO"));
  options.images = folder / "none";
  EXPECT_TRUE(contains(load_error(options), "expected a folder"));
}

TEST(Source, SizesAreReadFromHeadersWhereNobodyLooksAtThePixels) {
  const TestFolder folder;
  const fs::path data = lines_file(folder, "cut.jpg 1,2,30,20,0\n");
  const std::string whole = read_file(folder.picture("whole.jpg", 400, 300));
  folder.write("cut.jpg", whole.substr(0, whole.size() - 40));
  DataOptions options = options_for(data, folder / "names.txt");
  DefectReport looked, passed;
  EXPECT_EQ(load_dataset(options, "train", looked).examples.size(), 10u);
  options.verify_images = false;
  const Dataset dataset = load_dataset(options, "train", passed);
  ASSERT_EQ(dataset.examples.size(), 11u);
  EXPECT_EQ(dataset.examples[10].width, 400);
  EXPECT_EQ(dataset.examples[10].height, 300);
}

TEST(Source, SourceFoldersAreThoseThatAreSearched) {
  const TestFolder folder;
  folder.picture("set/images/train/a.png", 8, 8);
  const fs::path yaml = folder.write("set/d.yaml", "train: images/train\nval: v.txt\nnames: [a]\n");
  EXPECT_EQ(source_folders(options_for(yaml)), (std::vector<fs::path>{folder / "set/images/train"}));
  EXPECT_EQ(source_folders(options_for(folder / "set")), (std::vector<fs::path>{folder / "set"}));
  EXPECT_TRUE(source_folders(options_for("synthetic")).empty());
}

TEST(Source, KnowsWhatItIsReadFrom) {
  const TestFolder folder;
  folder.picture("set/images/train/a.png", 8, 8);
  const fs::path yaml = folder.write("set/d.yaml", "train: images/train\nval: v.txt\nnames: [a]\n");
  const DataOptions options = options_for(yaml, folder.write("names.txt", "a\n"));
  const std::vector<fs::path> read = {yaml,
                                      folder / "names.txt",
                                      folder.write("set/v.txt", "images/train/a.png\n"),
                                      folder / "set/images/train/a.png",
                                      folder.write("set/labels/train/a.txt", ""),
                                      folder / "set/labels/train/new.txt"};
  for (const fs::path& file : read) EXPECT_TRUE(is_read_from(options, file)) << file;
  const std::vector<fs::path> other = {folder.write("set/report.json", "{}"),
                                       folder.write("set/images/train/r.json", "{}"), folder.write("set/notes.txt", ""),
                                       folder / "set/images/train/new.json"};
  for (const fs::path& file : other) EXPECT_FALSE(is_read_from(options, file)) << file;
}

}  // namespace
}  // namespace yolov3
