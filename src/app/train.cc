// yolov3 train
#include "train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "app/augment_options.h"
#include "app/model_data.h"
#include "app/options.h"
#include "app/presets.h"
#include "app/program.h"
#include "app/rank_start.h"
#include "app/report_page.h"
#include "app/target_options.h"
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

struct TrainCommand {
  TrainOptions train;
  ImageSize imgsz{train.width, train.height};
  std::string bad_data = "skip";
  std::string save_every = "0", time = "0", rank_timeout = "60s";
  int ranks = 0;
  std::string preset = "notes";
  TargetWords target_words;
  LossWords loss_words;
};

void add_input_options(Options& options, TrainCommand& c) {
  TrainOptions& t = c.train;
  options.group("What to train on");
  options.add("data", &t.data.data, kDataHelp).placeholder("D");
  options.add("names", &t.data.names, "class names, one a line; empty = what the data set says").placeholder("FILE");
  options.add("images", &t.data.images, kImagesHelp).placeholder("DIR");
  options
      .add("bad-data", &c.bad_data,
           "defects of the data: leave out, repair (clip, turn, de-duplicate), or stop at the first")
      .choices({"skip", "repair", "error"});
  options.add("workers", &t.workers, "threads that load pictures; 0 = load between the steps. Never changes the result")
      .range(0, 256);
  options.add("exact-decode", &t.exact_decode,
              "decode JPEGs whole even where a reduced size is enough for the network");
  options.group("The network");
  options.add("model", &t.model, "yolov3, yolov3-spp, yolov3-tiny or a Darknet FILE.cfg")
      .alias("cfg")
      .placeholder("NAME|FILE.cfg");
  options
      .add("weights", &t.weights,
           "start from this model: an .h5, Darknet's .weights or a backbone of it (darknet53.conv.74), or Keras' "
           "weights; "
           "layers that do not fit start fresh, head rows follow the class names, and a table says so")
      .placeholder("FILE");
  options.add("imgsz", &c.imgsz, "network input in pixels, multiples of 32").alias("img-size").alias("img");
  options
      .add("freeze", &t.freeze,
           "leave the first N layers (Darknet's numbers) as they are, statistics included; backbone = 75 of yolov3, 13 "
           "of "
           "yolov3-tiny")
      .placeholder("N|backbone");
  options.add("multi-scale", &t.multi_scale,
              "square input sizes to change between while training, e.g. 320,416,512; empty = off");
  options.add("multi-scale-every", &t.multi_scale_every, "batches between two such changes").range(1, 100000);
  options.add("bn-momentum", &t.bn_momentum, "weight of the newest batch in the running statistics of batch norm")
      .range(0, 1);
}

void add_sampling_options(Options& options, TrainOptions& t) {
  add_augment_options(options, t.augment);
  options.group("Augmentation and sampling over the run");
  options
      .add("close-mosaic", &t.close_mosaic,
           "the last N epochs go without mosaic, mixup, cutout, blur, noise, grey, degrees, scale, shear and shift")
      .range(0, 1000000);
  options
      .add("image-weights", &t.image_weights,
           "pictures with rare classes come more often, others less: by how much rarer than the commonest class the "
           "rarest in them is, to this power; 0 = off, 0.5 is usual")
      .range(0, 4);
  options
      .add("class-weights", &t.class_weights,
           "weights of the classes in the class part of the loss: none, auto (by 1/sqrt of how often each is), a list "
           "in the order of the classes, or a file of lines NAME WEIGHT")
      .placeholder("none|auto|W,W,...|FILE");
  options
      .add("overfit", &t.overfit,
           "self-test: train on the first N pictures with objects alone, validate on them too, and end when mAP50 is "
           "over 0.95, or say what is wrong (exit code 1); chooses batch, epochs and schedule; 0 = off, 8 is usual")
      .range(0, 1000);
}

// The self-test wants one batch of the same pictures again and again, as they are.
void prepare_overfit(const Options& options, TrainCommand& c) {
  TrainOptions& t = c.train;
  if (t.overfit == 0) return;
  const auto refuse = [](const std::string& option) {
    fail_usage("--{} has no effect with --overfit, which trains on a few pictures as they are", option);
  };
  for (const char* option :
       {"multi-scale", "image-weights", "close-mosaic", "flip",  "flipud",     "crop",     "translate",  "mosaic",
        "mixup",       "cutout",        "blur",         "noise", "grey",       "degrees",  "scale",      "shear",
        "shift",       "hsv-h",         "hsv-s",        "hsv-v", "saturation", "exposure", "min-visible"}) {
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

void add_schedule_options(Options& options, TrainOptions& t) {
  options.group("Schedule");
  options.add("epochs", &t.epochs, "times through the data").range(1, 1000000);
  options
      .add("batch", &t.batch,
           "pictures that go through the network together, on all ranks; auto = the most that fit into memory, at most "
           "64")
      .alias("batch-size")
      .range(1, 4096)
      .word("auto", kAutoBatch);
  options
      .add("nominal-batch", &t.nominal_batch,
           "pictures an update: the gradients of as many batches as that takes are averaged; 0 = --batch")
      .range(0, 1 << 20);
  options.add("lr0", &t.lr0, "learning rate after the warm-up").alias("learning-rate").range(0, 10);
  options.add("lr-end", &t.lr_end, "learning rate at the end of cosine and line (absolute, not a share of lr0)")
      .range(0, 10);
  options.add("warmup-epochs", &t.warmup_epochs, "epochs in which the learning rate rises from 0").range(0, 1e6);
  options.add("warmup", &t.warmup, "how it rises: in a line, or as the fourth power of the share (Darknet's burn_in)")
      .choices({"linear", "darknet"});
  options
      .add("schedule", &t.schedule,
           "how it goes on: half a cosine or a line down to lr-end, steps down (Darknet's), or no change")
      .choices({"cosine", "linear", "steps", "constant"});
  options.add("steps", &t.steps, "of schedule steps: the shares of the run after which the rate falls").range(0, 1);
  options.add("step-scale", &t.step_scale, "of schedule steps: what the rate is multiplied by each time").range(0, 1);
  options.add("seed", &t.seed, "of weights, order and augmentation");
}

void add_optimizer_options(Options& options, TrainOptions& t) {
  options.group("Optimizer");
  options
      .add("optimizer", &t.optimizer,
           "what moves the weights; adamw is adam's name with --weight-decay; sgd has momentum")
      .choices({"adam", "adamw", "sgd"});
  options.add("momentum", &t.momentum, "of sgd; no effect on adam").range(0, 0.999999);
  options.add("nesterov", &t.nesterov, "sgd looks one step of its momentum ahead (Nesterov)");
  options
      .add("weight-decay", &t.weight_decay,
           "on convolution kernels only: adam's is decoupled (AdamW), sgd's is added to the gradient (L2); 0 = off, as "
           "in the notes")
      .range(0, 1);
  options.add("clip-norm", &t.clip_norm, "longest gradient of all parameters together; 0 = never shortened")
      .range(0, 1e9);
  options
      .add("ema", &t.ema,
           "decay of a running average of the weights, e.g. 0.9998, which is then judged and saved; 0 = off")
      .range(0, 0.999999);
}

void add_target_and_loss_options(Options& options, TrainCommand& c) {
  options.group("Targets and loss (the defaults are the notes')");
  add_target_options(options, c.train.assign, c.target_words);
  add_ignore_iou_option(options, c.train.loss.ignore_iou);
  add_loss_options(options, c.train.loss, c.loss_words);
}

void add_run_options(Options& options, TrainOptions& t) {
  options.group("Where and how to run");
  options.add("device", &t.device, "cpu, cuda or cuda:N").placeholder("DEVICE");
  options.add("engine", &t.engine, "what computes; auto = dnnl on a CPU, torch elsewhere")
      .choices({"auto", "dnnl", "torch"});
  options
      .add("precision", &t.precision,
           "of maps and convolutions; auto = whichever trains faster here, measured once and then kept (LibTorch's "
           "operators: bf16 on a CPU that has it, else f32)")
      .choices({"auto", "f32", "bf16"});
  options.add(
      "tune", &t.tune,
      "measure the algorithms of every convolution before the first step, and keep the best; without effect where "
      "a plan is recorded already");
  options
      .add("training-plan", &t.training_plan,
           "how oneDNN's engine trains, as args.toml and checkpoints record it: the same plan, seed and threads give "
           "the same bits")
      .placeholder("TEXT");
  options.add("threads", &t.threads, "of the network; 0 = all").range(0, 4096);
  options.group("Results");
  options.add("project", &t.project, "folder of the runs").placeholder("DIR");
  options.add("name", &t.name, "of this run; name2, name3, ... when taken: nothing older is overwritten");
  options
      .add("resume", &t.resume,
           "go on where it stopped: with the run of --config RUN/args.toml, or with --project/--name")
      .unrecorded();
  options
      .add("save-period", &t.save_period,
           "epochs between weights/epoch-N.h5, N counted from 0 as in results.csv; 0 = none of them")
      .range(0, 1000000);
  options.add("val", &t.validate,
              "measure mAP on the val split after each epoch; false = no best.h5 either, only last.h5");
}

void add_rank_options(Options& options, TrainCommand& c) {
  options.group("Several processes (docs/ranks.md)");
  options
      .add("ranks", &c.ranks,
           "train on this machine by so many processes, each with its share of every batch; 0 = one, or as the "
           "variables of torchrun or mpirun say (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT)")
      .range(0, 1024)
      .unrecorded();
  options.add("sync-bn", &c.train.sync_bn,
              "batch norm by the statistics of all ranks' pictures, as if one had them all; oneDNN's engine only");
  options
      .add("rank-timeout", &c.rank_timeout,
           "how long ranks wait for one that does not come; then they end and name it, and --resume goes on")
      .placeholder("TIME");
}

// The life of a run: checkpoints, its end, and what a step that is not finite does.
void add_life_options(Options& options, TrainCommand& c) {
  TrainOptions& t = c.train;
  options.group("The life of the run");
  options
      .add("save-every", &c.save_every,
           "save last.h5 inside epochs too, after this time: 30s, 10m, 2h; 0 = after epochs and when stopped only")
      .placeholder("TIME");
  options.add("patience", &t.patience, "end after so many epochs without a better mAP50; 0 = never").range(0, 1000000);
  options
      .add("time", &c.time,
           "train for this long, resumes included, in place of --epochs: 30m, 2h, 1h30m; the learning rate ends with "
           "it; "
           "0 = no limit")
      .placeholder("TIME");
  options
      .add("on-nan", &t.on_nan,
           "when loss or gradient is not finite: stop, leave the batch out, or go back to the last checkpoint at half "
           "the "
           "rate; a file for yolov3 replay is written in any case")
      .choices({"stop", "skip", "rollback"});
}

void add_options(Options& options, TrainCommand& c) {
  options.group("Preset");
  options.add_presets(&c.preset, training_presets(), "start from these options (below); what is given beside it wins");
  add_input_options(options, c);
  add_sampling_options(options, c.train);
  add_schedule_options(options, c.train);
  add_optimizer_options(options, c.train);
  add_target_and_loss_options(options, c);
  add_run_options(options, c.train);
  add_rank_options(options, c);
  add_life_options(options, c);
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

// --config args.toml --resume: the run is where that file lies, which may not be the --name it asked for. And what it
// records of oneDNN's engine says nothing when LibTorch's is typed.
void prepare_resume(const Options& options, TrainOptions& t) {
  const auto typed = [&](const char* option) { return options.was_typed(option); };
  if (!typed("training-plan") && (t.device != "cpu" || t.engine == "torch")) t.training_plan.clear();
  if (!t.resume || options.config().empty() || typed("project") || typed("name")) return;
  fs::path folder = options.config().parent_path();
  if (!fs::is_directory(folder / "weights")) return;  // a copy of the file
  const fs::path last = folder.filename();
  if (last.empty() || last == "." || last == "..") folder = fs::canonical(folder.empty() ? "." : folder);
  t.project = folder.has_parent_path() ? folder.parent_path() : ".";
  t.name = folder.filename().string();
}

double seconds_of(const std::string& text, const std::string& name) {
  const std::optional<double> seconds = parse_duration(text);
  if (!seconds) {
    fail_usage("--{}: expected a time such as 30s, 10m, 2h or 1h30m, or 0, got \"{}\"", name, text);
  }
  return *seconds;
}

// What options say in other words than TrainOptions does.
void finish(TrainCommand& c) {
  TrainOptions& t = c.train;
  t.width = c.imgsz.width;
  t.height = c.imgsz.height;
  if (t.width == 0) fail_usage("--imgsz: training needs a size such as 416");
  t.data.bad_data = parse_bad_data_policy(c.bad_data);
  t.data.seed = t.seed;
  t.data.threads = t.threads;
  t.save_every_s = seconds_of(c.save_every, "save-every");
  t.time_s = seconds_of(c.time, "time");
  t.rank_timeout_s = seconds_of(c.rank_timeout, "rank-timeout");
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

}  // namespace

TrainOptions parse_train_options(const std::string& args_toml, const std::string& name) {
  TrainCommand c;
  Options options("train", "");
  add_options(options, c);
  options.parse_toml(args_toml, name);
  finish_target_options(options, c.target_words, c.train.assign);
  finish_loss_options(options, c.loss_words, c.train.loss);
  finish(c);
  return c.train;
}

// Before there are processes, so that it is said once.
void check_rank_count(const TrainCommand& c) {
  check_usage(c.train.batch != kAutoBatch, "--ranks {}: --batch auto knows one rank's memory alone; give a number",
              c.ranks);
  check_usage(c.train.batch >= c.ranks, "--ranks {}: --batch {} is of all ranks together; give at least {}", c.ranks,
              c.train.batch, c.ranks);
}

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
  add_options(options, c);
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("data", "the data set, e.g. --data data.yaml; --data synthetic:240 needs no files");
  check_augment_options(options, c.train.augment);
  finish_target_options(options, c.target_words, c.train.assign);
  finish_loss_options(options, c.loss_words, c.train.loss);
  finish(c);
  prepare_overfit(options, c);
  prepare_resume(options, c.train);
  install_interrupt_handlers();
  const std::optional<RankPlace> place =
      parse_rank_place([](const std::string& name) { return std::getenv(name.c_str()); });
  check_usage(!place || c.ranks == 0 || place->ranks == c.ranks, "--ranks {}: this process was started as one of {}",
              c.ranks, place ? place->ranks : 0);
  if (place) c.train.place = *place;
  refuse_idle_options(options, c);
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
