// yolov3 explain and yolov3 anchors from end to end, on data whose targets can be told by hand.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/test_folder.h"
#include "app/test_program.h"
#include "base/files.h"
#include "format/model_file.h"
#include "image/load.h"
#include "image/save.h"
#include "net/cfg.h"
#include "net/models.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Pictures of 416x416, so that their pixels are the network's: a.png has two objects of 10x13 in the middle of cell
// (5,5) of scale 0 and one of 373x326 in the middle of cell (6,6) of scale 2; b.png has one of 10x13 in cell (5,5).
class Explain : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a.png", "b.png"}) save_image(folder_ / name, Image(416, 416, 120));
    write_file(folder_ / "names.txt", "cat\ndog\n");
    write_file(folder_ / "list.txt",
               "a.png 39,37.5,49,50.5,0 38,37.5,50,50.5,1 21.5,45,394.5,371,1\nb.png 39,37.5,49,50.5,0\n");
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::vector<std::string> words(const std::string& command, const std::vector<std::string>& more) const {
    std::vector<std::string> all = {command, "--data", path("list.txt"), "--names", path("names.txt")};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  const fs::path folder_ = make_test_folder("explain");
};

TEST_F(Explain, NothingIsWrittenOverTheDataSet) {
  for (const char* command : {"explain", "anchors"}) {
    for (const char* file : {"list.txt", "names.txt"}) {
      const std::string before = read_file(folder_ / file);
      const Ran ran = run(words(command, {"--json", path(file)}));
      EXPECT_EQ(ran.code, 2) << ran.err;
      EXPECT_SAYS(ran.err, "belongs to the data set");
      EXPECT_EQ(read_file(folder_ / file), before);
    }
  }
}

TEST_F(Explain, SaysWhoAnswersForWhat) {
  const Ran ran = run(words("explain", {"--image", "a.png", "--json", "-"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = Json::parse(ran.out);
  EXPECT_EQ(json["input"], Json::parse("[416,416]"));
  ASSERT_EQ(json["assignments"].size(), 3u) << ran.out;
  const Json &first = json["assignments"][0], &last = json["assignments"][2];
  EXPECT_EQ(first["scale"], 0);
  EXPECT_EQ(first["gy"], 5);
  EXPECT_EQ(first["gx"], 5);
  EXPECT_EQ(first["anchor"], 0);
  EXPECT_EQ(first["class_id"], 1);  // the dog of 12x13 came later
  EXPECT_NEAR(first["iou"].get<double>(), 130.0 / 156, 1e-6);
  EXPECT_EQ(first["box"], Json::parse("[44.0,44.0,12.0,13.0]"));
  EXPECT_EQ(last["scale"], 2);
  EXPECT_EQ(last["gy"], 6);
  EXPECT_EQ(last["gx"], 6);
  EXPECT_EQ(last["anchor"], 2);
  EXPECT_EQ(last["iou"], 1.0);
  ASSERT_EQ(json["collisions"].size(), 1u);
  EXPECT_EQ(json["collisions"][0]["overwritten"], Json::parse("[0]"));
  EXPECT_EQ(json["collisions"][0]["object"], 1);
  EXPECT_EQ(json["lost"], Json::parse("[0]"));
  EXPECT_FALSE(json.contains("ignored"));
}

TEST_F(Explain, FollowsTheOptionsOfTheTargets) {
  const auto explain = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--image", "a.png", "--json", "-"};
    all.insert(all.end(), more.begin(), more.end());
    const Ran ran = run(words("explain", all));
    EXPECT_EQ(ran.code, 0) << ran.err;
    return Json::parse(ran.out);
  };
  // One anchor an object, the first for cat and dog: the dog has it.
  const Json paper = explain({"--preset", "paper"});
  EXPECT_EQ(paper["matching"], "best");
  EXPECT_EQ(paper["anchor_fit"], "shape");
  EXPECT_EQ(paper["ignore_boxes"], "all");
  ASSERT_EQ(paper["assignments"].size(), 2u);
  EXPECT_EQ(paper["assignments"][0]["object"], 1);
  EXPECT_EQ(paper["lost"], Json::parse("[0]"));
  // The dog of 12x13 is content with the second anchor, which it overlaps by 156/480.
  const Json free = explain({"--preset", "paper", "--collision", "free"});
  ASSERT_EQ(free["assignments"].size(), 3u);
  EXPECT_EQ(free["assignments"][0]["object"], 0);
  EXPECT_EQ(free["assignments"][0]["moved"], false);
  EXPECT_EQ(free["assignments"][1]["object"], 1);
  EXPECT_EQ(free["assignments"][1]["anchor"], 1);
  EXPECT_EQ(free["assignments"][1]["moved"], true);
  EXPECT_NEAR(free["assignments"][1]["fit"].get<double>(), 156.0 / 480, 1e-6);
  EXPECT_TRUE(free["lost"].empty());
  // 12x13 is at most 1.2 times 10x13, and 16x30 is 2.3 times as high as it.
  const Json ratio = explain({"--anchor-fit", "ratio", "--positive-ratio", "1.5"});
  EXPECT_EQ(ratio["assignments"].size(), 2u);
  EXPECT_NEAR(ratio["assignments"][0]["fit"].get<double>(), 1 / 1.2, 1e-6);
  const Ran text = run(words("explain", {"--image", "a.png", "--matching", "best", "--collision", "free"}));
  EXPECT_NE(text.out.find("3 targets: the best anchor by IoU answers"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("anchor 0: object 0 (cat) has it, object 1 (dog) wanted it too"), std::string::npos);
  EXPECT_NE(text.out.find("object 1 (dog): the next best anchor, a better one is taken"), std::string::npos);
}

TEST_F(Explain, WritesAPictureAScale) {
  const Ran ran = run(words("explain", {"--image", "0", "--out", path("out")}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("lost: object 0 (cat) is left without any target"), std::string::npos) << ran.out;
  for (const char* name : {"out/a-scale0.png", "out/a-scale1.png", "out/a-scale2.png"}) {
    const LoadedImage picture = load_image(path(name));
    EXPECT_EQ(picture.full_width, 1248) << name;  // 3 times 416
    EXPECT_GT(picture.full_height, 1248) << name;
  }
  // The cell (6,6) of scale 2 has the third object's colour, mixed with the picture: under the heading of 70 pixels.
  const Image large = load_image(path("out/a-scale2.png")).image;
  const uint8_t* cell = large.pixel(6 * 96 + 48, 70 + 6 * 96 + 48);
  const uint8_t* beside = large.pixel(8 * 96 + 20, 70 + 8 * 96 + 20);
  EXPECT_NE(std::vector<int>(cell, cell + 3), std::vector<int>(beside, beside + 3));
  EXPECT_EQ(beside[0], beside[1]);  // the grey picture
}

TEST_F(Explain, AsksTheNetwork) {
  Model model;
  model.spec = yolov3_tiny({.classes = 2, .width = 64, .height = 64});
  model.weights = random_weights(model.spec, {.seed = 2, .objectness_prior = 0.25f});
  model.names = {"cat", "dog"};
  save_model(path("m.h5"), model);
  const Ran ran = run(words("explain", {"--image", "b.png", "--weights", path("m.h5"), "--engine", "reference",
                                        "--json", "-", "--out", path("out")}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = Json::parse(ran.out);
  ASSERT_FALSE(json["assignments"].empty());
  for (const Json& one : json["assignments"]) {
    EXPECT_NEAR(one["answer"]["objectness"].get<double>(), 0.25, 0.15);  // the prior, and kernels of deviation 0.01
    EXPECT_EQ(one["answer"]["box"].size(), 4u);
  }
  EXPECT_TRUE(json.contains("ignored"));
  EXPECT_TRUE(fs::exists(path("out/b-scale1.png")));
}

TEST_F(Explain, WrongQuestionsAreUsageErrors) {
  EXPECT_EQ(run(words("explain", {"--image", "c.png"})).code, 2);
  EXPECT_EQ(run(words("explain", {"--image", "2"})).code, 2);
  EXPECT_NE(run(words("explain", {"--image", "2"}))
                .err.find("in --split train; expected a file name, or a number from 0 "
                          "to 1"),
            std::string::npos);
  EXPECT_EQ(run(words("explain", {"--engine", "reference"})).code, 2);
  EXPECT_EQ(run(words("explain", {"--threads", "3"})).code, 2);
  EXPECT_EQ(run({"data", "preview", "--data", "synthetic:4", "--multi-scale-every", "3"}).code, 2);
  // A picture written there would be trained on the next time, as background.
  make_directories(folder_ / "set/images");
  make_directories(folder_ / "set/labels");
  save_image(folder_ / "set/images/a.png", Image(64, 64, 90));
  write_file(folder_ / "set/labels/a.txt", "0 0.5 0.5 0.5 0.5\n");
  write_file(folder_ / "set/data.yaml", "train: images\nval: images\nnames: [cat]\n");
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"explain", "--image", "a.png"}, std::vector<std::string>{"data", "preview"}}) {
    std::vector<std::string> all = words;
    all.insert(all.end(), {"--data", path("set/data.yaml"), "--out", path("set/images"), "--imgsz", "64"});
    const Ran inside = run(all);
    EXPECT_EQ(inside.code, 2);
    EXPECT_NE(inside.err.find("never touched"), std::string::npos) << inside.err;
    const fs::path before = fs::current_path();
    fs::current_path(path("set/images"));
    all[all.size() - 3] = "not/there/yet";
    EXPECT_EQ(run(all).code, 2) << "a relative folder";
    fs::current_path(before);
  }
  EXPECT_EQ(run({"explain"}).code, 2);
}

TEST_F(Explain, AnchorsAreComparedAndWritten) {
  const Ran ran = run(words(
      "anchors", {"--model", "yolov3-tiny", "--clusters", "2", "--json", path("a.json"), "--out", path("a.yaml")}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = Json::parse(read_file(path("a.json")));
  EXPECT_EQ(json["boxes"], 4);
  EXPECT_EQ(json["pictures"], 2);
  // The small ones' mean, 10.7x13, would fit less well: 10/10.7 twice and 10.7/12 against 1 twice and 10/12.
  EXPECT_EQ(json["new"]["scales"][0]["anchors"], Json::parse("[[10.0,13.0]]"));
  EXPECT_EQ(json["new"]["scales"][1]["anchors"], Json::parse("[[373.0,326.0]]"));
  EXPECT_NEAR(json["new"]["mean_iou"].get<double>(), (1 + 1 + 10.0 / 12 + 1) / 4, 1e-6);
  EXPECT_EQ(json["present"]["recall"], 1.0);
  EXPECT_EQ(json["recommendation"], "keep");
  EXPECT_NE(read_file(path("a.yaml")).find("  - [10,13]  # stride 16\n  - [373,326]  # stride 32\n"),
            std::string::npos);
}

// Fewer anchors than the network's fit worse: that is no change "too little to matter".
TEST_F(Explain, AnchorsThatFitWorseAreCalledThat) {
  save_image(path("s.png"), Image(416, 416, 90));
  write_file(path("s.txt"),
             "s.png 0,0,10,14,0 0,0,23,27,0 0,0,37,58,0 0,0,81,82,0 0,0,135,169,0 0,0,344,319,0 0,0,300,8,0\n");
  write_file(path("s.names"), "cat\n");
  const Ran ran = run(
      {"anchors", "--data", path("s.txt"), "--names", path("s.names"), "--model", "yolov3-tiny", "--clusters", "2"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("keep: "), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("points: they are no better"), std::string::npos) << ran.out;
}

// The cat of a.png loses its anchor to the dog and has no other; with free anchors the dog is content with its second.
TEST_F(Explain, AnchorsCountTargetsByTheSameOptions) {
  const auto present = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--clusters", "3", "--json", "-"};
    all.insert(all.end(), more.begin(), more.end());
    const Ran ran = run(words("anchors", all));
    EXPECT_EQ(ran.code, 0) << ran.err;
    const Json json = Json::parse(ran.out)["present"];
    return std::vector<int>{json["overwritten"], json["lost"], json["scales"][0]["targets"]};
  };
  EXPECT_EQ(present({}), (std::vector<int>{1, 1, 3}));  // dog: two, cat of b.png
  EXPECT_EQ(present({"--collision", "free"}), (std::vector<int>{1, 0, 3}));
  EXPECT_EQ(present({"--matching", "best"}), (std::vector<int>{1, 1, 2}));
  EXPECT_EQ(run(words("anchors", {"--ignore-boxes", "all"})).code, 2);
}

TEST_F(Explain, AnchorsIntoACfg) {
  write_file(folder_ / "my.cfg", write_cfg(yolov3({.classes = 2})));
  std::string text;
  for (int i = 0; i < 9; ++i) {  // nine sizes, far apart
    save_image(folder_ / (std::to_string(i) + ".png"), Image(416, 416, 90));
    const std::string side = std::to_string(10 + 40 * i);
    text += std::to_string(i) + ".png 0,0," + side + "," + side + ",0\n";
  }
  write_file(folder_ / "list.txt", text);
  const Ran ran = run(words("anchors", {"--model", path("my.cfg"), "--out", path("new.cfg"), "--restarts", "50"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  std::vector<Anchor> want;
  for (int i = 0; i < 9; ++i) want.push_back({static_cast<float>(10 + 40 * i), static_cast<float>(10 + 40 * i)});
  EXPECT_EQ(parse_cfg(read_file(path("new.cfg")), "new.cfg").spec, yolov3({.classes = 2, .anchors = want}));
  const std::string mine = read_file(path("my.cfg"));
  EXPECT_EQ(run(words("anchors", {"--model", path("my.cfg"), "--out", path("my.cfg")})).code, 2);
  EXPECT_EQ(read_file(path("my.cfg")), mine);
  EXPECT_EQ(run(words("anchors", {"--model", path("my.cfg"), "--out", path("new.cfg"), "--restarts", "50"})).code, 0)
      << "what it wrote itself it may write again";
  EXPECT_EQ(run(words("anchors", {"--clusters", "12", "--out", path("n.cfg")})).code, 1);  // and too few sizes
  EXPECT_EQ(run(words("anchors", {"--out", path("n.txt")})).code, 2);
}

// A COCO file whose pictures are elsewhere, one of them cut short: its size is all that anchors needs.
TEST_F(Explain, CocoPicturesAreFoundAndNotDecodedForTheirSizes) {
  make_directories(folder_ / "p");
  fs::rename(folder_ / "b.png", folder_ / "p/b.png");
  save_image(folder_ / "p/c.jpg", Image(416, 416, 90));
  const std::string whole = read_file(folder_ / "p/c.jpg");
  write_file(folder_ / "p/c.jpg", whole.substr(0, whole.size() - 60));
  write_file(folder_ / "i.json", R"({"images":[{"id":1,"file_name":"b.png"},{"id":2,"file_name":"c.jpg"}],
"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[39,37.5,10,13]},
{"id":2,"image_id":2,"category_id":1,"bbox":[21.5,45,373,326]}],"categories":[{"id":1,"name":"cat"}]})");
  const std::vector<std::string> data = {"--data", path("i.json"), "--images", path("p")};
  std::vector<std::string> anchors = {"anchors", "--model", "yolov3-tiny", "--clusters", "2", "--json", path("a.json")};
  anchors.insert(anchors.end(), data.begin(), data.end());
  const Ran ran = run(anchors);
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = Json::parse(read_file(path("a.json")));
  EXPECT_EQ(json["boxes"], 2);
  EXPECT_EQ(json["new"]["scales"][1]["anchors"], Json::parse("[[373.0,326.0]]"));
  std::vector<std::string> explain = {"explain", "--image", "b.png", "--json", "-"};
  explain.insert(explain.end(), data.begin(), data.end());
  const Ran explained = run(explain);
  ASSERT_EQ(explained.code, 0) << explained.err;
  EXPECT_EQ(Json::parse(explained.out)["assignments"][0]["anchor"], 0);
}

}  // namespace
}  // namespace yolov3
