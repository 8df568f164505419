// yolov3 anchors
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

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
#include "data/prepare.h"
#include "detect/anchors.h"
#include "net/cfg.h"

namespace yolov3 {
namespace {

using Json = nlohmann::ordered_json;

// A network learns the rest of a size where an anchor covers about half of it: with nearly all boxes covered so, other
// anchors change little, and a trained head's are lost. Beyond that a change must bring something.
constexpr double kCovered = 0.99;  // share of boxes that a present anchor overlaps by more than a half
constexpr double kWorthwhileIou = 0.03, kWorthwhileRecall = 0.01;

struct AnchorsCommand {
  HeadChoice network;
  DataOptions data;
  std::string split = "train", bad_data = "skip", json;
  std::filesystem::path out;
  bool letterbox = true;
  AssignOptions assign;
  TargetWords target_words;
  std::string preset = "notes";
  ClusterOptions cluster{.clusters = 0};
};

void add_options(Options& options, AnchorsCommand& c) {
  options.example("yolov3 anchors --data voc/ --imgsz 416", "the anchors of YOLOv3 against the best for this data set");
  options.example("yolov3 anchors --data data.yaml --model my.cfg --out my-anchors.cfg", "and the cfg that has those");
  options.group("Data");
  add_split_options(options, c.data, c.split, c.bad_data);
  add_head_options(options, c.network);
  options.add("letterbox", &c.letterbox, "keep the picture's proportions, with grey around it; false = stretch it");
  options.group("The search");
  options.add("clusters", &c.cluster.clusters, "anchors to find; 0 = as many as the network has").range(0, 1000);
  options.add("restarts", &c.cluster.restarts, "starts from other boxes; the best result counts").range(1, 10000);
  options.add("seed", &c.cluster.seed, "of the starts; of synthetic data too");
  options.add("threads", &c.data.threads, "that read pictures; 0 = all").range(0, 4096);
  options.group("Targets, as training would have them");
  options.add_presets(&c.preset, training_presets(), "those of a preset of train; what is given beside it wins");
  add_target_options(options, c.assign, c.target_words);
  options.group("Results");
  options
      .add("out", &c.out, "write the new anchors: the network with them as .cfg, or the anchors of each head as .yaml")
      .placeholder("FILE.cfg|FILE.yaml");
  options.add("json", &c.json, "everything as JSON; - = stdout").placeholder("FILE|-");
}

// Objects in the network's pixels, exactly as training meets them without augmentation. No picture is decoded: sizes
// are stated, or read from the files' headers.
std::vector<std::vector<Annotation>> read_objects(const AnchorsCommand& c, const LayerShape& input) {
  DataOptions data = c.data;
  data.verify_images = false;
  const Dataset dataset = load_split(data, c.split);
  LoaderOptions options;
  options.width = static_cast<int>(input.width);
  options.height = static_cast<int>(input.height);
  options.letterbox = c.letterbox;
  std::vector<std::vector<Annotation>> all;
  for (const Example& example : dataset.examples) {
    all.push_back(objects_in_net(example, options));
    std::erase_if(all.back(), [](const Annotation& object) { return object.crowd; });  // training does not assign them
  }
  return all;
}

struct Judged {
  std::vector<Head> heads;
  std::vector<Anchor> anchors;
  AnchorFit fit;
  AnchorTargets targets;
};

Judged judge(std::vector<Head> heads, const std::vector<std::vector<Annotation>>& objects,
             const std::vector<Anchor>& sizes, const AssignOptions& assign) {
  Judged judged;
  for (const Head& head : heads) judged.anchors.insert(judged.anchors.end(), head.anchors.begin(), head.anchors.end());
  judged.fit = anchor_fit(sizes, judged.anchors, assign.positive_iou);
  judged.targets = count_targets(objects, heads, assign);
  judged.heads = std::move(heads);
  return judged;
}

std::vector<Anchor> sizes_of(const std::vector<std::vector<Annotation>>& objects_net) {
  std::vector<Anchor> sizes;
  for (const auto& objects : objects_net) {
    for (const Annotation& object : objects) sizes.push_back({object.box.width(), object.box.height()});
  }
  return sizes;
}

// To a tenth of a pixel: what is written is what was judged.
std::vector<Anchor> rounded(std::vector<Anchor> anchors) {
  for (Anchor& anchor : anchors) {
    anchor = {std::max(0.1f, std::round(anchor.width * 10) / 10), std::max(0.1f, std::round(anchor.height * 10) / 10)};
  }
  return anchors;
}

std::string list_of(const std::vector<Anchor>& anchors, const char* between, const char* separator) {
  std::string text;
  for (const Anchor& a : anchors) {
    text += fmt::format("{}{:g}{}{:g}", text.empty() ? "" : separator, a.width, between, a.height);
  }
  return text;
}

struct Advice {
  bool replace = false;
  std::string reason;
};

Advice advise(const Judged& present, const Judged& fresh) {
  const double iou = fresh.fit.mean_iou - present.fit.mean_iou;
  const double recall = fresh.fit.recall_50 - present.fit.recall_50;
  const bool covered = present.fit.recall_50 >= kCovered;
  Advice advice;
  advice.replace = !covered && (iou >= kWorthwhileIou || recall >= kWorthwhileRecall);
  advice.reason = fmt::format("the new ones change the mean IoU by {:+.3f} and the recall at 0.5 by {:+.1f} points",
                              iou, 100 * recall);
  if (advice.replace) {
    advice.reason += "; train from a backbone, or give a trained model some epochs to learn the new sizes";
  } else if (covered) {
    advice.reason += fmt::format(
        ", but the present ones overlap {:.1f}% of the boxes by more than a half: the network "
        "learns the rest",
        100 * present.fit.recall_50);
  } else {
    advice.reason += iou <= 0 && recall <= 0 ? ": they are no better" : ", too little for a change";
  }
  return advice;
}

std::string fit_line(const char* name, const Judged& judged) {
  const AnchorFit& fit = judged.fit;
  return fmt::format("{:<16} {:>8.3f} {:>20.1f}% {:>10.1f}% {:>12} {:>8}\n", name, fit.mean_iou, 100 * fit.recall,
                     100 * fit.recall_50, judged.targets.overwritten, judged.targets.lost);
}

std::string scale_lines(const char* name, const Judged& judged) {
  std::string text;
  for (size_t h = 0; h < judged.heads.size(); ++h) {
    const ScaleTargets& targets = judged.targets.scales[h];
    text += fmt::format("{:<16} {:>5} {:>7g} {:>9} {:>9}  {}\n", h == 0 ? name : "", h, judged.heads[h].stride_x,
                        targets.objects, targets.targets, list_of(judged.heads[h].anchors, "x", " "));
  }
  return text;
}

std::string table(const AnchorsCommand& c, const LayerShape& input, size_t pictures, size_t boxes,
                  const Judged& present, const Judged& fresh, const Advice& advice) {
  std::string text = fmt::format("{}, {}: {} boxes in {} pictures, at {}x{} pixels of the network\n\n", c.data.data,
                                 c.split, boxes, pictures, input.width, input.height);
  text += fmt::format("{:<16} {:>8} {:>21} {:>11} {:>12} {:>8}\n", "", "mean IoU",
                      fmt::format("recall at IoU > {:g}", c.assign.positive_iou), "at > 0.5", "overwritten", "lost");
  text += fit_line("present anchors", present) + fit_line("new anchors", fresh);
  text += fmt::format("\n{:<16} {:>5} {:>7} {:>9} {:>9}  {}\n", "", "scale", "stride", "objects", "targets", "anchors");
  text += scale_lines("present anchors", present) + scale_lines("new anchors", fresh);
  text +=
      "\nRecall: the share of boxes that an anchor fits that well, the best a network can do with these anchors.\n"
      "Overwritten: targets (a cell's anchor) that an object wants and another one has; lost: objects that are left\n"
      "with none.\n\n";
  return text + fmt::format("{}: {}\nanchors={}\n", advice.replace ? "replace" : "keep", advice.reason,
                            list_of(fresh.anchors, ",", ", "));
}

double tenths(float pixels) { return std::round(double{pixels} * 10) / 10; }

Json json_of(const Judged& judged) {
  Json scales = Json::array();
  for (size_t h = 0; h < judged.heads.size(); ++h) {
    Json anchors = Json::array();
    for (const Anchor& a : judged.heads[h].anchors) anchors.push_back({tenths(a.width), tenths(a.height)});
    scales.push_back({{"scale", h},
                      {"stride", {judged.heads[h].stride_x, judged.heads[h].stride_y}},
                      {"anchors", anchors},
                      {"objects", judged.targets.scales[h].objects},
                      {"targets", judged.targets.scales[h].targets}});
  }
  return {{"mean_iou", judged.fit.mean_iou},   {"recall", judged.fit.recall},
          {"recall_50", judged.fit.recall_50}, {"overwritten", judged.targets.overwritten},
          {"lost", judged.targets.lost},       {"scales", scales}};
}

std::string first_line(const AnchorsCommand& c, const LayerShape& input, const Judged& fresh) {
  return fmt::format("{}{} ({}), pixels at {}x{}; mean IoU {:.3f}\n", kAnchorsMark, fit_for_terminal(c.data.data),
                     c.split, input.width, input.height, fresh.fit.mean_iou);
}

std::string yaml_of(const AnchorsCommand& c, const LayerShape& input, const Judged& fresh) {
  std::string text = first_line(c, input, fresh) + "anchors:\n";
  for (const Head& head : fresh.heads) {
    text += fmt::format("  - [{}]  # stride {:g}\n", list_of(head.anchors, ",", ", "), head.stride_x);
  }
  return text;
}

void check_out(const AnchorsCommand& c) {
  const std::string name = c.out.string();
  if (name.empty() || ends_with_ignoring_case(name, ".cfg") || ends_with_ignoring_case(name, ".yaml")) {
    return check_report_file("--out", name, ReportKind::anchors, c.data, {c.network.model, c.network.weights});
  }
  fail_usage("--out {}: expected a .cfg or a .yaml file", name);
}

void write_out(const AnchorsCommand& c, const NetworkSpec& spec, const Judged& fresh) {
  if (c.out.empty()) return;
  const bool cfg = ends_with_ignoring_case(c.out.string(), ".cfg");
  write_text(c.out.string(), cfg ? first_line(c, spec.input, fresh) + write_cfg(with_anchors(spec, fresh.anchors))
                                 : yaml_of(c, spec.input, fresh));
  log_info("{}: written", c.out.string());
}

}  // namespace

int run_anchors(const std::vector<std::string>& arguments) {
  AnchorsCommand c;
  Options options("anchors", "compares a network's anchors with the best for a data set, and says whether to change");
  add_options(options, c);
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("data", "the data set, e.g. --data data.yaml");
  if (options.was_typed("ignore-boxes")) {
    fail_usage("--ignore-boxes has no effect here: it changes no target, but what is spared beside them");
  }
  finish_target_options(options, c.target_words, c.assign);
  check_out(c);
  check_report_file("--json", c.json, ReportKind::json, c.data, {c.network.model, c.network.weights});
  check_files_differ({{"--out", c.out.string()}, {"--json", c.json}});
  c.data.bad_data = parse_bad_data_policy(c.bad_data);
  c.data.seed = c.cluster.seed;

  NetworkSpec spec = choose_network(options, c.network).spec;
  const std::vector<Head> present_heads = heads(spec);
  size_t present_count = 0;
  for (const Head& head : present_heads) present_count += head.anchors.size();
  if (c.cluster.clusters == 0) c.cluster.clusters = static_cast<int>(present_count);

  const std::vector<std::vector<Annotation>> objects = read_objects(c, spec.input);
  const std::vector<Anchor> sizes = sizes_of(objects);
  const Judged present = judge(present_heads, objects, sizes, c.assign);
  const std::vector<Anchor> anchors = rounded(cluster_anchors(sizes, c.cluster));
  const Judged fresh = judge(heads_with_anchors(present_heads, anchors), objects, sizes, c.assign);
  const Advice advice = advise(present, fresh);

  const std::string text = table(c, spec.input, objects.size(), sizes.size(), present, fresh, advice);
  c.json == "-" ? log_line(fit_for_terminal(text)) : print(fit_for_terminal(text));
  const Json json{{"input", {spec.input.width, spec.input.height}},
                  {"pictures", objects.size()},
                  {"boxes", sizes.size()},
                  {"positive_iou", c.assign.positive_iou},
                  {"matching", c.target_words.matching},
                  {"anchor_fit", c.target_words.anchor_fit},
                  {"positive_ratio", c.assign.positive_ratio},
                  {"best_of_all", c.assign.best_of_all},
                  {"collision", c.target_words.collision},
                  {"present", json_of(present)},
                  {"new", json_of(fresh)},
                  {"recommendation", advice.replace ? "replace" : "keep"},
                  {"reason", advice.reason}};
  if (!c.json.empty()) write_text(c.json, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  write_out(c, spec, fresh);
  return 0;
}

}  // namespace yolov3
