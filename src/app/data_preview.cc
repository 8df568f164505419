// yolov3 data preview
#include <fmt/format.h>

#include <optional>

#include "app/augment_options.h"
#include "app/data_parts.h"
#include "app/program.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/usage.h"
#include "data/batch_pictures.h"
#include "data/loader.h"
#include "data/multi_scale.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

struct PreviewCommand {
  DataOptions data;
  LoaderOptions loader;
  std::string bad_data = "skip", split = "train";
  fs::path out = "preview";
  ImageSize imgsz{416, 416};
  int epoch = 1, first_batch = 1, batches = 4, cell = kBatchCellPx;
  bool labels = true;
};

void add_options(Options& options, PreviewCommand& c) {
  options.example("yolov3 data preview --data data.yaml --out preview", "preview/batch0.jpg to batch3.jpg");
  options.example("yolov3 data preview --data data.yaml --mosaic 1 --scale 0.5 --hsv-s 0.7 --batches 1",
                  "what `yolov3 train` with the same options sees first");
  add_data_options(options, c.data, &c.bad_data);
  options.add("split", &c.split, "which part").choices({"train", "val", "test"});
  options.add("out", &c.out, "folder to write into").placeholder("DIR");
  options.add("labels", &c.labels, "draw the boxes");
  options.add("cell", &c.cell, "pixels of each picture in the grid").range(32, 2048);
  options.group("Which batches: those of `yolov3 train` with the same values");
  options.add("batch", &c.loader.batch, "pictures in a batch; the first 16 are shown")
      .alias("batch-size")
      .range(1, 4096);
  options.add("imgsz", &c.imgsz, "of the network, S or WxH");
  options.add("multi-scale", &c.loader.multi_scale, "square input sizes to change between; empty = off");
  options.add("multi-scale-every", &c.loader.multi_scale_every, "batches between two such changes").range(1, 100000);
  options.add("exact-decode", &c.loader.exact_decode, "decode JPEGs whole");
  options.add("epoch", &c.epoch, "of the training, from 1").range(1, 1000000);
  options.add("first-batch", &c.first_batch, "of the epoch, from 1").range(1, 100000000);
  options.add("batches", &c.batches, "to write").range(1, 10000);
  options.add("image-weights", &c.loader.image_weights, "pictures with rare classes come more often").range(0, 4);
  options.add("augment", &c.loader.augmented, "false: the pictures as they are, as validation sees them");
  add_augment_options(options, c.loader.augment);
}

LoaderOptions loader_options(const PreviewCommand& c) {
  LoaderOptions loader = c.loader;
  loader.width = c.imgsz.width;
  loader.height = c.imgsz.height;
  loader.shuffle = true;
  loader.seed = c.data.seed;
  return loader;
}

void write_batches(const Dataset& dataset, const PreviewCommand& c) {
  Loader loader(dataset, loader_options(c));
  const int64_t in_epoch = loader.batches_per_epoch();
  if (c.first_batch > in_epoch) {
    fail_usage("--first-batch {}: an epoch has {} batches", c.first_batch, in_epoch);
  }
  loader.start_epoch(c.epoch - 1, c.first_batch - 1);
  make_directories(c.out);
  for (int b = c.first_batch - 1; b < c.first_batch - 1 + c.batches; ++b) {
    std::optional<Batch> batch = loader.next();
    if (!batch) break;
    const fs::path path = c.out / fmt::format("batch{}.jpg", b);
    check(!fs::exists(path), "{}: is there already; choose another --out", path.string());
    if (!c.labels) {
      for (auto& objects : batch->objects_net) objects.clear();
    }
    save_batch_picture(path, *batch, dataset.names, c.cell);
    print(path.string() + "\n");
  }
}

}  // namespace

int run_data_preview(const std::vector<std::string>& arguments) {
  PreviewCommand c;
  c.loader.augmented = true;
  Options options("data preview",
                  "pictures of the batches as the trainer sees them: augmented, letterboxed, with boxes");
  add_options(options, c);
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("data", "the data set, e.g. --data data.yaml");
  if (c.imgsz.width <= 0) fail_usage("--imgsz: expected a size such as 416");
  check_multi_scale(c.loader.multi_scale);
  if (options.was_typed("multi-scale-every") && c.loader.multi_scale.empty()) {
    fail_usage("--multi-scale-every: there is one size only; add --multi-scale 320,416,512");
  }
  check_outside(c.out, "--out", c.data);
  check_augment_options(options, c.loader.augment);
  if (!c.loader.augmented && c.loader.augment != AugmentOptions{}) {
    fail_usage("--augment false leaves no effect to the other options of augmentation");
  }
  c.data.bad_data = parse_bad_data_policy(c.bad_data);
  std::vector<LoadedSplit> loaded = load_splits(c.data, c.split);
  const std::string findings = findings_of(loaded, 10);
  if (!findings.empty()) log_line(fit_for_terminal(findings));
  const Dataset dataset = std::move(splits_to_write(loaded).begin()->second);
  write_batches(dataset, c);
  return 0;
}

}  // namespace yolov3
