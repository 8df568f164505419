// One run of training from its first step to its last, in its folder: steps, what answers a step that is not finite,
// judging, saving. train() in train/trainer.h makes it. One thread calls it; the loader has its own.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/progress.h"
#include "data/loader.h"
#include "engine/torch_network.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"
#include "train/overfit.h"
#include "train/parameters.h"
#include "train/rank_gradients.h"
#include "train/ranks.h"
#include "train/recovery.h"
#include "train/run_log.h"
#include "train/run_report.h"
#include "train/schedule.h"
#include "train/start.h"
#include "train/step.h"
#include "train/trainer.h"

namespace yolov3 {

class TrainingRun {
 public:
  using Clock = std::chrono::steady_clock;

  // args_toml: what the checkpoints and args.toml are to hold. ranks: that train it together, of which the first writes;
  // the others start from its weights, whatever `start` and `checkpoint` say, and their position is always its. on_batch is called after each batch. began: of the program,
  // for --time.
  TrainingRun(const TrainOptions& options, const std::string& args_toml, Start start,
              const std::optional<Checkpoint>& checkpoint, std::filesystem::path directory, Ranks& ranks,
              std::function<void(int64_t)> on_batch, Clock::time_point began);
  // Until it is over or a signal asks for the end. Errors: Error, with what was saved and what was not.
  TrainResult run();

 private:
  void start_from_first();
  bool asked_to_stop();
  bool goes_on();
  std::string why_stopped() const;
  void run_epochs();
  void train_epoch();
  void foresee_end();
  void train_batch(const Batch& batch);
  void count_batch(const Batch& batch, const StepLosses& losses, double lr, bool update);
  void answer(const NonFinite& error, const Batch& batch, double lr, bool update);
  std::string save_replay_of(const NonFinite& error, const Batch& batch, double lr, bool update);
  void skip_batch(double lr, bool update);
  void roll_back();
  void show_progress(const Batch& batch, Progress& progress) const;
  void finish_epoch();
  void end_before_epoch();
  EpochRecord judge_epoch();
  void save_epoch(const EpochRecord& record);
  void report_epoch(bool best);
  bool save_last();
  bool overfit_done() const { return options_.overfit > 0 && overfit_.passed(); }
  void save_when_due(double ahead = 0);
  double rate(int64_t step) const { return schedule_.rate(step) * position_.rate_scale; }
  int64_t batches_done() const { return position_.epoch * loader_.batches_per_epoch() + position_.next_batch; }
  int64_t draws() const {
    return static_cast<int64_t>(options_.seed + static_cast<uint64_t>(batches_done())) + kRankDraws * ranks_.rank();
  }
  Model model() const { return {spec_, trained_weights(network_, optimizer_), data_.train.names, facts_}; }

  static constexpr int64_t kRankDraws = 1000003;  // between the seeds of two ranks' dropout

  const TrainOptions options_;
  Ranks& ranks_;
  const std::string args_toml_;
  const RunData data_;
  const std::filesystem::path directory_;
  const std::function<void(int64_t)> on_batch_;
  const std::optional<TrainingPlan> plan_;
  const bool bf16_;
  const NetworkSpec spec_;
  TorchNetwork network_;
  Optimizer optimizer_;
  std::unique_ptr<GradientSums> sums_;     // null where the ranks are one
  std::unique_ptr<EngineNetwork> engine_;  // null without a plan
  Stepper stepper_;
  Loader loader_;
  RunLog log_;
  Schedule schedule_;
  RunPosition position_;
  bool stop_ = false;                         // a signal asked some rank to end, as of asked_to_stop()
  std::string over_;                          // why nothing is left to do
  std::map<std::string, std::string> facts_;  // of the last epoch, for the model files
  StepRecord last_step_;
  std::optional<Judgement> judgement_;  // of this epoch
  bool closing_guessed_ = true;         // until an epoch has been judged
  int replays_ = 0;                     // written by this process
  int64_t images_here_ = 0;             // of this epoch, since it began or was resumed
  double train_seconds_ = 0;            // of this epoch, likewise, without the validation
  const Clock::time_point began_;
  const double seconds_before_;  // of the run, before this process
  Clock::time_point epoch_start_, last_save_;
  OverfitTest overfit_;  // asked only with options.overfit
};

}  // namespace yolov3
