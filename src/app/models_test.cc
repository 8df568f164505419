// Commands on models of every format: export writes them, detect, eval, info and compare take them.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <map>
#include <nlohmann/json.hpp>

#include "app/compare_models.h"
#include "app/test_folder.h"
#include "app/test_program.h"
#include "base/files.h"
#include "format/darknet_weights.h"
#include "format/load_model.h"
#include "image/save.h"
#include "net/cfg.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Models : public ::testing::Test {
 protected:
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // Something is found in every cell. Batch norm's statistics are no round numbers.
  Model make_model(uint64_t seed = 1) const {
    Model model;
    model.spec = parse_cfg(kSmallCfg, "small.cfg").spec;
    model.weights = random_weights(model.spec, {.seed = seed, .objectness_prior = 0.9f});
    for (int64_t f = 0; f < 4; ++f) {
      model.weights.tensors[2][f] = 0.1f * static_cast<float>(f);
      model.weights.tensors[3][f] = 0.01f + 0.3f * static_cast<float>(f);
    }
    model.names = {"dog", "traffic light"};
    model.facts["pictures_seen"] = "640";
    return model;
  }
  std::string saved(const std::string& name, uint64_t seed = 1) const {
    save_model(path(name), make_model(seed));
    return path(name);
  }
  std::string make_pictures() const {
    make_directories(folder_ / "pictures");
    save_image(folder_ / "pictures/a.png", Image(100, 60, 90));
    save_image(folder_ / "pictures/b.png", Image(64, 64, 200));
    return path("pictures");
  }
  json boxes(Words more) const {
    Words words = {"detect", "--source", path("pictures"), "--out", "-", "--format", "coco", "--engine", "reference"};
    words.insert(words.end(), more.begin(), more.end());
    const Ran ran = run(words);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return json::parse(ran.out);
  }
  fs::path folder_ = make_test_folder("models");
};

TEST_F(Models, ExportedModelsFindTheSameBoxes) {
  make_pictures();
  const std::string own = saved("a.h5");
  const json wanted = boxes({"--weights", own});
  ASSERT_GT(wanted.size(), 4u);
  ASSERT_EQ(run({"export", "--weights", own, "--to", "darknet", "--out", path("d.weights")}).code, 0);
  EXPECT_EQ(read_file(path("d.names")), "dog\ntraffic light\n");
  EXPECT_EQ(parse_cfg(read_file(path("d.cfg")), "d.cfg").spec, make_model().spec);
  EXPECT_EQ(load_darknet_weights(path("d.weights"), make_model().spec).seen, 640);
  const Words darknet = {"--weights", path("d.weights"), "--model", path("d.cfg"), "--names", path("d.names")};
  EXPECT_EQ(boxes(darknet), wanted) << "no number changes on the way";

  ASSERT_EQ(run({"export", "--weights", own, "--to", "keras", "--out", path("k.h5")}).code, 0);
  const json keras = boxes({"--weights", path("k.h5"), "--model", path("d.cfg"), "--names", path("d.names")});
  ASSERT_EQ(keras.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(keras[i]["category_id"], wanted[i]["category_id"]);
    EXPECT_NEAR(keras[i]["score"].get<double>(), wanted[i]["score"].get<double>(), 1e-5);  // gamma rounded twice
  }

  Words back = {"export", "--to", "h5", "--out", path("b.h5")};
  back.insert(back.end(), darknet.begin(), darknet.end());
  ASSERT_EQ(run(back).code, 0);
  EXPECT_EQ(load_model(path("b.h5")).weights, make_model().weights);
  EXPECT_EQ(load_model(path("b.h5")).names, make_model().names);
}

TEST_F(Models, ExportRescalesForDarknetsEpsilonAndOverwritesNothing) {
  Model model = make_model();
  model.spec.bn_epsilon = 1e-3f;
  save_model(path("a.h5"), model);
  ASSERT_EQ(run({"export", "--weights", path("a.h5"), "--to", "darknet", "--out", path("d.weights")}).code, 0);
  const DarknetWeights written = load_darknet_weights(path("d.weights"), model.spec);
  for (int64_t f = 0; f < 4; ++f) {
    const double var = model.weights.tensors[3][f];
    EXPECT_NEAR(written.weights.tensors[1][f], std::sqrt((var + 1e-5) / (var + 1e-3)), 1e-7);
  }
  EXPECT_EQ(read_file(path("d.cfg")).find("bn_epsilon"), std::string::npos);
  const Ran again = run({"export", "--weights", path("a.h5"), "--to", "darknet", "--out", path("d.weights")});
  EXPECT_EQ(again.code, 1);
  EXPECT_SAYS(again.err, "exists already");
  write_file(path("e.cfg"), "mine");
  EXPECT_EQ(run({"export", "--weights", path("a.h5"), "--to", "darknet", "--out", path("e.weights")}).code, 1);
  EXPECT_EQ(read_file(path("e.cfg")), "mine");
  EXPECT_FALSE(fs::exists(path("e.weights")));
  EXPECT_EQ(run({"export", "--weights", path("a.h5"), "--to", "darknet", "--out", path("x.cfg")}).code, 1);
  EXPECT_EQ(run({"export", "--weights", path("a.h5")}).code, 2);
  EXPECT_EQ(run({"export", "--weights", path("a.h5"), "--names", "x", "--out", path("y.h5")}).code, 2);
}

// "--out best.onnx" alone once wrote an .h5 under that name.
TEST_F(Models, ExportGoesByTheEndingWhereNothingElseSaysTheFormat) {
  const std::string own = saved("a.h5");
  const std::vector<std::pair<std::string, std::string>> begins = {
      {"o.onnx", "\x08"}, {"d.weights", std::string(4, '\0')}, {"k.h5", "\x89HDF"}};
  for (const auto& [name, begin] : begins) {
    const Ran ran = run({"export", "--weights", own, "--out", path(name)});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_TRUE(read_file(path(name)).starts_with(begin)) << name;
  }
  EXPECT_EQ(load_model(path("k.h5")).weights, make_model().weights);
  const Ran unknown = run({"export", "--weights", own, "--out", path("model.bin")});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_SAYS(unknown.err, "--to onnx|darknet|keras|h5");
  for (const auto& [to, name] :
       {std::pair("h5", "x.onnx"), std::pair("onnx", "x.h5"), std::pair("keras", "x.weights")}) {
    const Ran ran = run({"export", "--weights", own, "--to", to, "--out", path(name)});
    EXPECT_EQ(ran.code, 2) << to;
    EXPECT_SAYS(ran.err, "contradict");
    EXPECT_FALSE(fs::exists(path(name)));
  }
  EXPECT_EQ(run({"export", "--weights", own, "--to", "darknet", "--out", "-"}).code, 2);
  EXPECT_EQ(run({"export", "--weights", own, "--to", "h5", "--out", path("model.bin")}).code, 0);
}

TEST_F(Models, AFailedExportToDarknetLeavesNothing) {
  const std::string own = saved("a.h5");
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit full = limit;
  full.rlim_cur = 700;  // the cfg and the names fit, the 796 bytes of the weights do not
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  const Ran ran = run({"export", "--weights", own, "--to", "darknet", "--out", path("d.weights")});
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1) << "only a.h5";
}

TEST_F(Models, WhatAnExportLeavesBehindIsSaid) {
  Model model = make_model();
  model.quantization = Quantization{std::vector<float>(4, 0.5f), {0, 2}};
  save_model(path("q.h5"), model);
  const Ran lost = run({"export", "--weights", path("q.h5"), "--out", path("q.weights")});
  EXPECT_EQ(lost.code, 0) << lost.err;
  EXPECT_SAYS(lost.err, "int8 scales stay behind");
  const Ran kept = run({"export", "--weights", path("q.h5"), "--out", path("q2.h5")});
  EXPECT_EQ(kept.err.find("int8"), std::string::npos) << kept.err;
  EXPECT_TRUE(load_model(path("q2.h5")).quantization.has_value());
  model = make_model();
  model.names = {"dog", "traffic\nlight"};
  save_model(path("n.h5"), model);
  const Ran names = run({"export", "--weights", path("n.h5"), "--out", path("n.weights")});
  EXPECT_EQ(names.code, 1);
  EXPECT_SAYS(names.err, "one name a line");
  EXPECT_FALSE(fs::exists(path("n.cfg")));
}

TEST_F(Models, ABackboneIsDescribedToo) {
  write_file(path("b.cfg"), std::string(kSmallCfg).substr(0, std::string(kSmallCfg).find("[maxpool]")));
  const Ran text = run({"info", "--model", path("b.cfg")}),
            json_text = run({"info", "--model", path("b.cfg"), "--json", "-"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_EQ(json_text.code, 0) << json_text.err;
  EXPECT_EQ(json::parse(json_text.out)["layers"].size(), 1u);
}

TEST_F(Models, EveryCommandTakesDarknetsWeights) {
  const Model model = make_model();
  make_pictures();
  save_darknet_weights(path("d.weights"), model.spec, model.weights);
  write_file(path("d.cfg"), kSmallCfg);
  write_file(path("names.txt"), "dog\ntraffic light\n");
  // Truth that the model finds: the first of its own boxes in each picture.
  std::map<std::string, std::string> lines;
  for (const json& box : boxes({"--weights", path("d.weights"), "--model", path("d.cfg")})) {
    const double x = box["bbox"][0], y = box["bbox"][1], width = box["bbox"][2], height = box["bbox"][3];
    const std::string picture = "pictures/" + box["file_name"].get<std::string>();
    lines.try_emplace(picture, fmt::format("{} {},{},{},{},{}\n", picture, x, y, x + width, y + height,
                                           box["category_id"].get<int>()));
  }
  std::string list;
  for (const auto& [picture, line] : lines) list += line;
  write_file(path("list.txt"), list);
  const auto with = [&](Words words) {
    words.insert(words.end(), {"--weights", path("d.weights"), "--model", path("d.cfg")});
    return run(words);
  };
  const Ran info = with({"info"});
  EXPECT_EQ(info.code, 0) << info.err;
  EXPECT_SAYS(info.out, "classes: 0, 1");
  const Words data = {"--data", path("list.txt"), "--names", path("names.txt")};
  Words eval = {"eval", "--engine", "reference"};
  eval.insert(eval.end(), data.begin(), data.end());
  EXPECT_EQ(with(eval).code, 0);
  Words calibrate = {"calibrate", "--images", "2", "--max-drop", "100"};
  calibrate.insert(calibrate.end(), data.begin(), data.end());
  const Ran no_place = with(calibrate);
  EXPECT_EQ(no_place.code, 2);
  EXPECT_SAYS(no_place.err, "--out FILE.h5");
  calibrate.insert(calibrate.end(), {"--out", path("c.h5")});
  const Ran calibrated = with(calibrate);
  EXPECT_EQ(calibrated.code, 0) << calibrated.err;
  EXPECT_TRUE(load_model(path("c.h5")).quantization.has_value());
  EXPECT_EQ(load_model(path("c.h5")).names, model.names);
  const Ran lost = run({"detect", "--weights", path("d.weights"), "--source", path("pictures")});
  EXPECT_EQ(lost.code, 1);
  EXPECT_SAYS(lost.err, "d.cfg, which lies beside it");
}

TEST_F(Models, CompareFindsNothingWhereNothingDiffers) {
  const std::string own = saved("a.h5");
  make_pictures();
  const Ran ran = run({"compare", own, own, "--source", path("pictures"), "--engine", "reference", "--engine-b", "dnnl",
                       "--json", "-", "--layer-pictures", "2"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const json found = json::parse(ran.out);
  EXPECT_EQ(found["pictures"], 2);
  EXPECT_EQ(found["first_layer"], nullptr);
  EXPECT_FALSE(found["layers"].empty());
  EXPECT_GT(found["boxes"]["equal"], 4);
  EXPECT_EQ(
      found["boxes"]["moved"].get<int>() + found["boxes"]["only_a"].get<int>() + found["boxes"]["only_b"].get<int>(),
      0);
  EXPECT_LT(found["raw_maps"][0]["distance"], 1e-5);
  EXPECT_SAYS(ran.err, "none of");
  const Ran same = run({"compare", own, own, "--source", path("pictures"), "--engine", "reference"});
  EXPECT_SAYS(same.out, "distance 0.00e+00");
  EXPECT_EQ(same.out.find(", )"), std::string::npos) << "no difference, no place: " << same.out;
}

TEST_F(Models, CompareFindsTheChangedNumber) {
  const std::string own = saved("a.h5");
  Model other = make_model();
  other.weights.tensors[5][0] += 0.5f;  // bias of the head's convolution, layer 2: x of anchor 0
  save_model(path("b.h5"), other);
  make_pictures();
  const Ran ran = run(
      {"compare", own, path("b.h5"), "--source", path("pictures"), "--engine", "reference", "--json", path("c.json")});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const json found = json::parse(read_file(path("c.json")));
  EXPECT_EQ(found["first_layer"], 2);
  EXPECT_EQ(found["raw_maps"].size(), 1u);
  EXPECT_NEAR(found["raw_maps"][0]["largest"].get<double>(), 0.5, 1e-6);
  EXPECT_EQ(found["raw_maps"][0]["channel"], 0);
  EXPECT_SAYS(ran.out, "first that differs: layer 2 (convolutional)");
  const json& changed = found["boxes"]["changed"];
  EXPECT_EQ(changed.size(),
            std::min<size_t>(20, found["boxes"]["moved"].get<size_t>() + found["boxes"]["only_a"].get<size_t>() +
                                     found["boxes"]["only_b"].get<size_t>()));
  ASSERT_FALSE(changed.empty());
  EXPECT_EQ(changed[0]["class"], make_model().names.at(changed[0]["class_id"].get<size_t>()));
  EXPECT_SAYS(ran.out, changed[0]["picture"].get<std::string>() + ": ");
  EXPECT_EQ(run({"compare", own}).code, 2);
  EXPECT_SAYS(run({"compare", own, "--source", path("pictures")}).err, "B is A in everything");
  EXPECT_SAYS(run({"compare", own, own, "--source", path("pictures"), "--split", "test"}).err, "--split goes with");
  // A picture that cannot be read costs that picture alone.
  write_file(path("pictures/broken.png"), "no picture");
  const Ran broken = run({"compare", own, own, "--source", path("pictures"), "--engine", "reference", "--json", "-"});
  EXPECT_EQ(broken.code, 3);
  EXPECT_EQ(json::parse(broken.out)["pictures"], 2);
  EXPECT_SAYS(broken.err, "broken.png");
  EXPECT_EQ(run({"compare", "--source", path("pictures")}).code, 2);
}

TEST_F(Models, CompareJudgesBothOnTruth) {
  const std::string own = saved("a.h5"), other = saved("b.h5", 9);
  make_pictures();
  write_file(path("names.txt"), "dog\ntraffic light\n");
  write_file(path("list.txt"), "pictures/a.png 1,2,30,40,0\npictures/b.png 5,5,50,50,1\n");
  write_file(path("data.yaml"), "train: list.txt\nval: list.txt\nnames: [dog, traffic light]\n");
  const Ran ran = run({"compare", own, other, "--data", path("data.yaml"), "--engine", "reference", "--json", "-"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const json found = json::parse(ran.out);
  for (const auto& [side, model] : {std::pair("a", own), std::pair("b", other)}) {
    const Ran eval =
        run({"eval", "--weights", model, "--data", path("data.yaml"), "--engine", "reference", "--json", "-"});
    EXPECT_EQ(found["metrics"][side]["AP50"], json::parse(eval.out)["coco"]["AP50"]) << side;
  }
}

// The same truth as COCO's, far from its pictures.
TEST_F(Models, CompareTakesTheFolderOfCocosPictures) {
  const std::string own = saved("a.h5"), other = saved("b.h5", 9);
  make_pictures();
  fs::create_directories(path("truth/deep"));
  write_file(path("truth/deep/i.json"), R"({"images":[{"id":1,"file_name":"a.png"},{"id":2,"file_name":"b.png"}],
"categories":[{"id":1,"name":"dog"},{"id":2,"name":"traffic light"}],
"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[1,2,29,38]},
{"id":2,"image_id":2,"category_id":2,"bbox":[5,5,45,45]}]})");
  const Words command = {"compare", own, other, "--data", path("truth/deep/i.json"), "--engine", "reference"};
  Words with_folder = command;
  with_folder.insert(with_folder.end(), {"--images", path("pictures"), "--json", "-"});
  const Ran ran = run(with_folder);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(json::parse(ran.out)["pictures"], 2);
  EXPECT_NE(run(command).code, 0) << "the test's pictures must not be found without --images";
  const Ran without_data = run({"compare", own, other, "--source", path("pictures"), "--images", path("pictures")});
  EXPECT_EQ(without_data.code, 2);
  EXPECT_SAYS(without_data.err, "--images goes with --data");
}

// By hand. IoU of the second pair: 90 / 110; the third box of A has no partner of its class.
TEST(CompareBoxes, PartnersAreFoundByClassAndOverlap) {
  const std::vector<Detection> a = {{{0, 0, 10, 10}, 0, 0.9f}, {{20, 0, 30, 10}, 1, 0.8f}, {{50, 0, 60, 10}, 0, 0.7f}};
  const std::vector<Detection> b = {
      {{0, 0, 10, 10}, 1, 0.895f}, {{20, 1, 30, 11}, 0, 0.8f}, {{50, 0, 60, 10}, 0, 0.7f}, {{80, 0, 90, 9}, 1, 0.3f}};
  BoxDifferences found;
  add_box_differences(a, b, {1, 0}, "p", found);  // B's classes are the other way round
  EXPECT_EQ(found.equal, 1);
  EXPECT_EQ(found.moved, 1);
  EXPECT_EQ(found.only_a, 1);
  EXPECT_EQ(found.only_b, 2);
  EXPECT_NEAR(found.worst_iou, 90.0 / 110, 1e-6);
  EXPECT_NEAR(found.worst_score, 0.005, 1e-6);
  EXPECT_EQ(found.worst_iou_picture, "p");
  // Lost boxes first, the certain before the doubtful; then the moved one.
  ASSERT_EQ(found.changed.size(), 4u);
  EXPECT_EQ(found.changed[0].a->score, 0.7f);
  EXPECT_FALSE(found.changed[0].b.has_value());
  EXPECT_EQ(found.changed[1].b->score, 0.7f);
  EXPECT_EQ(found.changed[1].class_id, 1);
  EXPECT_EQ(found.changed[2].b->score, 0.3f);
  EXPECT_NEAR(found.changed[3].iou, 90.0 / 110, 1e-6);
  add_box_differences(a, b, {-1, -1}, "q", found);
  EXPECT_EQ(found.only_a, 4);
  EXPECT_EQ(found.only_b, 6);
}

}  // namespace
}  // namespace yolov3
