// Every setting of a training run, with its default and what it means.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/augment.h"
#include "data/source.h"
#include "detect/assign.h"

namespace yolov3 {

// What a positive's box costs: 1 - overlap, by one of these, or Darknet's error of the coordinates.
enum class BoxLoss {
  giou,  // arXiv 1902.09630 (the notes; Darknet's iou_loss=giou)
  iou,   // arXiv 1608.01471 in its linear form (iou_loss=iou)
  diou,  // arXiv 1911.08287 (iou_loss=diou)
  ciou,  // arXiv 1911.08287 (iou_loss=ciou)
  mse,   // squared errors of the logits (arXiv 1804.02767, 2.1; iou_loss=mse)
};

// What the objectness of a positive should be.
enum class ObjectnessTarget {
  one,  // the notes, Darknet
  iou,  // its box's IoU with the object, without gradient (arXiv 1506.02640, 2; Ultralytics' trainers, by behaviour)
};

// What the sums are divided by.
enum class LossNorm {
  batch,      // pictures (the notes, Darknet)
  positives,  // positives of all heads, at least 1 (arXiv 1708.02002, 4)
  means,      // box: the head's positives; class: those times classes; objectness: the head's cells and anchors
};            // (Ultralytics' trainers, by behaviour)

// Where label smoothing leads.
enum class SmoothTo {
  uniform,  // 1/K (the notes)
  half,     // 1/2: what independent sigmoids need (Darknet's label_smooth_eps; the notes' defect D19)
};

// The loss of the notes' compute_loss; each rule is an option, the defaults are the notes'. docs/loss.md has formulae.
struct LossOptions {
  double ignore_iou = 0.5;  // background cells whose box overlaps a true box that the mask sees this much: not punished
  double label_smoothing = 0.01;  // class target (1-s)*onehot + s/K
  double box_gain = 1.0;          // weights of the three parts in the total (Darknet: iou_, obj_ and cls_normalizer)
  double obj_gain = 1.0;
  double cls_gain = 1.0;
  std::vector<double> class_weights;  // of the class part of a positive, by its object's class; empty: all 1
  BoxLoss box_loss = BoxLoss::giou;
  bool small_box_weight = true;  // a box counts 2 - its share of the input's area (the notes; Darknet's mse)
  ObjectnessTarget objectness_target = ObjectnessTarget::one;
  double focal_power = 2;    // objectness' cross entropy times |target - p|^power; 0 = plain, else 1 or more
  double focal_balance = 0;  // a, not 0: positives' objectness times a, background's 1 - a (arXiv 1708.02002, 3.1)
  LossNorm norm = LossNorm::batch;
  std::vector<double> head_balance;  // each head's weight of objectness, small objects first; empty = 1 each
  SmoothTo smooth_to = SmoothTo::uniform;
};

// Which of several processes that train one network this is, and where they meet: docs/ranks.md.
struct RankPlace {
  int rank = 0, ranks = 1;         // rank 0 writes
  std::string host = "127.0.0.1";  // of rank 0
  int port = 29500;                // there
  int local_ranks = 1;             // of this machine, that share its cores
  int local_rank = 0;              // which of them
};

constexpr int kAutoBatch = -1;  // as TrainOptions::batch: the largest that fits into memory (train/memory_plan.h)

struct TrainOptions {
  DataOptions data;               // --data --names --bad-data --seed
  std::string model = "yolov3";   // yolov3, yolov3-spp, yolov3-tiny or FILE.cfg
  std::filesystem::path weights;  // --weights: start from these
  int epochs = 30;
  int batch = 8;                   // pictures of all ranks together
  int width = 416, height = 416;   // --imgsz S or WxH, multiples of 32
  std::vector<int> multi_scale;    // --multi-scale 320,352,...: square sizes drawn anew every few batches
  int multi_scale_every = 10;      // batches
  std::string device = "cpu";      // cpu, cuda, cuda:N
  std::string engine = "auto";     // auto (dnnl on a CPU), dnnl, torch
  std::string precision = "auto";  // auto (whichever trains faster here), f32, bf16
  bool tune = false;               // measure each pass's algorithms before the first step
  std::string training_plan;       // write_training_plan()'s text; empty: chosen at the start
  int threads = 0;                 // of the network; 0 = all
  int workers = 2;                 // of the loader; 0 = load in the training thread
  uint64_t seed = 0;
  std::string optimizer = "adam";  // adam, adamw (its name with weight_decay), sgd
  double momentum = 0.9;           // of SGD
  bool nesterov = false;           // of SGD
  double ema = 0;                  // decay of the running average of the weights, under 1; 0 = off
  int nominal_batch = 0;           // pictures of an update, from ceil(nominal_batch / batch) batches; 0 = batch
  std::string freeze = "0";        // backbone, or how many of the first layers stay as they are
  double lr0 = 1e-3;
  double lr_end = 1e-6;  // absolute
  double warmup_epochs = 2;
  std::string schedule = "cosine";         // cosine, linear, steps, constant: train/schedule.h
  std::vector<double> steps = {0.8, 0.9};  // of schedule steps: shares of the run after which the rate falls
  double step_scale = 0.1;                 // to this share of itself
  std::string warmup = "linear";           // linear, darknet
  double weight_decay = 0;                 // on convolution kernels only; decoupled with Adam, coupled (L2) with SGD
  double clip_norm = 0;                    // global gradient norm; 0 = off
  double bn_momentum = 0.1;                // as torch's BatchNorm2d
  bool exact_decode = false;
  AssignOptions assign;
  LossOptions loss;
  AugmentOptions augment;
  int close_mosaic = 0;                // of the last epochs, how many are without strong augmentation
  double image_weights = 0;            // pictures with rare classes come more often: PictureSampler's rarity
  std::string class_weights = "none";  // make_class_weights()'s text; fills loss.class_weights
  int overfit = 0;                     // self-test on this many pictures, validated on the same; 0 = off
  std::filesystem::path project = "runs/train";
  std::string name = "exp";
  bool resume = false;
  int save_period = 0;   // epochs between weights/epoch-N.h5; 0 = none
  bool validate = true;  // after each epoch, on the val split

  // The life of the run: train/stopping.h, recovery.h, memory_plan.h.
  double save_every_s = 0;      // seconds after which last.h5 is saved inside an epoch too; 0 = after epochs only
  int patience = 0;             // epochs without a better mAP after which the run ends; 0 = never
  double time_s = 0;            // seconds that the whole run may take, in place of epochs; 0 = no limit
  std::string on_nan = "stop";  // what a step that is not finite does: stop, skip, rollback

  RankPlace place;
  bool sync_bn = false;        // batch norm by the statistics of all ranks' pictures
  double rank_timeout_s = 60;  // after which a rank that does not come is given up
};

}  // namespace yolov3
