// yolov3 explain
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "app/data_parts.h"
#include "app/explain_report.h"
#include "app/head_choice.h"
#include "app/model_data.h"
#include "app/options.h"
#include "app/presets.h"
#include "app/program.h"
#include "app/report_file.h"
#include "app/target_options.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "base/usage.h"
#include "data/loader.h"
#include "engine/engine.h"
#include "image/save.h"

namespace yolov3 {
namespace {

struct ExplainCommand {
  HeadChoice network;
  DataOptions data;
  std::string split = "train", bad_data = "skip", image = "0", json;
  std::filesystem::path out;
  bool letterbox = true;
  AssignOptions assign;
  TargetWords target_words;
  double ignore_iou = 0.5;
  std::string preset = "notes", engine = "auto";
  int threads = 0;
};

void add_options(Options& options, ExplainCommand& c) {
  options.example("yolov3 explain --data voc/ --image BloodImage_00001.jpg --out explained/",
                  "a table on stdout and a picture a scale");
  options.example("yolov3 explain --data data.yaml --image 17 --weights best.h5 --json -",
                  "what the network answers in those cells, for programs");
  options.group("Data");
  add_split_options(options, c.data, c.split, c.bad_data);
  options.add("image", &c.image, "which picture: its file name, or its number from 0").placeholder("NAME|NUMBER");
  options.add("seed", &c.data.seed, "of synthetic data");
  add_head_options(options, c.network);
  options.add("letterbox", &c.letterbox, "keep the picture's proportions, with grey around it; false = stretch it");
  options.add("engine", &c.engine, "what runs --weights").choices({"auto", "dnnl", "reference", "torch", "checked"});
  options.add("threads", &c.threads, "of the network; 0 = all").range(0, 4096);
  options.group("Targets, as training would have them");
  options.add_presets(&c.preset, training_presets(), "those of a preset of train; what is given beside it wins");
  add_target_options(options, c.assign, c.target_words).alias("best-anchor");
  add_ignore_iou_option(options, c.ignore_iou);
  options.group("Results");
  options.add("out", &c.out, "a folder for a picture a scale: NAME-scale0.png, ...").placeholder("DIR");
  options.add("json", &c.json, "everything as JSON; - = stdout, instead of the table").placeholder("FILE|-");
}

// By number, or by a path that the example's ends with in whole parts: "a.jpg", "images/a.jpg".
const Example& find_example(const Dataset& dataset, const std::string& wanted, const std::string& data,
                            const std::string& split) {
  const auto fits = [&](const Example& example) {
    const std::string path = example.image.string();
    return path == wanted || path.ends_with("/" + wanted);
  };
  const auto count = std::ranges::count_if(dataset.examples, fits);
  if (count == 1) return *std::ranges::find_if(dataset.examples, fits);
  if (count > 1) {
    fail_usage("--image {}: {} pictures of {} are called that; give more of the path, or a number", wanted, count,
               data);
  }
  const std::optional<int64_t> number = parse_integer(wanted);
  const auto size = static_cast<int64_t>(dataset.examples.size());
  if (number && *number >= 0 && *number < size) return dataset.examples[static_cast<size_t>(*number)];
  fail_usage("--image {}: {} has no such picture in --split {}; expected a file name, or a number from 0 to {}", wanted,
             data, split, size - 1);
}

// The picture that the planes were made from, for drawing.
Image picture_of(const Tensor& planes) {
  const int height = static_cast<int>(planes.dim(2)), width = static_cast<int>(planes.dim(3));
  Image image(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) image.pixel(x, y)[c] = static_cast<uint8_t>(planes.at(0, c, y, x) * 255 + 0.5f);
    }
  }
  return image;
}

Answers ask_network(const ExplainCommand& c, const NetworkSpec& spec, Model model, const Tensor& planes,
                    const ExplainedPicture& picture) {
  EngineOptions options{.kind = c.engine, .threads = c.threads};
  const auto engine = make_engine(options, spec, std::make_shared<const Weights>(std::move(model.weights)));
  const std::vector<Tensor> maps = engine->forward(planes);
  return explain_answers(views_of(maps), picture.heads, picture.objects, picture.explanation, c.ignore_iou);
}

// As training meets the picture, without augmentation.
ExplainedPicture explain(const ExplainCommand& c, const Dataset& dataset, ChosenNetwork network) {
  const Example& example = find_example(dataset, c.image, c.data.data, c.split);
  const auto width = static_cast<int>(network.spec.input.width), height = static_cast<int>(network.spec.input.height);
  LoaderOptions options;
  options.letterbox = c.letterbox;
  Tensor planes({1, 3, height, width});
  PreparedSample sample = prepare_sample(example, options, width, height, Rng(0), planes.data());
  std::erase_if(sample.objects_net, [](const Annotation& object) { return object.crowd; });

  ExplainedPicture picture;
  picture.source = example.image.string();
  picture.input = picture_of(planes);
  picture.objects = std::move(sample.objects_net);
  picture.names = dataset.names;
  picture.heads = heads(network.spec);
  picture.assign = c.assign;
  picture.words = c.target_words;
  picture.ignore_iou = c.ignore_iou;
  picture.explanation = explain_targets(picture.objects, picture.heads, c.assign);
  if (network.model) picture.answers = ask_network(c, network.spec, std::move(*network.model), planes, picture);
  return picture;
}

void write_pictures(const ExplainCommand& c, const ExplainedPicture& picture) {
  if (c.out.empty()) return;
  make_directories(c.out);
  const std::string stem = std::filesystem::path(picture.source).stem().string();
  for (size_t h = 0; h < picture.heads.size(); ++h) {
    const std::filesystem::path file = c.out / fmt::format("{}-scale{}.png", stem, h);
    save_image(file, explain_picture(picture, h));
    log_info("{}: written", file.string());
  }
}

}  // namespace

int run_explain(const std::vector<std::string>& arguments) {
  ExplainCommand c;
  Options options("explain",
                  "which cells and anchors answer for the objects of one picture, and what a network says there");
  add_options(options, c);
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("data", "the data set, e.g. --data data.yaml");
  for (const char* name : {"engine", "ignore-iou", "ignore-boxes", "threads"}) {
    if (!c.network.weights.empty() || !options.was_given(name)) continue;
    fail_usage("--{} goes with --weights: without a network there are no predictions", name);
  }
  finish_target_options(options, c.target_words, c.assign);
  check_report_file("--json", c.json, ReportKind::json, c.data, {c.network.model, c.network.weights});
  if (!c.out.empty()) check_outside(c.out, "--out", c.data);
  c.data.bad_data = parse_bad_data_policy(c.bad_data);
  c.data.verify_images = false;  // one is read
  const Dataset dataset = load_split(c.data, c.split);
  const auto classes = static_cast<int>(dataset.names.size());
  ChosenNetwork network = choose_network(options, c.network, classes);
  if (network.model) {
    check_same_classes(network.model->names, network.named, class_count(network.spec), dataset.names);
  }

  const ExplainedPicture picture = explain(c, dataset, std::move(network));
  if (c.json != "-") print(explain_text(picture));
  if (!c.json.empty()) write_text(c.json, explain_json(picture));
  write_pictures(c, picture);
  return 0;
}

}  // namespace yolov3
