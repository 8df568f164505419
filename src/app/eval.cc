// yolov3 eval
#include <fmt/format.h>

#include <chrono>

#include "app/model_data.h"
#include "app/open_detector.h"
#include "app/options.h"
#include "app/program.h"
#include "app/report_file.h"
#include "app/report_page.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/usage.h"
#include "data/source.h"
#include "eval/evaluate.h"
#include "eval/report.h"
#include "eval/report_data.h"

namespace yolov3 {
namespace {

struct EvalCommand {
  DetectorChoice choice;
  DataOptions data;
  EvaluateOptions evaluate;
  std::string split = "val", bad_data = "skip";
  std::string json, save_json, report;
  std::filesystem::path detections;
  EvaluationFacts facts;  // for the report
};

void add_options(Options& options, EvalCommand& c) {
  options.example("yolov3 eval --weights best.h5 --data data.yaml", "mAP on the val split");
  options.example("yolov3 eval --weights best.h5 --data voc/ --split test --json -",
                  "the same for programs, on stdout");
  options.example("yolov3 eval --data instances.json --detections results.json",
                  "judges the COCO results of any detector");
  options.group("Data");
  options.add("data", &c.data.data, kDataHelp + std::string("; with --detections a COCO instances.json"))
      .placeholder("D");
  options.add("split", &c.split, "of the data set").choices({"train", "val", "test"});
  options.add("names", &c.data.names, "class names, one a line; empty = what the data set says").placeholder("FILE");
  options.add("images", &c.data.images, "the pictures of COCO files; empty = looked for around the file")
      .placeholder("DIR");
  options
      .add("bad-data", &c.bad_data,
           "defects of the data: leave out, repair (clip, turn, de-duplicate), or stop at the first")
      .choices({"skip", "repair", "error"});
  options.add("seed", &c.data.seed, "of synthetic data");
  add_detector_options(options, c.choice);
  options.add("batch", &c.evaluate.batch, "pictures at once").alias("batch-size").range(1, 4096);
  options.group("Results");
  options.add("json", &c.json, "the figures as JSON; - = stdout").placeholder("FILE|-");
  options.add("save-json", &c.save_json, "every detection as a COCO results file").placeholder("FILE");
  options
      .add("report", &c.report,
           "a page with curves, confusion matrix, sizes and the worst cases as pictures (with --detections without "
           "pictures), one file")
      .placeholder("FILE");
  options.add("detections", &c.detections, "judge these COCO results; no model is run, no picture opened")
      .placeholder("FILE");
}

// Before the work, not after it.
void check_outputs(const EvalCommand& c) {
  if (c.save_json == "-") fail_usage("--save-json -: expected a file; stdout is for --json");
  if (c.report == "-") fail_usage("--report -: expected a file; stdout is for --json");
  check_report_file("--json", c.json, ReportKind::json, c.data, {c.detections});
  check_report_file("--save-json", c.save_json, ReportKind::json, c.data, {c.detections});
  check_report_file("--report", c.report, ReportKind::html, c.data);
  check_files_differ({{"--json", c.json}, {"--save-json", c.save_json}, {"--report", c.report}});
}

void report(const EvalCommand& c, const Metrics& metrics, const std::vector<std::string>& names) {
  const std::string table = metrics_table(metrics, names);
  if (c.json == "-") {
    log_line(table);  // stdout is the JSON's
  } else {
    print(table + (table.ends_with('\n') ? "" : "\n"));
  }
  if (!c.json.empty()) write_text(c.json, metrics_json(metrics, names));
}

void write_report(const EvalCommand& c, const ReportData& data, const JudgedPictures& pictures) {
  write_text(c.report, evaluation_page(c.facts, report_json(data, pictures)));
  log_info("report: {}", c.report);
}

// What report pages count of a data set that was read as COCO's truth only.
DatasetStats stats_of(const CocoTruth& truth) {
  DatasetStats stats;
  for (const std::string& name : truth.names) stats.classes.push_back({name});
  for (const CocoImage& image : truth.images) {
    int64_t objects = 0;
    for (const TruthBox& object : image.truth) {
      if (object.crowd) continue;
      ++stats.classes[static_cast<size_t>(object.class_id)].objects;
      ++objects;
    }
    ++stats.pictures;
    stats.background += objects == 0;
    stats.objects += objects;
  }
  return stats;
}

int judge_results(EvalCommand& c) {
  CocoTruth truth = read_coco_truth(c.data.data);
  read_coco_results(c.detections, truth);
  Evaluator evaluator(static_cast<int>(truth.names.size()));
  for (const CocoImage& image : truth.images) evaluator.add(image.truth, image.detections);
  const Metrics metrics = evaluator.compute();
  report(c, metrics, truth.names);
  if (c.report.empty()) return 0;
  c.facts.title = fmt::format("{} on {}", c.detections.string(), c.data.data);
  ReportData data{.names = truth.names, .splits = {{"truth", stats_of(truth)}}};
  data.judgement = Judgement{c.data.data, std::nullopt, metrics, evaluator.find()};
  write_report(c, data, {[&](int64_t i) { return truth.images[static_cast<size_t>(i)].file_name; }, {}});
  return 0;
}

int judge_model(EvalCommand& c) {
  const Dataset dataset = load_split(c.data, c.split);
  OpenDetector open = open_detector(c.choice);
  check_same_classes(open.names, open.named, class_count(open.detector.spec()), dataset.names);
  std::vector<CocoResult> results;
  const auto start = std::chrono::steady_clock::now();
  Findings findings;
  const Metrics metrics = evaluate(dataset, open.detector, c.evaluate, c.save_json.empty() ? nullptr : &results,
                                   c.report.empty() ? nullptr : &findings);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  log_info("{} pictures in {:.1f} s: {:.2f} images/s", metrics.images, seconds,
           static_cast<double>(metrics.images) / seconds);
  report(c, metrics, dataset.names);
  if (!c.save_json.empty()) write_text(c.save_json, coco_results_json(results));
  if (c.report.empty()) return 0;
  const auto& input = open.detector.spec().input;
  c.facts.title = fmt::format("{} on {} ({})", c.choice.model.weights.string(), c.data.data, c.split);
  c.facts.lead = fmt::format("{} x {}, {}", input.width, input.height, open.detector.engine().name());
  c.facts.images_per_second = static_cast<double>(metrics.images) / seconds;
  c.facts.peak_gb = static_cast<double>(peak_memory()) / 1e9;
  ReportData data{dataset.names, static_cast<int>(input.width), static_cast<int>(input.height), {}, {}};
  data.splits[c.split] = dataset_stats(dataset, data.net_width, data.net_height);
  data.judgement = Judgement{c.split, std::nullopt, metrics, std::move(findings)};
  write_report(c, data, pictures_of(dataset));
  return 0;
}

}  // namespace

int run_eval(const std::vector<std::string>& arguments) {
  EvalCommand c;
  c.choice.detect = metrics_detect_options();
  Options options("eval", "how good a model is on a data set: mAP, precision, recall (COCO and Pascal VOC)");
  add_options(options, c);
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("data", "the data set, e.g. --data data.yaml; with --detections the COCO instances.json");
  check_outputs(c);
  c.facts.arguments = arguments;
  c.facts.options_toml = options.to_toml();
  if (!c.detections.empty()) {
    if (options.was_given("weights")) {
      fail_usage("--detections and --weights: either a results file is judged or a model");
    }
    options.allow_only({"data", "detections", "json", "report"},
                       "--detections judges boxes that a detector found; no model is run, no picture opened");
    return judge_results(c);
  }
  options.require("weights", "the model, e.g. --weights runs/train/exp/weights/best.h5 (or --detections FILE)");
  c.data.bad_data = parse_bad_data_policy(c.bad_data);
  c.data.threads = c.choice.engine.threads;
  c.evaluate.exact_decode = c.choice.exact_decode;
  c.choice.model.names = c.data.names;
  c.choice.names_of_data = true;
  return judge_model(c);
}

}  // namespace yolov3
