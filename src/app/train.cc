// yolov3 train
#include "train/trainer.h"

#include <fmt/format.h>

#include "app/model_data.h"
#include "app/options.h"
#include "app/program.h"
#include "app/report_page.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"

namespace yolov3 {
namespace {

struct TrainCommand {
  TrainOptions train;
  ImageSize imgsz{train.width, train.height};
  std::string bad_data = "skip";
};

void add_input_options(Options& options, TrainCommand& c) {
  TrainOptions& t = c.train;
  options.group("What to train on");
  options.add("data", &t.data.data, kDataHelp).placeholder("D");
  options.add("names", &t.data.names, "class names, one a line; empty = what the data set says").placeholder("FILE");
  options.add("images", &t.data.images, "the pictures of COCO files; empty = looked for around the file")
      .placeholder("DIR");
  options
      .add("bad-data", &c.bad_data, "defects of the data: leave out, repair (clip, de-duplicate), or stop at the first")
      .choices({"skip", "repair", "error"});
  options.add("workers", &t.workers, "threads that load pictures; 0 = load between the steps. Never changes the result")
      .range(0, 256);
  options.add("exact-decode", &t.exact_decode,
              "decode JPEGs whole even where a reduced size is enough for the network");
  options.group("Augmentation (probability of each)");
  options.add("flip", &t.augment.flip, "mirror left and right").range(0, 1);
  options.add("crop", &t.augment.crop, "cut off borders that hold no whole object").range(0, 1);
  options.add("translate", &t.augment.translate, "shift the picture, keeping every object inside").range(0, 1);
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

void add_schedule_options(Options& options, TrainOptions& t) {
  options.group("Schedule");
  options.add("epochs", &t.epochs, "times through the data").range(1, 1000000);
  options.add("batch", &t.batch, "pictures that go through the network together").alias("batch-size").range(1, 4096);
  options
      .add("nominal-batch", &t.nominal_batch,
           "pictures an update: the gradients of as many batches as that takes are averaged; 0 = --batch")
      .range(0, 1 << 20);
  options.add("lr0", &t.lr0, "learning rate after the warm-up").alias("learning-rate").range(0, 10);
  options.add("lr-end", &t.lr_end, "learning rate at the end of the cosine (absolute, not a share of lr0)")
      .range(0, 10);
  options.add("warmup-epochs", &t.warmup_epochs, "epochs in which the learning rate rises from 0 in a line")
      .range(0, 1e6);
  options.add("seed", &t.seed, "of weights, order and augmentation");
}

void add_optimizer_options(Options& options, TrainOptions& t) {
  options.group("Optimizer");
  options.add("optimizer", &t.optimizer, "what moves the weights; sgd has momentum").choices({"adam", "sgd"});
  options.add("momentum", &t.momentum, "of sgd; no effect on adam").range(0, 0.999999);
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

void add_loss_options(Options& options, TrainOptions& t) {
  options.group("Targets and loss (the defaults are the notes')");
  options.add("positive-iou", &t.assign.positive_iou, "an anchor answers for an object that it overlaps more than this")
      .range(0, 1);
  options.add("best-of-all", &t.assign.best_of_all, "when no anchor does, the best of all heads answers");
  options.add("ignore-iou", &t.loss.ignore_iou, "background whose box overlaps an object this much is not punished")
      .range(0, 1);
  options.add("label-smoothing", &t.loss.label_smoothing, "share of the class target spread over all classes")
      .range(0, 1);
  options.add("box-gain", &t.loss.box_gain, "weight of the box part (GIoU)").range(0, 1e6);
  options.add("obj-gain", &t.loss.obj_gain, "weight of the objectness part").range(0, 1e6);
  options.add("cls-gain", &t.loss.cls_gain, "weight of the class part").range(0, 1e6);
}

void add_run_options(Options& options, TrainOptions& t) {
  options.group("Where and how to run");
  options.add("device", &t.device, "cpu, cuda or cuda:N").placeholder("DEVICE");
  options.add("engine", &t.engine, "what computes; auto = dnnl on a CPU, torch elsewhere")
      .choices({"auto", "dnnl", "torch"});
  options
      .add("precision", &t.precision,
           "of maps and convolutions; auto = whichever trains faster here, measured once and then kept")
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
  options.add("resume", &t.resume, "go on with --project/--name where it stopped").unrecorded();
  options.add("save-period", &t.save_period, "epochs between weights/epoch-N.h5; 0 = none of them").range(0, 1000000);
  options.add("val", &t.validate,
              "measure mAP on the val split after each epoch; false = no best.h5 either, only last.h5");
}

// However the run ends, its report is written.
TrainResult train_and_report(const TrainOptions& options, const std::string& args_toml) {
  std::filesystem::path folder;
  try {
    TrainResult result = train(options, args_toml, {}, [&](const std::filesystem::path& made) { folder = made; });
    write_run_page(result.run_directory);
    return result;
  } catch (...) {
    if (!folder.empty()) write_run_page(folder);
    throw;
  }
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
  options.example("yolov3 train --config runs/train/exp/args.toml", "repeats a run");
  options.example("yolov3 train --config runs/train/exp/args.toml --resume", "goes on with a run that was stopped");
  add_input_options(options, c);
  add_schedule_options(options, c.train);
  add_optimizer_options(options, c.train);
  add_loss_options(options, c.train);
  add_run_options(options, c.train);
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("data", "the data set, e.g. --data data.yaml; --data synthetic:240 needs no files");
  if (options.was_typed("momentum") && c.train.optimizer != "sgd") {
    throw Error("--momentum: adam has none; add --optimizer sgd", Error::Kind::usage);
  }
  c.train.width = c.imgsz.width;
  c.train.height = c.imgsz.height;
  if (c.train.width == 0) throw Error("--imgsz: training needs a size such as 416", Error::Kind::usage);
  c.train.data.bad_data = parse_bad_data_policy(c.bad_data);
  c.train.data.seed = c.train.seed;
  c.train.data.threads = c.train.threads;
  install_interrupt_handlers();
  const TrainResult result = train_and_report(c.train, options.to_toml());
  if (result.interrupted) {
    const std::filesystem::path& folder = result.run_directory;
    log_info("to go on: yolov3 train --config {} --project {} --name {} --resume", (folder / "args.toml").string(),
             folder.parent_path().string(), folder.filename().string());
  }
  print(result.run_directory.string() + "\n");
  return 0;
}

}  // namespace yolov3
