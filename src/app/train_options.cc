#include "app/train_options.h"

#include "app/augment_options.h"
#include "app/model_data.h"
#include "app/presets.h"
#include "base/text.h"
#include "base/usage.h"

namespace yolov3 {
namespace {

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
           "rate; on one rank a file for yolov3 replay is written too")
      .choices({"stop", "skip", "rollback"});
}

double seconds_of(const std::string& text, const std::string& name) {
  const std::optional<double> seconds = parse_duration(text);
  if (!seconds) {
    fail_usage("--{}: expected a time such as 30s, 10m, 2h or 1h30m, or 0, got \"{}\"", name, text);
  }
  return *seconds;
}

}  // namespace

void add_train_options(Options& options, TrainCommand& c) {
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

void finish_train_options(const Options& options, TrainCommand& c) {
  check_augment_options(options, c.train.augment);
  finish_target_options(options, c.target_words, c.train.assign);
  finish_loss_options(options, c.loss_words, c.train.loss);
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

TrainOptions parse_train_options(const std::string& args_toml, const std::string& name) {
  TrainCommand c;
  Options options("train", "");
  add_train_options(options, c);
  options.parse_toml(args_toml, name);
  finish_train_options(options, c);
  return c.train;
}

}  // namespace yolov3
