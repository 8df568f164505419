// yolov3 bench
#include <omp.h>

#include <algorithm>

#include "app/bench_report.h"
#include "app/bench_train.h"
#include "app/options.h"
#include "app/presets.h"
#include "app/program.h"
#include "app/report_file.h"
#include "app/target_options.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "base/usage.h"
#include "format/load_model.h"

namespace yolov3 {
namespace {

constexpr int kProfiledRuns = 7;

struct BenchCommand {
  BenchChoice choice;
  int batch = 1, runs = 0, sides = 0;
  bool steps = true, train = false;
  std::string mode = "latency", json, save_plan;
  AssignOptions assign;
  LossOptions loss;
  std::string preset = "notes";
  TargetWords target_words;
  LossWords loss_words;
};

void add_options(Options& options, BenchCommand& c) {
  options.example("yolov3 bench", "YOLOv3 at 416 with random weights: every stage and layer");
  options.example("yolov3 bench --weights best.h5 --source dog.jpg --precision bf16",
                  "a trained model and a photograph");
  options.example("yolov3 bench --mode throughput --json -", "an image a core as well, for programs, on stdout");
  options.example("yolov3 bench --train --batch 8 --classes 3 --precision bf16", "what a training step costs");
  options.group("What to run");
  options.add("model", &c.choice.model, "yolov3, yolov3-spp, yolov3-tiny or a Darknet FILE.cfg")
      .alias("cfg")
      .placeholder("NAME|FILE.cfg");
  options
      .add("weights", &c.choice.weights,
           "an .h5, or Darknet's or Keras' weights of --model; empty = random, which takes as long")
      .placeholder("FILE");
  options.add("classes", &c.choice.classes, "of a model by name").range(1, 100000);
  options.add("imgsz", &c.choice.imgsz, "network input in pixels, multiples of 32; 0 = the model's own (by name: 416)")
      .alias("img-size")
      .alias("img");
  options.add("batch", &c.batch, "pictures at once").alias("batch-size").range(1, 4096);
  options.add("source", &c.choice.source, "a JPEG to decode; empty = a drawn one of 768x576").placeholder("IMAGE");
  options.group("Where and how");
  options.add("engine", &c.choice.engine.kind, "what computes").choices({"auto", "dnnl", "torch", "reference"});
  options
      .add("precision", &c.choice.engine.precision,
           "of the convolutions; int8 without calibration takes its scales from the picture")
      .choices({"f32", "bf16", "int8", "auto"});
  options.add("threads", &c.choice.engine.threads, "of the network; 0 = all").range(0, 4096);
  options
      .add("plan", &c.choice.engine.plan,
           "how the dnnl engine picks its algorithms: auto (what was measured before, else rule), rule, tune "
           "(measure now), or a plan file")
      .placeholder("auto|rule|tune|FILE");
  options.add("train", &c.train, "time whole training steps, with Adam, instead of using the network");
  options.add("mode", &c.mode, "throughput also runs engines side by side, one thread each")
      .choices({"latency", "throughput"});
  options.add("sides", &c.sides, "engines side by side; 0 = one a core").range(0, 256);
  options.group("Measuring");
  options.add("runs", &c.runs, "of everything; 0 = for about 5 s, at least 7").range(0, 1e6);
  options.add("steps", &c.steps, "time every step of the network too, and the library's peak");
  options.add("save-plan", &c.save_plan, "keep the plan that ran, for --plan").placeholder("FILE");
  options.add("json", &c.json, "all figures as JSON; - = stdout").placeholder("FILE|-");
}

void add_training_options(Options& options, BenchCommand& c) {
  options.group("Targets and loss, with --train");
  options.add_presets(&c.preset, training_presets(), "those of a preset of train; what is given beside it wins");
  add_target_options(options, c.assign, c.target_words);
  add_ignore_iou_option(options, c.loss.ignore_iou);
  add_loss_options(options, c.loss, c.loss_words);
}

void check_choices(const Options& options, const BenchCommand& c) {
  const bool own_network = !c.choice.weights.empty() && kind_of_model(c.choice.weights) == ModelKind::own;
  if (own_network && options.was_given("model")) {
    fail_usage("--model and --weights FILE.h5: a model file holds its own network; give one of them");
  }
  if (!c.choice.weights.empty() && !own_network && !options.was_given("model")) {
    fail_usage("--weights: Darknet's and Keras' weights name no network; say which with --model");
  }
  if (options.was_given("classes") && (own_network || ends_with_ignoring_case(c.choice.model, ".cfg"))) {
    fail_usage("--classes goes with --model NAME; model and cfg files say their own");
  }
  if (options.was_given("plan") && (c.choice.engine.kind == "torch" || c.choice.engine.kind == "reference")) {
    fail_usage("--plan has no effect here: only the dnnl engine has plans");
  }
  const std::string& kind = c.choice.engine.kind;
  if (c.train && (kind == "reference" || c.choice.engine.precision == "int8")) {
    fail_usage("--train: training runs on --engine auto, dnnl or torch, in --precision auto, f32 or bf16");
  }
  for (const char* name : {"plan", "save-plan", "mode", "sides", "weights", "source"}) {
    if (c.train && options.was_given(name)) fail_usage("--{} has no effect here: not with --train", name);
  }
  std::vector<std::string> of_training = target_and_loss_names();
  of_training.emplace_back("preset");
  for (const std::string& name : of_training) {
    if (!c.train && options.was_typed(name)) fail_usage("--{} has no effect here: it goes with --train", name);
  }
  if (options.was_given("sides") && c.mode != "throughput") {
    fail_usage("--sides has no effect here: it goes with --mode throughput");
  }
}

BenchFigures measure(const BenchCommand& c, const BenchCase& bench_case) {
  // 1. The engine, with the picture as it will get it.
  const std::vector<Image> pictures = letterboxed(bench_case, c.batch);
  const EngineOptions& engine_options = c.choice.engine;
  const int threads = engine_options.threads > 0 ? engine_options.threads : omp_get_max_threads();
  Detector detector(bench_case.spec, make_bench_engine(engine_options, bench_case, pictures), {});
  Engine& engine = detector.engine();
  // 2. Every stage, and the whole way.
  BenchFigures figures{.bench_case = &bench_case, .asked = engine_options, .engine = engine.name()};
  figures.batch = c.batch;
  figures.threads = threads;
  figures.stages = measure_stages(detector, bench_case, c.batch, c.runs);
  figures.description = engine.describe();
  // 3. Every step of the network, and what the library reaches at its best.
  if (c.steps) {
    try {
      figures.steps = measure_steps(engine, pictures, kProfiledRuns);
    } catch (const Error& error) {
      figures.no_steps = error.what();
    }
    figures.peaks = measure_peaks(engine_options, figures.steps);
  }
  // 4. Engines side by side, as long as they would take one after the other.
  if (c.mode == "throughput") {
    const int sides = c.sides > 0 ? c.sides : available_cpus();
    const int runs = static_cast<int>(figures.stages.network_ms.size());
    figures.throughput = measure_side_by_side(engine_options, bench_case, pictures, sides, runs);
  }
  return figures;
}

int bench_training(const BenchCommand& c) {
  BenchTrainChoice choice{.model = c.choice.model, .runs = c.runs, .passes = c.steps, .json = c.json};
  choice.options.batch = c.batch;
  choice.options.engine = c.choice.engine.kind;
  choice.options.precision = c.choice.engine.precision;
  choice.options.threads = c.choice.engine.threads;
  choice.options.assign = c.assign;
  choice.options.loss = c.loss;
  return run_bench_train(open_bench_case(c.choice).spec, choice);
}

// The engine describes itself with its plan as the last line.
void save_plan(const BenchFigures& figures, const std::string& file) {
  const bool has_plan = !figures.description.empty() && figures.description.back().starts_with("plan ");
  check_usage(has_plan, "--save-plan {}: the engine {} runs by no plan", file, figures.engine);
  write_text(file, figures.description.back() + "\n");
}

}  // namespace

int run_bench(const std::vector<std::string>& arguments) {
  BenchCommand c;
  Options options("bench", "how fast a network runs here: every stage and every layer");
  add_options(options, c);
  add_training_options(options, c);
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  check_choices(options, c);
  finish_target_options(options, c.target_words, c.assign);
  finish_loss_options(options, c.loss_words, c.loss);
  if (c.train) return bench_training(c);
  check_report_file("--json", c.json, ReportKind::json);
  check_report_file("--save-plan", c.save_plan, ReportKind::plan);
  check_files_differ({{"--json", c.json}, {"--save-plan", c.save_plan}});
  const BenchCase bench_case = open_bench_case(c.choice);
  const BenchFigures figures = measure(c, bench_case);
  const std::string table = fit_for_terminal(bench_table(figures));
  if (c.json == "-") {
    log_line(table);  // stdout is the JSON's
  } else {
    print(table);
  }
  if (!c.json.empty()) write_text(c.json, bench_json(figures));
  if (!c.save_plan.empty()) save_plan(figures, c.save_plan);
  return 0;
}

}  // namespace yolov3
