#include "train/training_run.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/text.h"
#include "data/batch_pictures.h"
#include "train/rank_state.h"
#include "train/replay_case.h"
#include "train/setup.h"
#include "train/stopping.h"
#include "train/validate.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

using Clock = TrainingRun::Clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

TrainingRun::TrainingRun(const TrainOptions& options, const std::string& args_toml, Start start,
                         const std::optional<Checkpoint>& checkpoint, fs::path directory, Ranks& ranks,
                         std::function<void(int64_t)> on_batch, Clock::time_point began)
    : options_(options),
      ranks_(ranks),
      args_toml_(args_toml),
      data_(std::move(start.data)),
      directory_(std::move(directory)),
      on_batch_(std::move(on_batch)),
      plan_(std::move(start.plan)),
      bf16_(start.bf16),
      spec_(std::move(start.spec)),
      network_(spec_, start.weights, start.device, bf16_, options.bn_momentum, frozen_layers(options, spec_)),
      optimizer_(make_optimizer(network_, options)),
      sums_(ranks.alone() ? nullptr : std::make_unique<GradientSums>(ranks, network_)),
      engine_(make_engine_network(network_, plan_, options, sums_.get())),
      stepper_(network_, engine_.get(), optimizer_, data_.train, options_, sums_.get()),
      loader_(data_.train, training_loader(options)),
      log_(directory_, ranks.first()),
      began_(began),
      seconds_before_(checkpoint ? checkpoint->position.seconds : 0),
      last_save_(Clock::now()),
      overfit_(data_, spec_, options_) {
  const int64_t together = batches_per_update(options);
  schedule_ = make_schedule(options, (loader_.batches_per_epoch() + together - 1) / together);
  if (checkpoint) {
    restore_optimizer(*checkpoint, network_, optimizer_);
    position_ = checkpoint->position;
    facts_ = checkpoint->facts();
    closing_guessed_ = position_.epoch == 0 || position_.closing_seconds == 0;
    log_.go_on(position_, checkpoint->results());
    overfit_.go_on(log_.records());
  } else if (options.resume) {
    log_.go_on(position_, "");  // what was written before it was killed without a checkpoint comes again
  }
  position_.batch = options.batch;
  position_.batches_per_update = together;
  position_.pictures = static_cast<int64_t>(data_.train.examples.size());
  position_.seed = options.seed;
  start_from_first();
  foresee_end();
  if (!data_.listing.empty())
    log_.attempt("defects.txt", [&] { write_file(directory_ / "defects.txt", data_.listing); });
  if (!fs::exists(directory_ / "report.json")) {
    log_.attempt("report.json", [&] { write_run_report(directory_, data_.train, data_.val, options_, {}); });
  }
  // Last, for it says that there is a run to resume.
  log_.attempt("args.toml", [&] { write_file(directory_ / "args.toml", args_toml_); });
  if (parse_on_nan(options.on_nan) == OnNan::rollback && !checkpoint) save_last();  // something to go back to
  ranks_.meet("rank 0 making the run's folder");
}

void TrainingRun::start_from_first() {
  if (ranks_.alone()) return;
  copy_state_from_first(ranks_, network_, optimizer_);
  if (engine_ != nullptr) engine_->parameters_changed();
  position_ = position_from_first(ranks_, position_, "what rank 0 starts from");
}

TrainResult TrainingRun::run() {
  try {
    run_epochs();
  } catch (const std::exception& error) {
    if (!ranks_.first()) throw;
    // Whatever ended the run, what was trained so far is kept.
    const bool saved = save_last();
    fail("epoch {}, batch {}, step {}: {}\n{}", position_.epoch + 1, position_.next_batch + 1, position_.step + 1,
         error.what(),
         saved ? fmt::format("{} holds the run up to there, for --resume", (directory_ / "weights/last.h5").string())
               : fmt::format("and the run could not be saved either: {}", log_.why_failing("last.h5")));
  }
  TrainResult result{directory_, position_.epoch, std::max(position_.best, 0.0), over_.empty(), over_};
  if (options_.overfit > 0) {
    result.overfit_passed = overfit_done();
    result.overfit_verdict = overfit_.verdict();
  }
  if (!over_.empty()) {
    const bool saved = log_.why_failing("last.h5").empty() || save_last();
    check(saved,
          "{}: {}, but its last weights could not be written: {}; then --resume goes on from the last checkpoint "
          "that was",
          directory_.string(), over_, log_.why_failing("last.h5"));
    log_info("{}: finished, {}", directory_.string(), over_);
    return result;
  }
  const bool saved = save_last();
  check(saved, "stopped by {} after step {}, and the run could not be saved: {}", why_stopped(), position_.step,
        log_.why_failing("last.h5"));
  log_info("stopped by {} after step {}; everything is saved", why_stopped(), position_.step);
  return result;
}

std::string TrainingRun::why_stopped() const {
  return interrupt_signal() != 0 ? interrupt_name() : "a signal to another rank";
}

// Whether a signal has asked any of the ranks to end: the same answer on all of them.
bool TrainingRun::asked_to_stop() {
  double asked[] = {interrupt_signal() != 0 ? 1.0 : 0.0};
  ranks_.sum(asked);
  return stop_ = asked[0] > 0;
}

// Whether there is time for another batch, by the first rank's clock. Where it has to save before, the others wait.
bool TrainingRun::goes_on() {
  if (asked_to_stop()) return false;
  if (!ranks_.alone()) {
    double now[3] = {};
    const bool due = options_.save_every_s > 0 && seconds_since(last_save_) >= options_.save_every_s;
    if (ranks_.first()) {
      now[0] = position_.seconds;
      now[1] = position_.closing_seconds;
      now[2] = due ? 1 : 0;
    }
    ranks_.sum(now);
    position_.seconds = now[0];
    position_.closing_seconds = now[1];
    if (now[2] > 0) {
      check_same_weights(ranks_, network_, position_.step);
      save_last();
      ranks_.meet("rank 0 saving the run");
    }
  }
  return !time_is_up(position_, options_);
}

// The recipe: epochs of steps, each epoch judged and saved.
void TrainingRun::run_epochs() {
  while (over_.empty() && !stop_) {
    train_epoch();
    if (asked_to_stop()) return;
    position_.next_batch > 0 ? finish_epoch() : end_before_epoch();
  }
}

void TrainingRun::train_epoch() {
  loader_.start_epoch(position_.epoch, position_.next_batch);
  epoch_start_ = Clock::now();
  images_here_ = 0;
  Progress progress(
      fmt::format("epoch {}{}", position_.epoch + 1, options_.time_s > 0 ? "" : fmt::format("/{}", options_.epochs)),
      loader_.batches_per_epoch());
  while (goes_on()) {
    const std::optional<Batch> batch = loader_.next();
    if (!batch) break;
    train_batch(*batch);
    train_seconds_ = seconds_since(epoch_start_);
    position_.seconds = seconds_before_ + seconds_since(began_);
    if (closing_guessed_ && options_.validate && images_here_ > 0) {
      const double ratio = static_cast<double>(data_.val.examples.size()) / static_cast<double>(images_here_);
      position_.closing_seconds = train_seconds_ * ratio / 3;  // a picture takes a third of its training step
    }
    show_progress(*batch, progress);
    if (ranks_.alone()) save_when_due();
    if (on_batch_) on_batch_(batches_done());
  }
}

// With --time the rates end when the time does; before the first update make_schedule's guess has to do.
void TrainingRun::foresee_end() {
  if (options_.time_s > 0 && position_.step > 0) schedule_.total_steps = expected_steps(position_, options_);
}

void TrainingRun::train_batch(const Batch& batch) {
  if (batches_done() == 0) {
    log_.attempt("train_batch0.jpg",
                 [&] { save_batch_picture(directory_ / "train_batch0.jpg", batch, data_.train.names); });
    log_.picture("train_batch0", 0);
  }
  torch::manual_seed(static_cast<uint64_t>(draws()));  // dropout, the same after a resume
  foresee_end();
  const double lr = rate(position_.step + 1);
  const int64_t done = position_.next_batch + 1;  // of this epoch, with this one
  const bool update = done % position_.batches_per_update == 0 || done == loader_.batches_per_epoch();
  try {
    count_batch(batch, stepper_.step(batch, lr, update), lr, update);
  } catch (const NonFinite& error) {
    answer(error, batch, lr, update);
  }
}

void TrainingRun::count_batch(const Batch& batch, const StepLosses& losses, double lr, bool update) {
  const int64_t pictures = pictures_of_all(batch);
  if (update) ++position_.step;
  ++position_.next_batch;
  position_.skipped_in_row = 0;
  position_.giou_sum += losses.giou * static_cast<double>(pictures);
  position_.conf_sum += losses.conf * static_cast<double>(pictures);
  position_.prob_sum += losses.prob * static_cast<double>(pictures);
  position_.images += pictures;
  images_here_ += pictures;
  last_step_ = {position_.step, lr, losses.giou, losses.conf, losses.prob};
  if (update) log_.step(last_step_);
}

// --- A step that is not finite: train/recovery.h ----------------------------------------------------------------------

void TrainingRun::answer(const NonFinite& error, const Batch& batch, double lr, bool update) {
  const std::string replay = save_replay_of(error, batch, lr, update);
  const OnNan kind = parse_on_nan(options_.on_nan);
  const std::string given_up = why_given_up(kind, position_);
  check(given_up.empty(), "{}{}\nstopped: {}", error.what(), replay, given_up);
  if (ranks_.first())
    log_warning("epoch {}, batch {}, step {}: {}{}\n{}", position_.epoch + 1, position_.next_batch + 1,
                position_.step + 1, error.what(), replay,
                kind == OnNan::skip ? "the batch is left out" : "back to the last checkpoint, at half the rate");
  kind == OnNan::skip ? skip_batch(lr, update) : roll_back();
}

// For the message: where the step is. A step of several ranks is not one that a process can run again.
std::string TrainingRun::save_replay_of(const NonFinite& error, const Batch& batch, double lr, bool update) {
  if (!ranks_.alone())
    return "\nif it comes again when the run is resumed on one rank, there is a file for yolov3 replay";
  if (replays_ >= kMostReplays) return "";
  const fs::path path = directory_ / fmt::format("replay-{:06}.h5", batches_done());
  const bool saved = log_.attempt("the step for yolov3 replay", [&] {
    ReplayCase step = make_replay(network_, optimizer_, batch, data_.train, position_);
    step.update = update;
    step.lr = lr;
    step.draws = draws();
    step.reason = error.what();
    step.args_toml = args_toml_;
    step.plan = plan_text(plan_, bf16_);
    step.class_weights = options_.loss.class_weights;
    save_replay(path, step);
  });
  if (!saved) return "";
  ++replays_;
  return fmt::format("\nyolov3 replay {} runs this step again and looks into it", path.string());
}

void TrainingRun::skip_batch(double lr, bool update) {
  ++position_.skipped;
  ++position_.skipped_in_row;
  ++position_.next_batch;
  if (update && stepper_.finish_update(lr)) ++position_.step;
}

void TrainingRun::roll_back() {
  const RunPosition before = position_;
  if (ranks_.first()) {
    const std::optional<Checkpoint> checkpoint = load_checkpoint(directory_ / "weights");
    check(checkpoint.has_value(), "{}: there is no checkpoint to go back to", (directory_ / "weights").string());
    network_.set_weights(checkpoint->model.weights);
    restore_optimizer(*checkpoint, network_, optimizer_);
    if (engine_ != nullptr) engine_->parameters_changed();
    position_ = checkpoint->position;
    facts_ = checkpoint->facts();
    log_.go_on(position_, checkpoint->results());
  }
  start_from_first();
  position_.seconds = before.seconds;
  position_.rollbacks = before.rollbacks + 1;
  position_.rate_scale = before.rate_scale * kRollbackScale;
  loader_.start_epoch(position_.epoch, position_.next_batch);
  save_last();  // so that the rate stays halved whatever happens next
  ranks_.meet("rank 0 saving the run");
}

// --- Between the steps ------------------------------------------------------------------------------------------------

void TrainingRun::show_progress(const Batch& batch, Progress& progress) const {
  const double images_per_second = static_cast<double>(images_here_) / train_seconds_;
  const auto left = static_cast<double>(loader_.batches_per_epoch() * options_.epochs - batches_done());
  const double seconds_left = options_.time_s > 0 ? options_.time_s - position_.seconds
                                                  : left * static_cast<double>(options_.batch) / images_per_second;
  progress.update(position_.next_batch,
                  fmt::format("run {} {:.2f} images/s {} {}x{} data {:.0f}%", human_seconds(seconds_left),
                              images_per_second, describe_step(last_step_), batch.images.dim(3), batch.images.dim(2),
                              100 * loader_.wait_seconds() / train_seconds_));
}

void TrainingRun::finish_epoch() {
  const auto start = Clock::now();
  // Where the time has cut the epoch short, gradients may wait for batches that do not come.
  if (stepper_.finish_update(rate(position_.step + 1))) ++position_.step;
  check_same_weights(ranks_, network_, position_.step);
  save_when_due(position_.closing_seconds);  // before a long validation, which a kill would cost too
  const EpochRecord record = judge_epoch();
  if (stop_) return;                                 // judged in part only: the epoch is finished on resume
  position_.closing_seconds = seconds_since(start);  // but for the saving
  if (ranks_.first()) save_epoch(record);
  over_ = ranks_.text_from_first(over_, "rank 0 saving the epoch");
  position_ = position_from_first(ranks_, position_, "rank 0 saving the epoch");
  position_.closing_seconds = seconds_since(start);
  closing_guessed_ = false;
}

// The time was up before the epoch's first batch: nothing is new that could be judged.
void TrainingRun::end_before_epoch() {
  over_ = why_over(position_, options_);
  facts_["ended"] = over_;
  if (ranks_.first()) save_last();
  ranks_.meet("rank 0 saving the run");
}

EpochRecord TrainingRun::judge_epoch() {
  EpochRecord record = training_record(position_, rate(position_.step));
  if (options_.validate) {
    Validation validation = validate(spec_, trained_weights(network_, optimizer_), network_.device(), bf16_, data_.val,
                                     options_, ranks_.first() ? directory_ : fs::path(), ranks_);
    ranks_.meet("rank 0 judging the validation");
    log_.attempt("the pictures of the validation", [&] {
      if (!validation.pictures_error.empty()) throw Error(validation.pictures_error);
    });
    add_validation(record, validation);
    record.seconds = seconds_before_ + seconds_since(began_);
    if (!asked_to_stop()) overfit_.add(record, validation);
    judgement_ = Judgement{"val", position_.epoch, std::move(validation.metrics), std::move(validation.findings)};
  }
  position_.seconds = seconds_before_ + seconds_since(began_);
  record.seconds = position_.seconds;
  return record;
}

// The position moves to the next epoch, and everything of this one goes to the disk.
void TrainingRun::save_epoch(const EpochRecord& record) {
  if (!fs::exists(directory_ / "weights/best.h5")) position_.best = -1;  // none, or it was taken away
  const bool best = record.validated && record.map50 > position_.best;
  const int epochs = options_.time_s > 0 ? 0 : options_.epochs;
  log_info("{}", describe_epoch(record, {epochs, images_here_, train_seconds_, loader_.wait_seconds(),
                                         seconds_since(epoch_start_), best}));
  report_epoch(best);
  position_ = next_epoch(position_);
  position_.unimproved = best || !record.validated ? 0 : position_.unimproved + 1;
  over_ = why_over(position_, options_);
  if (over_.empty() && overfit_done()) over_ = "the pictures are known by heart";
  facts_ = model_facts(record, position_, over_, options_.data.data);
  // The best is on record only when it is on the disk.
  if (best && log_.attempt("best.h5", [&] { save_model(directory_ / "weights/best.h5", model()); })) {
    position_.best = record.map50;
  }
  log_.epoch(record, position_.step);
  if (options_.save_period > 0 && position_.epoch % options_.save_period == 0) {
    const fs::path path = directory_ / fmt::format("weights/epoch-{}.h5", record.epoch);
    log_.attempt("the epoch's weights", [&] { save_model(path, model()); });
  }
  // Last, so that whatever a kill cuts short before is done again.
  save_last();
}

// The report's findings, and TensorBoard's pictures and curves.
void TrainingRun::report_epoch(bool best) {
  log_.speed({images_here_, train_seconds_, loader_.wait_seconds()}, position_.step);
  if (!judgement_) return;
  log_.picture("val_batch0_pred", position_.step);
  log_.pr_curves(judgement_->metrics, data_.val.names, position_.step);
  if (best) {
    log_.attempt("report.json", [&] { write_run_report(directory_, data_.train, data_.val, options_, judgement_); });
  }
}

bool TrainingRun::save_last() {
  if (!fs::exists(directory_ / "args.toml")) {
    log_.attempt("args.toml", [&] { write_file(directory_ / "args.toml", args_toml_); });
  }
  const bool saved = log_.attempt("last.h5", [&] {
    save_checkpoint(directory_ / "weights", model(), network_, optimizer_,
                    {position_, args_toml_, plan_text(plan_, bf16_), log_.results()});
  });
  last_save_ = Clock::now();
  return saved;
}

// ahead: seconds in which nothing can be saved.
void TrainingRun::save_when_due(double ahead) {
  if (options_.save_every_s > 0 && seconds_since(last_save_) + ahead >= options_.save_every_s) save_last();
}

}  // namespace yolov3
