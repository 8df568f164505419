#include "train/trainer.h"

#include <sys/resource.h>

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
#include "train/checkpoint.h"
#include "train/optimizer.h"
#include "train/parameters.h"
#include "train/run_log.h"
#include "train/run_report.h"
#include "train/schedule.h"
#include "train/setup.h"
#include "train/start.h"
#include "train/step.h"
#include "train/validate.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Bytes that the process has held at most.
double peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return 1024.0 * static_cast<double>(usage.ru_maxrss);
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

// args.toml with the plan that was chosen, so that it repeats the run.
std::string with_plan(std::string args_toml, const std::optional<TrainingPlan>& plan) {
  const std::string empty = "training-plan = \"\"";
  const size_t at = args_toml.find(empty);
  if (plan && at != std::string::npos) args_toml.insert(at + empty.size() - 1, write_training_plan(*plan));
  return args_toml;
}

class Trainer {
 public:
  Trainer(const TrainOptions& options, const std::string& args_toml, Start start,
          const std::optional<Checkpoint>& checkpoint, fs::path directory, std::function<void(int64_t)> on_batch);
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
  void report_epoch(bool best);
  bool save_last();
  int64_t batches_done() const { return position_.epoch * loader_.batches_per_epoch() + position_.next_batch; }
  Model model() const { return {spec_, trained_weights(network_, optimizer_), data_.train.names, facts_}; }

  const TrainOptions options_;
  const std::string args_toml_;
  const RunData data_;
  const fs::path directory_;
  const std::function<void(int64_t)> on_batch_;
  const std::optional<TrainingPlan> plan_;
  const bool bf16_;
  const NetworkSpec spec_;
  TorchNetwork network_;
  Optimizer optimizer_;
  std::unique_ptr<EngineNetwork> engine_;  // null without a plan
  Stepper stepper_;
  Loader loader_;
  RunLog log_;
  Schedule schedule_;
  RunPosition position_;
  std::map<std::string, std::string> facts_;  // of the last epoch, for the model files
  StepRecord last_step_;
  std::optional<Judgement> judgement_;  // of this epoch
  int64_t images_here_ = 0;   // of this epoch, since it began or was resumed
  double train_seconds_ = 0;  // of this epoch, likewise, without the validation
  Clock::time_point epoch_start_;
};

Trainer::Trainer(const TrainOptions& options, const std::string& args_toml, Start start,
                 const std::optional<Checkpoint>& checkpoint, fs::path directory, std::function<void(int64_t)> on_batch)
    : options_(options),
      args_toml_(with_plan(args_toml, start.plan)),
      data_(std::move(start.data)),
      directory_(std::move(directory)),
      on_batch_(std::move(on_batch)),
      plan_(std::move(start.plan)),
      bf16_(start.bf16),
      spec_(std::move(start.spec)),
      network_(spec_, start.weights, start.device, bf16_, options.bn_momentum, frozen_layers(options, spec_)),
      optimizer_(make_optimizer(network_, options)),
      engine_(make_engine_network(network_, plan_, options)),
      stepper_(network_, engine_.get(), optimizer_, data_.train, options_),
      loader_(data_.train, training_loader(options)),
      log_(directory_, checkpoint ? checkpoint->position.epoch : 0) {
  const int64_t together = batches_per_update(options);
  const int64_t steps = (loader_.batches_per_epoch() + together - 1) / together;
  schedule_ = {.warmup_steps = std::llround(options.warmup_epochs * static_cast<double>(steps)),
               .total_steps = steps * options.epochs,
               .lr0 = options.lr0,
               .lr_end = options.lr_end};
  if (checkpoint) {
    position_ = checkpoint->position;
    facts_ = checkpoint->model.facts;
    restore_optimizer(*checkpoint, network_, optimizer_);
  }
  position_.batch = options.batch;
  position_.batches_per_update = together;
  position_.pictures = static_cast<int64_t>(data_.train.examples.size());
  position_.seed = options.seed;
  log_.attempt("args.toml", [&] { write_file(directory_ / "args.toml", args_toml_); });
  if (!data_.listing.empty())
    log_.attempt("defects.txt", [&] { write_file(directory_ / "defects.txt", data_.listing); });
  if (!fs::exists(directory_ / "report.json")) {
    log_.attempt("report.json", [&] { write_run_report(directory_, data_.train, data_.val, options_, {}); });
  }
}

TrainResult Trainer::run() {
  try {
    run_epochs();
  } catch (const std::exception& error) {
    // Whatever ended the run, what was trained so far is kept.
    const bool saved = save_last();
    fail("epoch {}, batch {}, step {}: {}\n{}", position_.epoch + 1, position_.next_batch + 1, position_.step + 1,
         error.what(),
         saved
             ? fmt::format("{} holds the run up to there; --resume goes on", (directory_ / "weights/last.h5").string())
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
    if (on_batch_) on_batch_(batches_done());
  }
}

void Trainer::train_batch(const Batch& batch) {
  if (batches_done() == 0) {
    log_.attempt("train_batch0.jpg",
                 [&] { save_batch_picture(directory_ / "train_batch0.jpg", batch, data_.train.names); });
    log_.picture("train_batch0", 0);
  }
  torch::manual_seed(options_.seed + static_cast<uint64_t>(batches_done()));  // dropout, the same after a resume
  const double lr = schedule_.rate(position_.step + 1);
  const int64_t done = position_.next_batch + 1;  // of this epoch, with this one
  const bool update = done % position_.batches_per_update == 0 || done == loader_.batches_per_epoch();
  const StepLosses losses = stepper_.step(batch, lr, update);

  const auto pictures = static_cast<int64_t>(batch.examples.size());
  if (update) ++position_.step;
  ++position_.next_batch;
  position_.giou_sum += losses.giou * static_cast<double>(pictures);
  position_.conf_sum += losses.conf * static_cast<double>(pictures);
  position_.prob_sum += losses.prob * static_cast<double>(pictures);
  position_.images += pictures;
  images_here_ += pictures;
  last_step_ = {position_.step, lr, losses.giou, losses.conf, losses.prob};
  if (update) log_.step(last_step_);
}

void Trainer::show_progress(const Batch& batch, Progress& progress) const {
  const int64_t left = loader_.batches_per_epoch() * options_.epochs - batches_done();
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
    Validation validation = validate(spec_, trained_weights(network_, optimizer_), network_.device(), bf16_,
                                           data_.val, options_, directory_);
    record.validated = true;
    record.precision = validation.metrics.precision;
    record.recall = validation.metrics.recall;
    record.map50 = validation.metrics.coco.ap50.value_or(0);
    record.map50_95 = validation.metrics.coco.ap.value_or(0);
    record.val_box_loss = validation.box_loss;
    record.val_obj_loss = validation.obj_loss;
    record.val_cls_loss = validation.cls_loss;
    judgement_ = Judgement{"val", position_.epoch, std::move(validation.metrics), std::move(validation.findings)};
    position_.seconds += seconds_since(start);
  }
  record.seconds = position_.seconds;
  return record;
}

// The position moves to the next epoch, and everything of this one goes to the disk.
void Trainer::save_epoch(const EpochRecord& record) {
  const bool best = record.validated && record.map50 > position_.best;
  describe_epoch(record, best);
  report_epoch(best);
  const RunPosition done = position_;
  position_ = {.epoch = done.epoch + 1,
               .step = done.step,
               .best = done.best,
               .seconds = done.seconds,
               .batch = done.batch,
               .pictures = done.pictures,
               .batches_per_update = done.batches_per_update,
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

// The report's findings, and TensorBoard's pictures and curves.
void Trainer::report_epoch(bool best) {
  if (images_here_ > 0) {
    log_.speed({static_cast<double>(images_here_) / train_seconds_, loader_.wait_seconds() / train_seconds_, peak_memory()},
               position_.step);
  }
  if (!judgement_) return;
  log_.picture("val_batch0_pred", position_.step);
  log_.pr_curves(judgement_->metrics, data_.val.names, position_.step);
  if (best) {
    log_.attempt("report.json", [&] { write_run_report(directory_, data_.train, data_.val, options_, judgement_); });
  }
}

void Trainer::describe_epoch(const EpochRecord& r, bool best) const {
  const std::string judged = r.validated ? fmt::format("mAP50 {:.4f} mAP50-95 {:.4f} P {:.3f} R {:.3f} ", r.map50,
                                                       r.map50_95, r.precision, r.recall)
                                         : "";
  const std::string speed = images_here_ > 0
                                ? fmt::format("{:.2f} images/s, data {:.0f}%, memory {}, ",
                                              static_cast<double>(images_here_) / train_seconds_,
                                              100 * loader_.wait_seconds() / train_seconds_, human_bytes(peak_memory()))
                                : "";
  log_info("epoch {}/{}: loss {:.3f} (giou {:.3f} conf {:.3f} prob {:.3f}) {}lr {:.2e}, {}{}{}", r.epoch + 1,
           options_.epochs, r.box_loss + r.obj_loss + r.cls_loss, r.box_loss, r.obj_loss, r.cls_loss, judged, r.lr,
           speed, human_seconds(seconds_since(epoch_start_)), best ? ", best" : "");
}

bool Trainer::save_last() {
  return log_.attempt("last.h5", [&] {
    save_checkpoint(directory_ / "weights", model(), network_, optimizer_, position_, args_toml_, plan_text(plan_));
  });
}

}  // namespace

TrainResult train(const TrainOptions& options, const std::string& args_toml,
                  const std::function<void(int64_t batches)>& on_batch,
                  const std::function<void(const fs::path& directory)>& on_run) {
  check_options(options);
  keep_freed_memory();
  torch::set_num_threads(options.threads > 0 ? options.threads : available_cpus());

  fs::path directory = options.project / options.name;
  const std::optional<Checkpoint> checkpoint = find_checkpoint(options, directory);
  if (checkpoint && checkpoint->position.epoch >= options.epochs) {
    log_info("{}: already finished, {} of {} epochs done", directory.string(), checkpoint->position.epoch,
             options.epochs);
    return {directory, checkpoint->position.epoch, std::max(checkpoint->position.best, 0.0), false};
  }
  Start start = accept(options, checkpoint);
  if (options.resume) {
    make_directories(directory / "weights");
  } else {
    directory = make_run_directory(options.project, options.name);
  }
  log_info("{}: {} training and {} validation pictures, {} classes, {} {}x{}, {} {}, seed {}", directory.string(),
           start.data.train.examples.size(), start.data.val.examples.size(), start.data.train.names.size(),
           options.model, options.width, options.height, start.plan ? "oneDNN" : "LibTorch",
           start.bf16 ? "bf16" : "f32", options.seed);
  if (on_run) on_run(directory);
  Trainer trainer(options, args_toml, std::move(start), checkpoint, directory, on_batch);
  return trainer.run();
}

}  // namespace yolov3
