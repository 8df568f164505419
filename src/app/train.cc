// yolov3 train: options, app/train_options.h
#include "train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "app/options.h"
#include "app/program.h"
#include "app/rank_start.h"
#include "app/report_page.h"
#include "app/train_options.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/log_rank.h"
#include "base/text.h"
#include "base/usage.h"
#include "train/overfit_defaults.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

// The self-test wants one batch of the same pictures again and again, as they are.
void prepare_overfit(const Options& options, TrainCommand& c) {
  TrainOptions& t = c.train;
  if (t.overfit == 0) return;
  const auto refuse = [](const std::string& option) {
    fail_usage("--{} has no effect with --overfit, which trains on a few pictures as they are", option);
  };
  constexpr std::string_view kChanges =
      "multi-scale multi-scale-every image-weights close-mosaic flip flipud crop translate mosaic mixup cutout blur "
      "noise "
      "grey degrees scale shear shift hsv-h hsv-s hsv-v saturation exposure min-visible";
  for (const std::string_view word : split(kChanges, ' ')) {
    const std::string option(word);
    if (options.was_typed(option)) refuse(option);
  }
  if (!t.validate) {
    fail_usage("--val false: --overfit is judged by validating on its own pictures");
  }
  // A run's own args.toml says what was chosen then; another run's says what a long run wants.
  const bool repeated = !options.was_typed("overfit");
  const auto chosen = [&](const char* option) {
    return repeated ? options.was_given(option) : options.was_typed(option);
  };
  const TrainOptions asked = t;
  t = overfit_defaults(t);
  if (chosen("batch")) t.batch = asked.batch;
  if (chosen("epochs")) t.epochs = asked.epochs;
  if (chosen("lr0")) t.lr0 = asked.lr0;
  if (chosen("warmup-epochs")) t.warmup_epochs = asked.warmup_epochs;
  if (chosen("name")) t.name = asked.name;
  t.lr_end = chosen("lr-end") ? asked.lr_end : std::min(t.lr_end, t.lr0);
}

int end_overfit(const TrainResult& result) {
  log_info("{}", result.overfit_verdict);
  return result.overfit_passed ? 0 : static_cast<int>(Error::Kind::failure);
}

// Typed options that others leave without effect.
void refuse_idle_options(const Options& options, const TrainCommand& c) {
  const TrainOptions& t = c.train;
  const auto refuse = [&](const std::string& name, bool idle, const std::string& reason) {
    if (idle && options.was_typed(name)) fail_usage("--{}: {}", name, reason);
  };
  const bool sgd = t.optimizer == "sgd", steps = t.schedule == "steps";
  refuse("momentum", !sgd, "adam has none; add --optimizer sgd");
  refuse("nesterov", !sgd, "adam has no momentum of that kind; add --optimizer sgd");
  refuse("steps", !steps, "the schedule has none; add --schedule steps");
  refuse("step-scale", !steps, "the schedule has no steps; add --schedule steps");
  refuse("lr-end", steps || t.schedule == "constant", fmt::format("--schedule {} has none", t.schedule));
  refuse("warmup", t.warmup_epochs == 0, "there is no warm-up with --warmup-epochs 0");
  refuse("epochs", t.time_s > 0, "--time says when the run ends; leave one of them out");
  refuse("multi-scale-every", t.multi_scale.empty(), "there is one size only; add --multi-scale 320,416,512");
  const bool alone = c.ranks <= 1 && t.place.ranks == 1;
  refuse("sync-bn", alone, "one rank has all pictures of a batch; docs/ranks.md says how to start several");
  refuse("rank-timeout", alone, "there is no other rank to wait for; docs/ranks.md says how to start several");
}

// Whether a run began in this folder: a report.json is there before args.toml, a checkpoint perhaps hours later. A copy of
// its args.toml is no run.
bool holds_run(const fs::path& folder) {
  return std::ranges::any_of(std::array{"report.json", "weights/last.h5", "weights/next.h5", "weights/last.prev.h5"},
                             [&](const char* file) { return fs::exists(folder / file); });
}

// --config args.toml --resume: the run is where that file lies, which may not be the --name it asked for. And what it
// records of oneDNN's engine says nothing when LibTorch's is typed.
void prepare_resume(const Options& options, TrainOptions& t) {
  const auto typed = [&](const char* option) { return options.was_typed(option); };
  if (!typed("training-plan") && (t.device != "cpu" || t.engine == "torch")) t.training_plan.clear();
  if (!t.resume || options.config().empty() || typed("project") || typed("name") || typed("overfit")) return;
  const fs::path folder = fs::weakly_canonical(fs::absolute(options.config()).parent_path());
  std::error_code none;
  if (!holds_run(folder) || fs::equivalent(folder, t.project / t.name, none)) return;
  t.project = folder.parent_path();
  t.name = folder.filename().string();
}

// However the run ends, its report is written.
TrainResult train_and_report(const TrainOptions& options, const std::string& args_toml) {
  fs::path folder;
  try {
    TrainResult result = train(options, args_toml, {}, [&](const fs::path& made) { folder = made; });
    if (options.place.rank == 0) write_run_page(result.run_directory);
    return result;
  } catch (...) {
    if (!folder.empty()) write_run_page(folder);
    throw;
  }
}

// Before there are processes, so that it is said once.
void check_rank_count(const TrainCommand& c) {
  check_usage(c.train.batch != kAutoBatch, "--ranks {}: --batch auto knows one rank's memory alone; give a number",
              c.ranks);
  check_usage(c.train.batch >= c.ranks, "--ranks {}: --batch {} is of all ranks together; give at least {}", c.ranks,
              c.train.batch, c.ranks);
}

}  // namespace

int run_train(const std::vector<std::string>& arguments) {
  TrainCommand c;
  Options options("train", "annotated pictures in, a trained detector out");
  options.example("yolov3 train --data voc/ --epochs 25",
                  "trains YOLOv3 at 416 on a Pascal VOC folder, into runs/train/exp");
  options.example("yolov3 train --data data.yaml --weights best.h5 --lr0 1e-4",
                  "goes on from a trained model, on other data");
  options.example("yolov3 train --data data.yaml --weights coco.h5 --freeze backbone",
                  "trains neck and heads alone; the backbone stays as it is");
  options.example("yolov3 train --data data.yaml --overfit 8",
                  "self-test before a long run: can it learn 8 of the pictures by heart, and if not, why?");
  options.example("yolov3 train --data voc/ --preset paper --box-loss ciou",
                  "targets and loss as in the YOLOv3 paper, but CIoU for the boxes");
  options.example("yolov3 train --config runs/train/exp/args.toml", "repeats a run");
  options.example("yolov3 train --config runs/train/exp/args.toml --resume",
                  "goes on with a run that was stopped or killed, bit for bit");
  options.example("yolov3 train --data data.yaml --time 8h --save-every 10m --patience 20",
                  "a night: losing a machine costs at most ten minutes");
  add_train_options(options, c);
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("data", "the data set, e.g. --data data.yaml; --data synthetic:240 needs no files");
  finish_train_options(options, c);
  prepare_overfit(options, c);
  prepare_resume(options, c.train);
  install_interrupt_handlers();
  const std::optional<RankPlace> place =
      parse_rank_place([](const std::string& name) { return std::getenv(name.c_str()); });
  check_usage(!place || c.ranks == 0 || place->ranks == c.ranks, "--ranks {}: this process was started as one of {}",
              c.ranks, place ? place->ranks : 0);
  if (place) c.train.place = *place;
  refuse_idle_options(options, c);
  options.check_recordable();
  if (!place && c.ranks > 1) {
    check_rank_count(c);
    return run_ranks(arguments, c.ranks, c.train.rank_timeout_s);
  }
  log_as_rank(c.train.place.rank);
  const TrainResult result = train_and_report(c.train, options.to_toml());
  if (c.train.place.rank > 0) return 0;
  if (result.interrupted) {
    const fs::path& folder = result.run_directory;
    std::vector<std::string> words = {"yolov3", "train", "--config", (folder / "args.toml").string(), "--resume"};
    if (c.ranks > 1) words.insert(words.end(), {"--ranks", fmt::format("{}", c.ranks)});
    log_info("to go on: {}", shell_line(words));
  }
  print(result.run_directory.string() + "\n");
  if (c.train.overfit > 0 && !result.interrupted) return end_overfit(result);
  return 0;
}

}  // namespace yolov3
