// The options of `yolov3 train`: on the command line, and from the args.toml of a run.
#pragma once

#include <string>

#include "app/options.h"
#include "app/target_options.h"
#include "train/options.h"

namespace yolov3 {

// What the command line says, where TrainOptions has other words for it.
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

// c must outlive the options.
void add_train_options(Options& options, TrainCommand& c);

// Once they are parsed. Errors: Kind::usage, values without meaning, options without effect.
void finish_train_options(const Options& options, TrainCommand& c);

// name: of the text, for messages. Errors: what --config would refuse.
TrainOptions parse_train_options(const std::string& args_toml, const std::string& name);

}  // namespace yolov3
