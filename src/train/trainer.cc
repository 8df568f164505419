#include "train/trainer.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <optional>

#include "base/cpu.h"
#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/text.h"
#include "data/loader.h"
#include "engine/torch_network.h"
#include "image/plot.h"
#include "train/adam.h"
#include "train/checkpoint.h"
#include "train/finite.h"
#include "train/loss.h"
#include "train/pictures.h"
#include "train/run_directory.h"
#include "train/schedule.h"
#include "train/setup.h"
#include "train/validate.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Feature maps of a batch are blocks of up to 100 MB. Left to itself, malloc gives each back to the system at once and the
// next step pays for every page again; keeping them makes a step about a tenth shorter.
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
    params.push_back({.value = network.params()[i], .weight_decay = kernel ? weight_decay : 0.0, .mean = {}, .square = {}});
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
    check(data.val.names == data.train.names, "--data {}: train and val have different class names",
          options.data.data);
  }
  return data;
}

class Trainer {
 public:
  Trainer(const TrainOptions& options, std::string args_toml, const NetworkSpec& spec, torch::Device device, RunData data,
          std::optional<Checkpoint> checkpoint, fs::path directory);
  TrainResult run();

 private:
  void train_epoch();
  void train_step(const Batch& batch);
  [[noreturn]] void stop_at_nonfinite(const Batch& batch, const std::vector<torch::Tensor>& raw_maps,
                                      const LossParts& parts);
  void finish_epoch();
  void report_step(int64_t batch_index, const Batch& batch, Progress& progress);
  bool save_or_warn(const char* what, const std::function<void()>& save);
  void save_last();
  void draw_curves();
  Model model() const;
  const std::vector<Head>& heads_at(int64_t width, int64_t height);

  TrainOptions options_;
  std::string args_toml_;
  RunData data_;
  fs::path directory_;
  bool bf16_;
  NetworkSpec spec_;
  TorchNetwork network_;
  Adam adam_;
  Loader loader_;
  Schedule schedule_;
  RunPosition position_;
  std::optional<EventWriter> events_;
  ResultsCsv csv_;
  std::map<std::pair<int64_t, int64_t>, std::vector<Head>> heads_of_size_;
  std::map<std::string, std::string> facts_;
  double lr_ = 0;
  double last_giou_ = 0, last_conf_ = 0, last_prob_ = 0;
  int64_t epoch_images_ = 0;  // seen since the epoch began or was resumed
  Clock::time_point run_start_, epoch_start_;
};

NetworkSpec spec_of(const TrainOptions& options, const RunData& data, const std::optional<Checkpoint>& checkpoint) {
  const NetworkSpec spec = make_training_spec(options, data.train.names);
  if (!checkpoint) return spec;
  check(checkpoint->model.names == data.train.names && checkpoint->model.spec == spec,
        "{}: it is of another network or other classes than --model {} --imgsz {}x{} --data {}; resume with the options "
        "in args.toml beside it, or start a new run with --weights {}",
        checkpoint->path.string(), options.model, options.width, options.height, options.data.data,
        checkpoint->path.string());
  return spec;
}

Trainer::Trainer(const TrainOptions& options, std::string args_toml, const NetworkSpec& spec, torch::Device device,
                 RunData data, std::optional<Checkpoint> checkpoint, fs::path directory)
    : options_(options),
      args_toml_(std::move(args_toml)),
      data_(std::move(data)),
      directory_(std::move(directory)),
      bf16_(use_bf16(options)),
      spec_(spec),
      network_(spec_,
               checkpoint ? checkpoint->model.weights : make_initial_weights(options, spec_, data_.train.names),
               device, bf16_, options.bn_momentum),
      adam_(adam_params(network_, options.weight_decay)),
      loader_(data_.train, training_loader(options)),
      csv_(directory_ / "results.csv", checkpoint ? checkpoint->position.epoch : 0) {
  const int64_t steps = loader_.batches_per_epoch();
  schedule_ = {.warmup_steps = std::llround(options.warmup_epochs * static_cast<double>(steps)),
               .total_steps = steps * options.epochs,
               .lr0 = options.lr0,
               .lr_end = options.lr_end};
  if (checkpoint) {
    position_ = checkpoint->position;
    restore_adam(checkpoint->state, network_, adam_);
  } else {
    write_file(directory_ / "args.toml", args_toml_);
  }
  if (!data_.listing.empty()) write_file(directory_ / "defects.txt", data_.listing);
  save_or_warn("TensorBoard events", [&] { events_.emplace(directory_); });
}

// The recipe: epochs of steps, each epoch judged and saved.
TrainResult Trainer::run() {
  run_start_ = Clock::now();
  TrainResult result{.run_directory = directory_};
  while (position_.epoch < options_.epochs && interrupt_signal() == 0) {
    train_epoch();
    if (interrupt_signal() == 0) finish_epoch();
  }
  result.epochs_done = position_.epoch;
  result.best_map50 = std::max(position_.best, 0.0);
  result.interrupted = interrupt_signal() != 0 && position_.epoch < options_.epochs;
  if (result.interrupted) {
    save_last();
    log_info("stopped by signal {} after step {}; saved, go on with --resume --project {} --name {}", interrupt_signal(),
             position_.step, options_.project.string(), directory_.filename().string());
  }
  return result;
}

void Trainer::train_epoch() {
  loader_.start_epoch(position_.epoch, position_.next_batch);
  epoch_start_ = Clock::now();
  epoch_images_ = 0;
  Progress progress(fmt::format("epoch {}/{}", position_.epoch + 1, options_.epochs), loader_.batches_per_epoch());
  while (std::optional<Batch> batch = loader_.next()) {
    if (position_.step == 0 && position_.next_batch == 0) {
      save_or_warn("train_batch0.jpg",
                   [&] { save_batch_picture(directory_ / "train_batch0.jpg", *batch, data_.train.names); });
    }
    train_step(*batch);
    ++position_.next_batch;
    report_step(position_.next_batch, *batch, progress);
    if (options_.on_step) options_.on_step(position_.step);
    if (interrupt_signal() != 0) return;
  }
}

// One update, the notes' train_step: the rate is set before, nothing is touched unless all numbers are finite.
void Trainer::train_step(const Batch& batch) {
  lr_ = schedule_.rate(position_.step + 1);
  const std::vector<Head>& net_heads = heads_at(batch.images.dim(3), batch.images.dim(2));
  std::vector<std::vector<Annotation>> objects = batch.objects_net;
  for (auto& list : objects) std::erase_if(list, [](const Annotation& object) { return object.crowd; });

  const std::vector<torch::Tensor> statistics = network_.statistics();
  const torch::Tensor images =
      torch::from_blob(const_cast<float*>(batch.images.data()), batch.images.shape(), torch::kFloat32);
  const std::vector<torch::Tensor> raw_maps = network_.forward(images, /*training=*/true);
  const YoloLoss loss = yolo_loss(raw_maps, net_heads, objects, assign(objects, net_heads, options_.assign), options_.loss);
  const torch::Tensor total = loss.parts.total();
  if (std::isfinite(total.item<double>())) total.backward();
  const double norm = std::isfinite(total.item<double>()) ? adam_.gradient_norm() : NAN;
  if (!std::isfinite(norm)) {
    network_.restore_statistics(statistics);
    stop_at_nonfinite(batch, raw_maps, loss.parts);
  }
  const double scale = options_.clip_norm > 0 && norm > options_.clip_norm ? options_.clip_norm / norm : 1.0;
  adam_.step(lr_, scale);
  adam_.clear_gradients();

  ++position_.step;
  const auto count = static_cast<double>(batch.examples.size());
  last_giou_ = loss.parts.giou.item<double>();
  last_conf_ = loss.parts.conf.item<double>();
  last_prob_ = loss.parts.prob.item<double>();
  position_.giou_sum += last_giou_ * count;
  position_.conf_sum += last_conf_ * count;
  position_.prob_sum += last_prob_ * count;
  position_.images += static_cast<int64_t>(batch.examples.size());
  epoch_images_ += static_cast<int64_t>(batch.examples.size());
}

void Trainer::stop_at_nonfinite(const Batch& batch, const std::vector<torch::Tensor>& raw_maps,
                                const LossParts& parts) {
  const std::vector<Head>& net_heads = heads_at(batch.images.dim(3), batch.images.dim(2));
  const BadCell cell = find_bad_cell(raw_maps, net_heads);
  std::string blame;
  if (cell.found) {
    const Example& example = data_.train.examples[static_cast<size_t>(batch.examples[static_cast<size_t>(cell.image)])];
    blame = fmt::format("image {} ({}): {}", example.image.string(), example.origin, describe(cell, net_heads));
  } else {
    blame = fmt::format("the raw maps are finite, the gradient of {} is not",
                        find_bad_gradient(network_.params(), network_.slots()));
  }
  adam_.clear_gradients();
  save_last();
  fail("step {}: the loss is not finite (giou {}, conf {}, prob {}); {}. Nothing was updated: {} holds the weights of step "
       "{}. Try a lower --lr0, --clip-norm 10 or --precision f32",
       position_.step + 1, parts.giou.item<double>(), parts.conf.item<double>(), parts.prob.item<double>(), blame,
       (directory_ / "weights/last.h5").string(), position_.step);
}

void Trainer::report_step(int64_t batch_index, const Batch& batch, Progress& progress) {
  const double elapsed = seconds_since(epoch_start_);
  const int64_t left = loader_.batches_per_epoch() * options_.epochs - position_.step;
  const double per_batch = elapsed * options_.batch / static_cast<double>(std::max<int64_t>(epoch_images_, 1));
  progress.update(batch_index,
                  fmt::format("{}x{} giou {:.3f} conf {:.3f} prob {:.3f} lr {:.2e} {:.2f} images/s data {:.0f}% total {}",
                              batch.images.dim(3), batch.images.dim(2), last_giou_, last_conf_, last_prob_, lr_,
                              static_cast<double>(epoch_images_) / elapsed, 100 * loader_.wait_seconds() / elapsed,
                              human_seconds(per_batch * static_cast<double>(left))));
  if (!events_) return;
  const auto value = [](double number) { return static_cast<float>(number); };
  save_or_warn("TensorBoard events", [&] {
    events_->scalars(position_.step, {{"lr", value(lr_)},
                                      {"loss/total_loss", value(last_giou_ + last_conf_ + last_prob_)},
                                      {"loss/giou_loss", value(last_giou_)},
                                      {"loss/conf_loss", value(last_conf_)},
                                      {"loss/prob_loss", value(last_prob_)}});
    events_->flush();
  });
}

void Trainer::finish_epoch() {
  const double train_seconds = seconds_since(epoch_start_), wait_seconds = loader_.wait_seconds();
  const auto images = static_cast<double>(std::max<int64_t>(position_.images, 1));
  EpochRecord record{.epoch = position_.epoch,
                     .box_loss = position_.giou_sum / images,
                     .obj_loss = position_.conf_sum / images,
                     .cls_loss = position_.prob_sum / images,
                     .lr = schedule_.rate(position_.step)};
  if (options_.validate) {
    const Validation validation = validate(network_, bf16_, data_.val, options_, directory_);
    if (interrupt_signal() != 0) return;  // judged in part only: the epoch is finished on resume
    record.validated = true;
    record.precision = validation.metrics.precision;
    record.recall = validation.metrics.recall;
    record.map50 = validation.metrics.coco.ap50.value_or(0);
    record.map50_95 = validation.metrics.coco.ap.value_or(0);
    record.val_box_loss = validation.box_loss;
    record.val_obj_loss = validation.obj_loss;
    record.val_cls_loss = validation.cls_loss;
  }
  const bool best = record.validated && record.map50 > position_.best;
  if (best) position_.best = record.map50;
  position_.seconds += seconds_since(epoch_start_);
  record.seconds = position_.seconds;
  facts_ = {{"epoch", fmt::format("{}", position_.epoch)},
            {"mAP_0.5", record.validated ? fmt::format("{:.4f}", record.map50) : "not measured"},
            {"mAP_0.5:0.95", record.validated ? fmt::format("{:.4f}", record.map50_95) : "not measured"},
            {"data", options_.data.data}};
  log_info("epoch {}/{}: loss {:.3f} (giou {:.3f} conf {:.3f} prob {:.3f}) {}lr {:.2e}, {:.2f} images/s, data {:.0f}%, {}{}",
           position_.epoch + 1, options_.epochs, record.box_loss + record.obj_loss + record.cls_loss, record.box_loss,
           record.obj_loss, record.cls_loss,
           record.validated ? fmt::format("mAP50 {:.4f} mAP50-95 {:.4f} P {:.3f} R {:.3f} ", record.map50,
                                          record.map50_95, record.precision, record.recall)
                            : "",
           record.lr, static_cast<double>(epoch_images_) / train_seconds, 100 * wait_seconds / train_seconds,
           human_seconds(seconds_since(epoch_start_)), best ? ", best" : "");

  position_ = {.epoch = position_.epoch + 1, .next_batch = 0, .step = position_.step, .best = position_.best,
               .seconds = position_.seconds};
  save_or_warn("results.csv", [&] { csv_.add(record); });
  save_or_warn("TensorBoard events", [&] {
    if (!events_) return;
    events_->scalars(position_.step, epoch_scalars(record));
    events_->flush();
  });
  save_or_warn("results.svg", [&] { draw_curves(); });
  save_last();
  if (best) save_or_warn("best.h5", [&] { save_model(directory_ / "weights/best.h5", model()); });
  if (options_.save_period > 0 && position_.epoch % options_.save_period == 0) {
    const fs::path path = directory_ / fmt::format("weights/epoch-{}.h5", position_.epoch - 1);
    save_or_warn("epoch weights", [&] { save_model(path, model()); });
  }
}

// A full disk or a folder that was taken away costs a warning, never the run.
bool Trainer::save_or_warn(const char* what, const std::function<void()>& save) {
  try {
    save();
    return true;
  } catch (const Error& error) {
    log_warning("{} could not be written, the run goes on: {}", what, error.what());
    return false;
  }
}

void Trainer::save_last() {
  save_or_warn("last.h5", [&] {
    save_checkpoint(directory_ / "weights", model(), network_, adam_, position_, args_toml_);
  });
}

Model Trainer::model() const { return {spec_, network_.weights(), data_.train.names, facts_}; }

const std::vector<Head>& Trainer::heads_at(int64_t width, int64_t height) {
  auto& known = heads_of_size_[{width, height}];
  if (known.empty()) known = heads(with_input_size(spec_, width, height));
  return known;
}

void Trainer::draw_curves() {
  Series loss{"training loss", {}, {}}, val_loss{"validation loss", {}, {}}, map50{"mAP50", {}, {}},
      map{"mAP50-95", {}, {}};
  for (const EpochRecord& r : csv_.records()) {
    const double epoch = r.epoch + 1;
    const auto point = [&](Series& series, double y) {
      series.x.push_back(epoch);
      series.y.push_back(y);
    };
    point(loss, r.box_loss + r.obj_loss + r.cls_loss);
    if (!r.validated) continue;
    point(val_loss, r.val_box_loss + r.val_obj_loss + r.val_cls_loss);
    point(map50, r.map50);
    point(map, r.map50_95);
  }
  write_file(directory_ / "loss.svg", svg_plot({loss, val_loss}, {.title = "Loss", .x_label = "epoch", .y_label = "loss", .log_y = true}));
  write_file(directory_ / "map.svg", svg_plot({map50, map}, {.title = "Average precision on val", .x_label = "epoch", .y_label = "mAP"}));
}

}  // namespace

TrainResult train(const TrainOptions& options, const std::string& args_toml) {
  check_options(options);
  keep_freed_memory();
  torch::set_num_threads(options.threads > 0 ? options.threads : available_cpus());
  torch::manual_seed(static_cast<int64_t>(options.seed));

  fs::path directory = options.project / options.name;
  std::optional<Checkpoint> checkpoint;
  if (options.resume) {
    checkpoint = load_checkpoint(directory / "weights");
    if (!checkpoint) log_info("{}: no checkpoint yet, starting from the beginning", directory.string());
    if (checkpoint && checkpoint->position.epoch >= options.epochs) {
      log_info("{}: already finished, {} of {} epochs done", directory.string(), checkpoint->position.epoch,
               options.epochs);
      return {directory, checkpoint->position.epoch, std::max(checkpoint->position.best, 0.0), false};
    }
    if (checkpoint) {
      log_info("{}: going on at epoch {}, batch {}", checkpoint->path.string(), checkpoint->position.epoch + 1,
               checkpoint->position.next_batch + 1);
    }
  }
  RunData data = load_run_data(options);
  const NetworkSpec spec = spec_of(options, data, checkpoint);
  const torch::Device device = parse_device(options.device);
  if (!options.resume) {  // after everything that can be refused, so that a mistake leaves no empty run behind
    directory = make_run_directory(options.project, options.name);
  } else {
    make_directories(directory / "weights");
  }
  log_info("{}: {} training and {} validation pictures, {} classes, {} {}x{}, {}, seed {}", directory.string(),
           data.train.examples.size(), data.val.examples.size(), data.train.names.size(), options.model, options.width,
           options.height, use_bf16(options) ? "bf16" : "f32", options.seed);
  Trainer trainer(options, args_toml, spec, device, std::move(data), std::move(checkpoint), directory);
  return trainer.run();
}

}  // namespace yolov3
