// yolov3 calibrate
#include "app/calibrate.h"

#include <fmt/format.h>

#include <utility>

#include "app/model_data.h"
#include "app/model_option.h"
#include "app/options.h"
#include "app/program.h"
#include "app/report_file.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "base/usage.h"
#include "format/model_file.h"
#include "quant/calibrate.h"
#include "quant/report.h"

namespace yolov3 {
namespace {

constexpr const char* kFact = "int8";  // what `info` shows of a calibration

struct CalibrateCommand {
  ModelChoice model;
  std::filesystem::path out;
  DataOptions data;
  std::string split = "val", bad_data = "skip", method = "best", json;
  ImageSize imgsz;
  int threads = 0;
  CalibrateOptions calibrate;
};

void add_data_options(Options& options, CalibrateCommand& c) {
  options.group("Data");
  options.add("data", &c.data.data, kDataHelp + std::string("; with the model's classes")).placeholder("D");
  options.add("images", &c.calibrate.images, "pictures of the train split to take the scales from").range(1, 1e6);
  options.add("seed", &c.calibrate.seed, "which pictures; of synthetic data too");
  options.add("split", &c.split, "what the two networks are judged on").choices({"train", "val", "test"});
  options.add("names", &c.data.names, "class names, one a line; empty = what the data set says").placeholder("FILE");
  options
      .add("bad-data", &c.bad_data,
           "defects of the data: leave out, repair (clip, turn, de-duplicate), or stop at the first")
      .choices({"skip", "repair", "error"});
}

void add_options(Options& options, CalibrateCommand& c) {
  options.example("yolov3 calibrate --weights best.h5 --data data.yaml", "puts the scales into best.h5 itself");
  options.example("yolov3 detect --weights best.h5 --source pictures/ --precision int8", "and this uses them");
  options.example("yolov3 calibrate --weights best.h5 --data voc/ --out best-int8.h5 --max-drop 0.2",
                  "a model of its own, and a stricter gate");
  add_data_options(options, c);
  options.group("The network");
  add_model_options(options, c.model);
  options
      .add("out", &c.out,
           "where the model goes with its scales; empty = into --weights itself, if that is an .h5 of ours")
      .placeholder("FILE.h5");
  options.add("imgsz", &c.imgsz, "network input in pixels, multiples of 32; 0 = what the model was trained with")
      .alias("img-size")
      .alias("img");
  options.add("letterbox", &c.calibrate.pictures.letterbox,
              "keep the picture's proportions, with grey around it; false = stretch it");
  options.group("Scales and the gate");
  options
      .add("method", &c.method,
           "how scales are found: clip a fixed part of the values, the least squared error, the least divergence; best "
           "= "
           "try all three and keep the one that passes with the best mAP50-95")
      .choices({"best", "percentile", "mse", "entropy"});
  options.add("percentile", &c.calibrate.percentile, "of the values that are not clipped, for that method")
      .range(0, 100);
  options.add("max-drop", &c.calibrate.max_drop, "points of mAP50 that int8 may cost (0.5: from 0.900 to 0.895)")
      .range(0, 100);
  options.add("first-float", &c.calibrate.first_in_float,
              "the first convolution stays in floating point (it reads the picture, exactly, in either)");
  options.add("heads-float", &c.calibrate.heads_in_float, "the convolutions that feed a head stay in floating point");
  options.add("scan-images", &c.calibrate.scan_images, "pictures on which single layers are tried in int8")
      .range(1, 1e4);
  options.group("Where and how to run");
  options.add("batch", &c.calibrate.judge_batch, "pictures at once").alias("batch-size").range(1, 4096);
  options.add("threads", &c.threads, "of the network; 0 = all").range(0, 4096);
  options.add("json", &c.json, "the figures as JSON, also when the gate fails; - = stdout").placeholder("FILE|-");
}

void finish_options(const Options& options, CalibrateCommand& c) {
  if (options.was_given("percentile") && c.method != "best" && c.method != "percentile") {
    fail_usage("--percentile has no effect here: --method {}", c.method);
  }
  c.model.names = c.data.names;
  if (c.out.empty() && kind_of_model(c.model.weights) != ModelKind::own) {
    fail_usage("calibrate needs --out FILE.h5: {} is no .h5 of ours and cannot hold scales", c.model.weights.string());
  }
  if (c.out.empty()) c.out = c.model.weights;
  std::error_code none;
  if (!std::filesystem::equivalent(c.out, c.model.weights, none)) {
    check_usage(to_lower(c.out.extension().string()) == ".h5", "--out {}: expected a model file FILE.h5",
                c.out.string());
    check_usage(!std::filesystem::exists(c.out, none),
                "--out {}: exists already; calibrate overwrites nothing but --weights itself", c.out.string());
  }
  check_writable(c.out.string());
  check_files_differ({{"--out", c.out.string()}, {"--json", c.json}});
  check_report_file("--json", c.json, ReportKind::json, c.data);
  c.data.bad_data = parse_bad_data_policy(c.bad_data);
  c.data.threads = c.threads;
  c.data.seed = c.calibrate.seed;
  if (c.method == "best") {
    c.calibrate.methods = {ScaleMethod::percentile, ScaleMethod::mse, ScaleMethod::entropy};
  } else {
    c.calibrate.methods = {parse_scale_method(c.method)};
  }
}

EngineFactory factory_of(const CalibrateCommand& c, const EngineMaker& make, const NetworkSpec& spec,
                         const std::shared_ptr<const Weights>& weights) {
  return [&c, &make, &spec, weights](std::shared_ptr<const Quantization> quantization) {
    EngineOptions options;
    options.precision = quantization != nullptr ? "int8" : "f32";
    options.threads = c.threads;
    options.quantization = std::move(quantization);
    return make(options, spec, weights);
  };
}

// All else in the file stays, the state of a checkpoint too. It is read again: calibrating took a while, and a training
// run may have gone on.
void write_scales(const CalibrateCommand& c, const Weights& calibrated, const std::vector<std::string>& names,
                  const Quantization& quantization, const std::string& summary) {
  TrainingState state;
  const bool own = kind_of_model(c.model.weights) == ModelKind::own;
  Model model = own ? load_model(c.model.weights, &state) : load_chosen(c.model, true).model;
  model.names = names;
  check(model.weights == calibrated,
        "{}: it was written anew while it was calibrated, so these scales are not its own; nothing was written. "
        "Calibrate a model that does not change",
        c.model.weights.string());
  model.quantization = quantization;
  model.facts[kFact] = summary;
  const bool is_checkpoint = !state.tensors.empty() || !state.values.empty();
  save_model(c.out, model, is_checkpoint ? &state : nullptr);
  log_info("{}: written with its int8 scales; detect and eval use them with --precision int8", c.out.string());
}

void report(const CalibrateCommand& c, const NetworkSpec& spec, const Calibration& result) {
  const std::string table = calibration_table(spec, result);
  if (c.json == "-") {
    log_line(table);  // stdout is the JSON's
  } else {
    print(table);
  }
  if (!c.json.empty()) write_text(c.json, calibration_json(spec, result));
}

// Of the train split only what is calibrated on is opened; broken ones among them are passed over.
Dataset load_train(const CalibrateCommand& c) {
  DataOptions data = c.data;
  data.verify_images = false;
  return load_split(data, "train");
}

}  // namespace

int run_calibrate_with(const EngineMaker& make, const std::vector<std::string>& arguments) {
  CalibrateCommand c;
  Options options("calibrate", "make a trained model run in int8: faster, at a loss of accuracy that is measured");
  add_options(options, c);
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("data", "the data set the model was trained on, e.g. --data data.yaml");
  options.require("weights", "the model, e.g. --weights runs/train/exp/weights/best.h5");
  finish_options(options, c);

  LoadedModel loaded = load_chosen(c.model, true);
  Model& model = loaded.model;
  NetworkSpec spec = std::move(model.spec);
  if (c.imgsz.width > 0) spec = with_input_size(std::move(spec), c.imgsz.width, c.imgsz.height);
  const Dataset judge = load_split(c.data, c.split), train = load_train(c);
  check_same_classes(model.names, loaded.named, class_count(spec), judge.names);
  check_same_classes(model.names, loaded.named, class_count(spec), train.names);

  const auto weights = std::make_shared<const Weights>(std::move(model.weights));
  const Calibration result = calibrate(spec, factory_of(c, make, spec, weights), train, judge, c.calibrate);
  report(c, spec, result);
  if (!result.passed) {
    throw Error(
        fmt::format("int8 costs {:.2f} points of mAP50 ({:.4f} instead of {:.4f}), more than --max-drop {}, with "
                    "the most sensitive convolutions in floating point; no model was written",
                    result.drop(), result.int8_map50, result.f32_map50, c.calibrate.max_drop),
        Error::Kind::accuracy);
  }
  write_scales(c, *weights, loaded.named ? model.names : judge.names, result.quantization,
               calibration_summary(spec, result));
  return 0;
}

int run_calibrate(const std::vector<std::string>& arguments) { return run_calibrate_with(make_engine, arguments); }

}  // namespace yolov3
