// `yolov3 data` from end to end.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "app/data_page_pictures.h"
#include "app/test_folder.h"
#include "app/test_program.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/rng.h"
#include "base/shared_folder.h"
#include "data/source.h"
#include "data/synthetic.h"
#include "image/save.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

::testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "\"" << text << "\" lacks \"" << part << "\"";
}

class DataProgram : public ::testing::Test {
 protected:
  void SetUp() override { clear_interrupt(); }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void write(const std::string& name, const std::string& text) const {
    make_directories((folder_ / name).parent_path());
    write_file(folder_ / name, text);
  }
  void picture(const std::string& name, int64_t index) const {
    make_directories((folder_ / name).parent_path());
    save_image(folder_ / name, draw_synthetic({7, index}, nullptr));
  }

  // Two pictures and one that is cut short.
  void make_pictures() const {
    make_directories(folder_ / "pictures");
    save_image(folder_ / "pictures/a.jpg", Image(100, 60, 90));
    save_image(folder_ / "pictures/b.png", Image(64, 64, 200));
    const std::string whole = read_file(folder_ / "pictures/a.jpg");
    write_file(folder_ / "pictures/broken.jpg", whole.substr(0, whole.size() / 2));
  }

  // Pictures p0 to p23 in train, of which p3 is also in val as another file; one box a picture, one box of no area.
  std::string yolo_set() const {
    for (int i = 0; i < 24; ++i) {
      const std::string stem = "p" + std::to_string(i);
      picture("set/images/train/" + stem + ".png", i);
      write("set/labels/train/" + stem + ".txt", std::to_string(i % 2) + " 0.5 0.5 0.25 0.25\n");
    }
    write("set/labels/train/p1.txt", "1 0.5 0.5 0.25 0.25\n0 0.5 0.5 0 0.25\n");
    picture("set/images/val/other.png", 100);
    write("set/labels/val/other.txt", "0 0.5 0.5 0.5 0.5\n");
    fs::copy_file(folder_ / "set/images/train/p3.png", folder_ / "set/images/val/copy.png");
    write("set/labels/val/copy.txt", "1 0.5 0.5 0.25 0.25\n");
    write("set/data.yaml", "train: images/train\nval: images/val\nnames: [cat, dog]\n");
    return path("set/data.yaml");
  }

  fs::path folder_ = make_test_folder("data");
};

json read_json(const std::string& file) { return json::parse(read_file(file)); }

TEST_F(DataProgram, CheckFindsDefectsAndLeaksAndShowsThem) {
  const std::string yaml = yolo_set();
  const Ran ran = run({"data", "check", "--data", yaml, "--json", path("c.json"), "--html", path("c.html")});
  EXPECT_EQ(ran.code, 3) << ran.err;
  EXPECT_TRUE(contains(ran.out, "zero-area box"));
  EXPECT_TRUE(contains(ran.out, "identical: train: p3.png, val: copy.png"));
  EXPECT_TRUE(contains(ran.out, "% of boxes are under 8 px at 416"));
  const json found = read_json(path("c.json"));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0]["split"], "train");
  EXPECT_EQ(found[0]["defect_counts"]["zero-area box"], 1);
  EXPECT_EQ(found[0]["classes"][1]["objects"], 12);
  ASSERT_EQ(found[1]["copies"].size(), 1u);
  EXPECT_EQ(found[1]["copies"][0]["identical"], true);
  EXPECT_EQ(found[1]["copies"][0]["leaks"], true);
  std::set<int> ranks;
  for (const json& split : found) {
    for (const json& suspect : split["suspects"]) ranks.insert(suspect["rank"].get<int>());
  }
  EXPECT_EQ(ranks.size(), 20u);
  EXPECT_EQ(*ranks.rbegin(), 20);
  const std::string page = read_file(path("c.html"));
  EXPECT_TRUE(contains(page, "src=\"data:image/jpeg;base64,/9j/"));
  EXPECT_EQ(page.find("http"), std::string::npos) << "the page needs no other";
  EXPECT_TRUE(contains(page, "zero-area box"));
}

TEST_F(DataProgram, CheckWritesAMendedCopyAndLeavesTheOriginal) {
  const std::string yaml = yolo_set();
  write("set/labels/train/p2.txt", "0 0.9 0.5 0.4 0.25\n");  // beyond the border
  const std::string before = read_file(path("set/labels/train/p2.txt"));
  const Ran ran = run({"data", "check", "--data", yaml, "--repair", path("mended")});
  EXPECT_EQ(ran.code, 3) << ran.err;
  EXPECT_EQ(read_file(path("set/labels/train/p2.txt")), before);
  EXPECT_TRUE(contains(read_file(path("mended/labels/train/p2.txt")), "0 0.85"));  // from 0.7 to 1
  EXPECT_TRUE(contains(read_file(path("mended/not-converted.txt")), "zero-area box"));
  const Ran again = run({"data", "check", "--data", path("mended/data.yaml"), "--split", "train"});
  EXPECT_EQ(again.code, 0) << again.out;
  EXPECT_EQ(run({"data", "check", "--data", path("set"), "--repair", path("set/mended")}).code, 2);
}

TEST_F(DataProgram, ConvertThroughEveryFormatAndBack) {
  std::string data = yolo_set();
  for (const char* to : {"coco", "voc", "lines", "yolo"}) {
    Words words = {"data", "convert", "--data", data, "--to", to, "--out", path(to)};
    const Ran ran = run(words);
    ASSERT_EQ(ran.code, 0) << ran.err;
    const bool first = std::string(to) == "coco";
    EXPECT_EQ(ran.err.find("p1.txt:2: zero-area box") != std::string::npos, first) << to;
    data = ran.out.substr(0, ran.out.find('\n'));
    EXPECT_EQ(run(words).code, 1) << "nothing is overwritten";
  }
  EXPECT_EQ(data, path("yolo/data.yaml"));
  EXPECT_EQ(read_file(path("yolo/images/val/copy.png")), read_file(path("set/images/val/copy.png")));
  DataOptions first, last;
  first.data = path("set/data.yaml");
  last.data = data;
  DefectReport report;
  const Dataset a = load_dataset(first, "train", report), b = load_dataset(last, "train", report);
  EXPECT_EQ(a.names, b.names);
  ASSERT_EQ(a.examples.size(), b.examples.size());
  for (size_t i = 0; i < a.examples.size(); ++i) EXPECT_EQ(a.examples[i].objects, b.examples[i].objects) << i;
  EXPECT_EQ(run({"data", "convert", "--data", data, "--to", "keras", "--out", path("k")}).code, 2);
  EXPECT_EQ(run({"data", "convert", "--data", path("yolo"), "--to", "voc", "--out", path("yolo/x")}).code, 2);
}

TEST_F(DataProgram, SplitDealsOutAndKeepsCopiesTogether) {
  const std::string yaml = yolo_set();
  const Words words = {"data", "split", "--data", yaml, "--val", "0.25", "--out", path("split"), "--seed", "3"};
  const Ran ran = run(words);
  ASSERT_EQ(ran.code, 0) << ran.err;
  std::set<std::string> train, val;
  for (const fs::path& file : list_files(path("split/images/train"))) train.insert(file.filename().string());
  for (const fs::path& file : list_files(path("split/images/val"))) val.insert(file.filename().string());
  EXPECT_EQ(train.size() + val.size(), 26u);
  EXPECT_NEAR(static_cast<double>(val.size()), 6.5, 1);
  EXPECT_EQ(train.contains("p3.png"), train.contains("copy.png"));
  EXPECT_EQ(run({"data", "check", "--data", path("split/data.yaml")}).code, 0) << "no copies across the splits";
  EXPECT_EQ(run({"data", "split", "--data", yaml, "--val", "0.6", "--test", "0.4", "--out", path("x")}).code, 2);
}

TEST_F(DataProgram, StatsAndPreview) {
  const std::string yaml = yolo_set();
  const Ran stats = run({"data", "stats", "--data", yaml, "--imgsz", "32", "--json", "-"});
  EXPECT_EQ(stats.code, 0) << stats.err;
  const json found = json::parse(stats.out);
  EXPECT_EQ(found[0]["boxes_under_px"]["8"], 24) << "a quarter of 32 px, less the letterbox";
  EXPECT_EQ(found[0]["objects"], 24);
  EXPECT_TRUE(found[0]["copies"].is_null()) << "nobody looked, so that none is known";
  EXPECT_EQ(run({"data", "check", "--data", yaml, "--verify-images", "false", "--html", path("unseen.html")}).code, 3);
  EXPECT_EQ(read_file(path("unseen.html")).find("copies across splits"), std::string::npos);
  const Ran preview = run({"data", "preview", "--data", yaml, "--batches", "2", "--imgsz", "96", "--out", path("pv")});
  EXPECT_EQ(preview.code, 0) << preview.err;
  EXPECT_EQ(list_files(path("pv")).size(), 2u);
  EXPECT_EQ(run({"data", "preview", "--data", yaml, "--out", path("pv")}).code, 1) << "nothing is overwritten";
}

TEST_F(DataProgram, CheckFindsDefects) {
  make_pictures();
  write_file(path("names.txt"), "dog\ntraffic light\n");
  write_file(path("list.txt"),
             "pictures/a.jpg 1,2,30,40,0 50,50,40,60,1\npictures/b.png\npictures/broken.jpg 1,1,9,9,0\nnone.jpg\n");
  const Ran ran = run({"data", "check", "--data", path("list.txt"), "--names", path("names.txt"), "--split", "train"});
  EXPECT_EQ(ran.code, 3) << ran.err;
  EXPECT_NE(ran.out.find("missing image"), std::string::npos) << ran.out << ran.err;
  const Ran stats = run({"data", "stats", "--data", path("list.txt"), "--names", path("names.txt")});
  EXPECT_EQ(stats.code, 0);
  EXPECT_NE(stats.err.find("missing image"), std::string::npos) << "what is not counted is told: " << stats.err;
}

TEST_F(DataProgram, CheckReportsASplitThatCannotBeRead) {
  make_pictures();
  write_file(path("train.txt"), "pictures/a.jpg 1,2,30,40,0\n");
  write_file(path("data.yaml"), "train: train.txt\nval: val.txt\nnames: [dog, cat]\n");
  for (const std::string& broken : {std::string("a\0b", 3), std::string()}) {
    write_file(path("val.txt"), broken);
    for (const char* split : {"all", "val"}) {
      const Ran ran = run({"data", "check", "--data", path("data.yaml"), "--split", split, "--json", "-"});
      EXPECT_EQ(ran.code, 3) << ran.err;
      const json found = json::parse(ran.out);
      const json& val = found.back();
      EXPECT_EQ(val["split"], "val");
      EXPECT_NE(val["error"].dump().find("val.txt"), std::string::npos) << ran.out;
      EXPECT_EQ(found.size(), std::string(split) == "all" ? 2u : 1u) << "there is no test split";
    }
  }
  EXPECT_EQ(run({"data", "check", "--data", path("data.yaml"), "--split", "test"}).code, 1) << "no such split";
  write_file(path("val.txt"), "gone.jpg 1,2,30,40,0\n");
  const std::string out = run({"data", "check", "--data", path("data.yaml")}).out;
  EXPECT_TRUE(contains(out, "no usable picture in split \"val\""));
  const size_t first = out.find("val.txt:1: missing image");
  EXPECT_NE(first, std::string::npos) << out;
  EXPECT_EQ(out.find("val.txt:1: missing image", first + 1), std::string::npos) << "told twice: " << out;
}

TEST_F(DataProgram, CheckCountsDataWithoutSplitsOnce) {
  make_pictures();
  write_file(path("names.txt"), "dog\n");
  write_file(path("list.txt"), "pictures/a.jpg 1,2,30,40,0\n");
  const Ran ran = run({"data", "check", "--data", path("list.txt"), "--names", path("names.txt"), "--json", "-"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(json::parse(ran.out).size(), 1u) << ran.out;
}

// The worst data sets are those that people look at: neither check nor repair stops at 5%.
TEST_F(DataProgram, CheckAndRepairGoOnWhateverIsLeftOut) {
  const std::string yaml = yolo_set();
  for (int i = 4; i < 12; ++i)
    write("set/labels/train/p" + std::to_string(i) + ".txt", "0 0.5 0.5 0 0\n0 0.5 0.5 0.2 0.2\n");
  const Ran ran = run({"data", "check", "--data", yaml, "--json", path("c.json"), "--repair", path("mended")});
  EXPECT_EQ(ran.code, 3) << ran.err;
  const json found = read_json(path("c.json"));
  EXPECT_TRUE(found[0]["error"].is_null());
  EXPECT_EQ(found[0]["defect_counts"]["zero-area box"], 9);
  EXPECT_EQ(found[0]["objects"], 24);
  EXPECT_EQ(found[0]["copies"].size(), 1u);
  EXPECT_EQ(list_files(path("mended/labels/train")).size(), 24u);
  EXPECT_TRUE(contains(read_file(path("mended/not-converted.txt")), "p4.txt:1: zero-area box"));
  // Who would use the data is told.
  const Ran convert = run({"data", "convert", "--data", yaml, "--to", "voc", "--out", path("voc")});
  EXPECT_EQ(convert.code, 3);
  EXPECT_TRUE(contains(convert.err, "data check --repair"));
}

TEST_F(DataProgram, WhatNoSplitReadsIsListed) {
  const std::string yaml = yolo_set();
  picture("set/images/extra/e.png", 200);
  fs::remove(yaml);
  write("set/classes.txt", "cat\ndog\n");
  const Ran ran = run({"data", "check", "--data", path("set"), "--json", path("c.json")});
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(read_json(path("c.json"))[0]["defect_counts"]["image in no split"], 1);
  const Ran convert = run({"data", "convert", "--data", path("set"), "--to", "voc", "--out", path("voc")});
  EXPECT_EQ(convert.code, 0) << convert.err;
  EXPECT_TRUE(contains(read_file(path("voc/not-converted.txt")), "images/extra/e.png: image in no split"));
}

// Minutes of reading must not end in "choose another folder", and nothing is written where a data set is read.
TEST_F(DataProgram, ThePlaceIsCheckedBeforeTheDataIsRead) {
  const std::string yaml = yolo_set();
  write("set/images/train/broken.png", "no picture");
  write("full/x", "x");
  const std::vector<Words> commands = {
      {"data", "convert", "--data", yaml, "--bad-data", "error", "--to", "voc", "--out"},
      {"data", "split", "--data", yaml, "--bad-data", "error", "--out"},
      {"data", "check", "--data", yaml, "--bad-data", "error", "--repair"}};
  for (Words words : commands) {
    words.push_back(path("full"));
    const Ran full = run(words);
    EXPECT_EQ(full.code, 1) << words[1];
    EXPECT_TRUE(contains(full.err, "holds something"));
    words.back() = path("set/images/train/new");
    const Ran inside = run(words);
    EXPECT_EQ(inside.code, 2) << words[1];
    EXPECT_TRUE(contains(inside.err, "never touched"));
  }
  EXPECT_EQ(run({"data", "synth", "--count", "1", "--out", path("full")}).code, 1);
}

TEST_F(DataProgram, AReportIsNotWrittenOverTheDataSet) {
  const std::string yaml = yolo_set(), before = read_file(yaml);
  EXPECT_EQ(run({"data", "check", "--data", yaml, "--json", path("set/../set/data.yaml")}).code, 2);
  EXPECT_EQ(run({"data", "stats", "--data", yaml, "--json", yaml}).code, 2);
  EXPECT_EQ(run({"data", "check", "--data", yaml, "--json", path("r"), "--html", path("r")}).code, 2);
  EXPECT_EQ(read_file(yaml), before);
}

TEST_F(DataProgram, ConvertBesideTheYamlIsAllowed) {
  const std::string yaml = yolo_set();
  EXPECT_EQ(run({"data", "convert", "--data", yaml, "--to", "coco", "--out", path("set/coco")}).code, 0);
}

TEST_F(DataProgram, SplitOfFramesOfOneCameraIsAnErrorThatSaysWhy) {
  for (int i = 0; i < 6; ++i) {
    const std::string stem = "f" + std::to_string(i);
    picture("set/images/" + stem + ".png", 5);
    write("set/labels/" + stem + ".txt", "0 0.5 0.5 0.25 0.25\n");
  }
  write("names.txt", "cat\n");
  const Words words = {"data", "split", "--data", path("set"), "--names", path("names.txt"), "--out", path("out")};
  const Ran ran = run(words);
  EXPECT_EQ(ran.code, 3);
  EXPECT_TRUE(contains(ran.err, "no picture is left for val: there are 6 pictures, 6 of them alike"));
  EXPECT_FALSE(fs::exists(path("out")));
  Words loose = words;
  loose.insert(loose.end(), {"--keep-copies", "false"});
  EXPECT_EQ(run(loose).code, 0);
  loose.insert(loose.end(), {"--val", "0.01"});
  loose[7] = path("none");
  EXPECT_TRUE(contains(run(loose).err, "no picture is left for val: 0.01 of 6 pictures is less than one"));
  EXPECT_FALSE(list_files(path("out/images/val")).empty());
}

TEST_F(DataProgram, SplitSaysWhichPicturesStoodInTwoSplits) {
  make_pictures();
  write("a.txt", "pictures/a.jpg 1,2,30,40,0\npictures/b.png\n");
  write("b.txt", "pictures/a.jpg 1,2,30,40,0\n");
  write("data.yaml", "train: a.txt\nval: b.txt\nnames: [dog]\n");
  const Ran ran = run(
      {"data", "split", "--data", path("data.yaml"), "--out", path("out"), "--val", "0.5", "--keep-copies", "false"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_TRUE(contains(ran.err, "b.txt:1: "));
  EXPECT_TRUE(contains(read_file(path("out/not-converted.txt")), "is in an earlier split too; taken once"));
}

TEST_F(DataProgram, ThePageShowsEveryKindOfDefectAndEscapesNames) {
  const std::string yaml = yolo_set();
  write("set/data.yaml", "train: images/train\nval: images/val\nnames: [\"<b>&cat\", dog, never]\n");
  std::string many;
  for (int i = 0; i < 60; ++i) many += "0 0.5 0.5 0 0.25\n";
  write("set/labels/train/p0.txt", many + "0 0.5 0.5 0.25 0.25\n");
  write("set/labels/train/p5.txt", "1 0.5 0.5 0.25 0.25\n1 0.5 0.5 0.26 0.25\n9 0.5 0.5 0.1 0.1\n");
  fs::remove(path("set/labels/train/p7.txt"));
  const Ran ran = run({"data", "check", "--data", yaml, "--html", path("c.html")});
  EXPECT_EQ(ran.code, 3) << ran.err;
  const std::string page = read_file(path("c.html"));
  for (const char* reason : {"zero-area box", "doubled box", "wrong class", "image without label"}) {
    EXPECT_TRUE(contains(page, "figcaption><b>" + std::string(reason) + "</b>"));
  }
  EXPECT_TRUE(contains(page, "&lt;b&gt;&amp;cat"));
  EXPECT_EQ(page.find("<b>&cat"), std::string::npos);
  EXPECT_TRUE(contains(page, "prefers-color-scheme:dark"));
  EXPECT_TRUE(contains(page, "<td>–</tr>")) << "no object, no median size";
  EXPECT_TRUE(contains(page, "figcaption{overflow-wrap:anywhere")) << "or paths in captions are cut off";
  for (const char* reference : {"http", "<link", "<script", "url("}) {
    EXPECT_EQ(page.find(reference), std::string::npos) << reference << ": the page needs no other";
  }
}

json check_of(const fs::path& data, const std::string& split, const std::string& out) {
  const Ran ran = run({"data", "check", "--data", data.string(), "--split", split, "--json", out});
  EXPECT_EQ(ran.code, 3) << ran.err;
  return read_json(out);
}

std::vector<std::string> places_of(const json& found, const std::string& reason) {
  std::vector<std::string> places;
  for (const json& split : found) {
    for (const json& defect : split["defects"]) {
      if (defect["reason"] == reason) places.push_back(fs::path(defect["where"].get<std::string>()).filename());
    }
  }
  std::sort(places.begin(), places.end());
  for (std::string& place : places) place.resize(std::min(place.find(':'), place.size()));
  return places;
}

// Acceptance 3 of the data sets, as their description has it.
TEST_F(DataProgram, SlowCheckFindsWhatIsKnownOfTheRealDataSets) {
  const fs::path shared = test::shared_folder() / "data";
  if (!fs::exists(shared)) GTEST_SKIP() << shared << " is not there (set YOLOV3_SHARED)";
  const json bccd = check_of(shared / "bccd", "all", path("b.json"));
  EXPECT_EQ(places_of(bccd, "zero-area box"), (Words{"BloodImage_00338.xml", "BloodImage_00343.xml"}));
  Words doubled;
  for (const char* n : {"00013", "00020", "00100", "00104", "00251", "00284", "00331", "00403"}) {
    doubled.push_back("BloodImage_" + std::string(n) + ".xml");
  }
  EXPECT_EQ(places_of(bccd, "doubled box"), doubled);
  std::map<std::string, int> rank;  // the first of each picture
  for (const json& split : bccd) {
    for (const json& suspect : split["suspects"]) {
      rank.emplace(fs::path(suspect["picture"].get<std::string>()).stem(), suspect["rank"]);
    }
  }
  for (const char* stem : {"BloodImage_00113", "BloodImage_00133", "BloodImage_00135"}) {
    ASSERT_TRUE(rank.contains(stem)) << stem;
    EXPECT_LE(rank[stem], 20) << stem;
  }
  const json coco = check_of(shared / "coco128/config.yaml", "train", path("c.json"));
  EXPECT_EQ(places_of(coco, "label without image"), (Words{"000000000656.txt", "000000000659.txt"}));
  EXPECT_EQ(places_of(coco, "image without label"), (Words{"000000000250.jpg", "000000000508.jpg"}));
  const json mark = check_of(shared / "yolo-mark/data/obj.data", "train", path("y.json"));
  EXPECT_EQ(places_of(mark, "missing image"), (Words{"train.txt"}));
}

}  // namespace
}  // namespace yolov3
