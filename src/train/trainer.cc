#include "train/trainer.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>

#include "base/cpu.h"
#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/text.h"
#include "data/batch_pictures.h"
#include "data/loader.h"
#include "engine/torch_network.h"
#include "train/adam.h"
#include "train/checkpoint.h"
#include "train/run_log.h"
#include "train/schedule.h"
#include "train/setup.h"
#include "train/step.h"
#include "train/validate.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Feature maps of a batch are blocks of up to 100 MB. Left to itself, malloc gives each back to the system at once and
// the next step pays for every page again.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, -1);
}

LoaderOptions training_loader(const TrainOptions& options) {
  LoaderOptions loader;
  loader.batch = options.batch;
  loader.width = options.width;
  loader.height = options.height;
  loader.multi_scale = options.multi_scale;
  loader.multi_scale_every = options.multi_scale_every;
  loader.shuffle = true;
  loader.augmented = true;
  loader.augment = options.augment;
  loader.exact_decode = options.exact_decode;
  loader.workers = options.workers;
  loader.seed = options.seed;
  return loader;
}

std::vector<AdamParam> adam_params(TorchNetwork& network, double weight_decay) {
  std::vector<AdamParam> params;
  for (size_t i = 0; i < network.slots().size(); ++i) {
    if (!network.slots()[i].trainable) continue;
    const bool kernel = network.slots()[i].kind == ParamKind::kernel;
    params.push_back(
        {.value = network.params()[i], .weight_decay = kernel ? weight_decay : 0.0, .mean = {}, .square = {}});
  }
  return params;
}

// The data sets of a run. Every defect of their files is in `listing`.
struct RunData {
  Dataset train, val;
  std::string listing;
};

RunData load_run_data(const TrainOptions& options) {
  RunData data;
  const auto load = [&](const std::string& split, Dataset& into) {
    DefectReport report;
    into = load_dataset(options.data, split, report);
    if (report.defects.empty()) return;
    log_info("{}: {}", split, trim(describe(report, 5)));
    data.listing += split + ":\n" + describe(report, report.defects.size()) + "\n";
  };
  load("train", data.train);
  check(!data.train.examples.empty(), "--data {}: the train split has no pictures", options.data.data);
  if (options.validate) {
    load("val", data.val);
    check(data.val.names == data.train.names, "--data {}: train and val have different class names", options.data.data);
  }
  return data;
}

NetworkSpec spec_of(const TrainOptions& options, const RunData& data, const std::optional<Checkpoint>& checkpoint) {
  const NetworkSpec spec = make_training_spec(options, data.train.names);
  for (const int size : options.multi_scale) with_input_size(spec, size, size);  // refuses what the network cannot take
  if (!checkpoint) return spec;
  check(
      checkpoint->model.names == data.train.names && checkpoint->model.spec == spec,
      "{}: it is of another network or other classes than --model {} --imgsz {}x{} --data {}; resume with the options "
      "in args.toml beside it, or start a new run with --weights {}",
      checkpoint->path.string(), options.model, options.width, options.height, options.data.data,
      checkpoint->path.string());
  const RunPosition& at = checkpoint->position;
  const auto pictures = static_cast<int64_t>(data.train.examples.size());
  check(at.next_batch == 0 || (at.batch == options.batch && at.pictures == pictures && at.seed == options.seed),
        "{}: it stands in the middle of an epoch of {} pictures in batches of {} with seed {}, which --batch {} --seed "
        "{} "
        "and {} pictures cannot go on with; resume with the options in args.toml beside it",
        checkpoint->path.string(), at.pictures, at.batch, at.seed, options.batch, options.seed, pictures);
  return spec;
}

class Trainer {
 public:
  Trainer(const TrainOptions& options, std::string args_toml, RunData data, const NetworkSpec& spec,
          const Weights& weights, torch::Device device, const std::optional<Checkpoint>& checkpoint, fs::path directory,
          std::function<void(int64_t)> on_step);
  TrainResult run();

 private:
  void run_epochs();
  void train_epoch();
  void train_batch(const Batch& batch);
  void show_progress(const Batch& batch, Progress& progress) const;
  void finish_epoch();
  EpochRecord judge_epoch();
  void describe_epoch(const EpochRecord& record, bool best) const;
  void save_epoch(const EpochRecord& record);
  bool save_last();
  Model model() const { return {spec_, network_.weights(), data_.train.names, facts_}; }

  const TrainOptions options_;
  const std::string args_toml_;
  const RunData data_;
  const fs::path directory_;
  const std::function<void(int64_t)> on_step_;
  const bool bf16_;
  const NetworkSpec spec_;
  TorchNetwork network_;
  Adam adam_;
  Stepper stepper_;
  Loader loader_;
  RunLog log_;
  Schedule schedule_;
  RunPosition position_;
  std::map<std::string, std::string> facts_;  // of the last epoch, for the model files
  StepRecord last_step_;
  int64_t images_here_ = 0;   // of this epoch, since it began or was resumed
  double train_seconds_ = 0;  // of this epoch, likewise, without the validation
  Clock::time_point epoch_start_;
};

Trainer::Trainer(const TrainOptions& options, std::string args_toml, RunData data, const NetworkSpec& spec,
                 const Weights& weights, torch::Device device, const std::optional<Checkpoint>& checkpoint,
                 fs::path directory, std::function<void(int64_t)> on_step)
    : options_(options),
      args_toml_(std::move(args_toml)),
      data_(std::move(data)),
      directory_(std::move(directory)),
      on_step_(std::move(on_step)),
      bf16_(use_bf16(options)),
      spec_(spec),
      network_(spec_, weights, device, bf16_, options.bn_momentum),
      adam_(adam_params(network_, options.weight_decay)),
      stepper_(network_, adam_, data_.train, options_),
      loader_(data_.train, training_loader(options)),
      log_(directory_, checkpoint ? checkpoint->position.epoch : 0) {
  const int64_t steps = loader_.batches_per_epoch();
  schedule_ = {.warmup_steps = std::llround(options.warmup_epochs * static_cast<double>(steps)),
               .total_steps = steps * options.epochs,
               .lr0 = options.lr0,
               .lr_end = options.lr_end};
  if (checkpoint) {
    position_ = checkpoint->position;
    facts_ = checkpoint->model.facts;
    restore_adam(*checkpoint, network_, adam_);
  }
  position_.batch = options.batch;
  position_.pictures = static_cast<int64_t>(data_.train.examples.size());
  position_.seed = options.seed;
  log_.attempt("args.toml", [&] { write_file(directory_ / "args.toml", args_toml_); });
  if (!data_.listing.empty())
    log_.attempt("defects.txt", [&] { write_file(directory_ / "defects.txt", data_.listing); });
}

TrainResult Trainer::run() {
  try {
    run_epochs();
  } catch (const std::exception& error) {
    // Whatever ended the run, what was trained so far is kept.
    const bool saved = save_last();
    fail("epoch {}, step {}: {}\n{}", position_.epoch + 1, position_.step + 1, error.what(),
         saved ? fmt::format("{} holds the run up to step {}; --resume goes on from there",
                             (directory_ / "weights/last.h5").string(), position_.step)
               : "and the run could not be saved either");
  }
  TrainResult result{directory_, position_.epoch, std::max(position_.best, 0.0), false};
  if (position_.epoch >= options_.epochs) return result;
  result.interrupted = true;
  check(save_last(), "stopped by signal {} after step {}, and the run could not be saved", interrupt_signal(),
        position_.step);
  log_info("stopped by signal {} after step {}; everything is saved", interrupt_signal(), position_.step);
  return result;
}

// The recipe: epochs of steps, each epoch judged and saved.
void Trainer::run_epochs() {
  while (position_.epoch < options_.epochs && interrupt_signal() == 0) {
    train_epoch();
    if (interrupt_signal() == 0) finish_epoch();
  }
}

void Trainer::train_epoch() {
  loader_.start_epoch(position_.epoch, position_.next_batch);
  epoch_start_ = Clock::now();
  images_here_ = 0;
  const double seconds_before = position_.seconds;
  Progress progress(fmt::format("epoch {}/{}", position_.epoch + 1, options_.epochs), loader_.batches_per_epoch());
  while (interrupt_signal() == 0) {
    const std::optional<Batch> batch = loader_.next();
    if (!batch) break;
    train_batch(*batch);
    train_seconds_ = seconds_since(epoch_start_);
    position_.seconds = seconds_before + train_seconds_;
    show_progress(*batch, progress);
    if (on_step_) on_step_(position_.step);
  }
}

void Trainer::train_batch(const Batch& batch) {
  if (position_.step == 0) {
    log_.attempt("train_batch0.jpg",
                 [&] { save_batch_picture(directory_ / "train_batch0.jpg", batch, data_.train.names); });
  }
  torch::manual_seed(options_.seed + static_cast<uint64_t>(position_.step));  // dropout, the same after a resume
  const double lr = schedule_.rate(position_.step + 1);
  const StepLosses losses = stepper_.step(batch, lr);

  const auto pictures = static_cast<int64_t>(batch.examples.size());
  ++position_.step;
  ++position_.next_batch;
  position_.giou_sum += losses.giou * static_cast<double>(pictures);
  position_.conf_sum += losses.conf * static_cast<double>(pictures);
  position_.prob_sum += losses.prob * static_cast<double>(pictures);
  position_.images += pictures;
  images_here_ += pictures;
  last_step_ = {position_.step, lr, losses.giou, losses.conf, losses.prob};
  log_.step(last_step_);
}

void Trainer::show_progress(const Batch& batch, Progress& progress) const {
  const int64_t left = loader_.batches_per_epoch() * options_.epochs - position_.step;
  const double images_per_second = static_cast<double>(images_here_) / train_seconds_;
  progress.update(
      position_.next_batch,
      fmt::format("{}x{} giou {:.3f} conf {:.3f} prob {:.3f} lr {:.2e} {:.2f} images/s data {:.0f}% run {}",
                  batch.images.dim(3), batch.images.dim(2), last_step_.giou, last_step_.conf, last_step_.prob,
                  last_step_.lr, images_per_second, 100 * loader_.wait_seconds() / train_seconds_,
                  human_seconds(static_cast<double>(left * options_.batch) / images_per_second)));
}

void Trainer::finish_epoch() {
  const EpochRecord record = judge_epoch();
  if (interrupt_signal() != 0) return;  // judged in part only: the epoch is finished on resume
  facts_ = {{"epoch", fmt::format("{}", position_.epoch)},
            {"mAP_0.5", record.validated ? fmt::format("{:.4f}", record.map50) : "not measured"},
            {"mAP_0.5:0.95", record.validated ? fmt::format("{:.4f}", record.map50_95) : "not measured"},
            {"data", options_.data.data}};
  save_epoch(record);
}

EpochRecord Trainer::judge_epoch() {
  const auto images = static_cast<double>(std::max<int64_t>(position_.images, 1));
  EpochRecord record{.epoch = position_.epoch,
                     .box_loss = position_.giou_sum / images,
                     .obj_loss = position_.conf_sum / images,
                     .cls_loss = position_.prob_sum / images,
                     .lr = schedule_.rate(position_.step)};
  if (options_.validate) {
    const auto start = Clock::now();
    const Validation validation = validate(network_, bf16_, data_.val, options_, directory_);
    record.validated = true;
    record.precision = validation.metrics.precision;
    record.recall = validation.metrics.recall;
    record.map50 = validation.metrics.coco.ap50.value_or(0);
    record.map50_95 = validation.metrics.coco.ap.value_or(0);
    record.val_box_loss = validation.box_loss;
    record.val_obj_loss = validation.obj_loss;
    record.val_cls_loss = validation.cls_loss;
    position_.seconds += seconds_since(start);
  }
  record.seconds = position_.seconds;
  return record;
}

// The position moves to the next epoch, and everything of this one goes to the disk.
void Trainer::save_epoch(const EpochRecord& record) {
  const bool best = record.validated && record.map50 > position_.best;
  describe_epoch(record, best);
  const RunPosition done = position_;
  position_ = {.epoch = done.epoch + 1,
               .step = done.step,
               .best = done.best,
               .seconds = done.seconds,
               .batch = done.batch,
               .pictures = done.pictures,
               .seed = done.seed};
  // The best is on record only when it is on the disk.
  if (best && log_.attempt("best.h5", [&] { save_model(directory_ / "weights/best.h5", model()); })) {
    position_.best = record.map50;
  }
  log_.epoch(record, position_.step);
  const bool saved = save_last();
  check(saved || position_.epoch < options_.epochs, "the run is over and its last weights could not be written");
  if (options_.save_period > 0 && position_.epoch % options_.save_period == 0) {
    const fs::path path = directory_ / fmt::format("weights/epoch-{}.h5", done.epoch);
    log_.attempt("the epoch's weights", [&] { save_model(path, model()); });
  }
}

void Trainer::describe_epoch(const EpochRecord& r, bool best) const {
  const std::string judged = r.validated ? fmt::format("mAP50 {:.4f} mAP50-95 {:.4f} P {:.3f} R {:.3f} ", r.map50,
                                                       r.map50_95, r.precision, r.recall)
                                         : "";
  const std::string speed = images_here_ > 0 ? fmt::format("{:.2f} images/s, data {:.0f}%, ",
                                                           static_cast<double>(images_here_) / train_seconds_,
                                                           100 * loader_.wait_seconds() / train_seconds_)
                                             : "";
  log_info("epoch {}/{}: loss {:.3f} (giou {:.3f} conf {:.3f} prob {:.3f}) {}lr {:.2e}, {}{}{}", r.epoch + 1,
           options_.epochs, r.box_loss + r.obj_loss + r.cls_loss, r.box_loss, r.obj_loss, r.cls_loss, judged, r.lr,
           speed, human_seconds(seconds_since(epoch_start_)), best ? ", best" : "");
}

bool Trainer::save_last() {
  return log_.attempt(
      "last.h5", [&] { save_checkpoint(directory_ / "weights", model(), network_, adam_, position_, args_toml_); });
}

// The checkpoint to go on from, when --resume asks for one and there is one.
std::optional<Checkpoint> find_checkpoint(const TrainOptions& options, const fs::path& directory) {
  if (!options.resume) return std::nullopt;
  std::optional<Checkpoint> checkpoint = load_checkpoint(directory / "weights");
  if (!checkpoint) {
    log_info("{}: no checkpoint yet, starting from the beginning", directory.string());
  } else if (checkpoint->position.epoch < options.epochs) {
    log_info("{}: going on at epoch {}, batch {}", checkpoint->path.string(), checkpoint->position.epoch + 1,
             checkpoint->position.next_batch + 1);
  }
  return checkpoint;
}

}  // namespace

TrainResult train(const TrainOptions& options, const std::string& args_toml,
                  const std::function<void(int64_t step)>& on_step) {
  check_options(options);
  keep_freed_memory();
  torch::set_num_threads(options.threads > 0 ? options.threads : available_cpus());

  // Everything that can be refused comes before the run's folder, so that a mistake leaves no empty run behind.
  fs::path directory = options.project / options.name;
  const std::optional<Checkpoint> checkpoint = find_checkpoint(options, directory);
  if (checkpoint && checkpoint->position.epoch >= options.epochs) {
    log_info("{}: already finished, {} of {} epochs done", directory.string(), checkpoint->position.epoch,
             options.epochs);
    return {directory, checkpoint->position.epoch, std::max(checkpoint->position.best, 0.0), false};
  }
  RunData data = load_run_data(options);
  const NetworkSpec spec = spec_of(options, data, checkpoint);
  const torch::Device device = parse_device(options.device);
  const Weights weights =
      checkpoint ? checkpoint->model.weights : make_initial_weights(options, spec, data.train.names);
  if (options.resume) {
    make_directories(directory / "weights");
  } else {
    directory = make_run_directory(options.project, options.name);
  }
  log_info("{}: {} training and {} validation pictures, {} classes, {} {}x{}, {}, seed {}", directory.string(),
           data.train.examples.size(), data.val.examples.size(), data.train.names.size(), options.model, options.width,
           options.height, use_bf16(options) ? "bf16" : "f32", options.seed);
  Trainer trainer(options, args_toml, std::move(data), spec, weights, device, checkpoint, directory, on_step);
  return trainer.run();
}

}  // namespace yolov3
