#include "train/trainer.h"

#include <algorithm>
#include <optional>

#include "base/cpu.h"
#include "base/files.h"
#include "base/folder_lock.h"
#include "base/log.h"
#include "base/text.h"
#include "train/checkpoint.h"
#include "train/overfit.h"
#include "train/ranks.h"
#include "train/setup.h"
#include "train/start.h"
#include "train/stopping.h"
#include "train/training_run.h"

namespace fs = std::filesystem;

namespace yolov3 {

namespace {

using Clock = TrainingRun::Clock;

TrainResult train_as_rank(TrainOptions options, const std::string& args_toml, Ranks& ranks, Clock::time_point began,
                          const std::function<void(int64_t batches)>& on_batch,
                          const std::function<void(const fs::path& directory)>& on_run) {
  fs::path directory = options.project / options.name;
  std::optional<FolderLock> lock;
  std::optional<Checkpoint> checkpoint;
  if (ranks.first()) {
    if (options.resume && fs::exists(directory)) {
      lock.emplace(directory);
      clean_up(directory);
    }
    checkpoint = find_checkpoint(options, directory);
  }
  const std::string over =
      ranks.text_from_first(checkpoint ? why_over(checkpoint->position, options) : "", "rank 0's checkpoint");
  if (!over.empty()) {
    log_info("{}: already finished, {}", directory.string(), over);
    TrainResult done{directory, 0, 0, false, over};
    if (checkpoint) {
      done.epochs_done = checkpoint->position.epoch;
      done.best_map50 = std::max(checkpoint->position.best, 0.0);
    }
    done.overfit_passed = done.best_map50 > kOverfitMap50;
    done.overfit_verdict = fmt::format("overfit: mAP50 {:.4f} at best", done.best_map50);
    return done;
  }
  Start start = accept(options, checkpoint, ranks, args_toml);
  if (ranks.first() && options.resume) {
    make_directories(directory / "weights");
  } else if (ranks.first()) {
    directory = make_run_directory(options.project, options.name);
  }
  if (ranks.first() && !lock) lock.emplace(directory);
  directory = ranks.text_from_first(directory.string(), "the folder of the run");
  if (checkpoint) {
    log_info("{}: going on at epoch {}, batch {}", checkpoint->path.string(), checkpoint->position.epoch + 1,
             checkpoint->position.next_batch + 1);
  }
  log_info("{}: {}", directory.string(), describe(start, options));
  if (ranks.first()) tell_of_long_warm_up(options);
  if (ranks.first()) tell_of_small_disk(directory, start, options);
  if (on_run && ranks.first()) on_run(directory);
  const std::string args = effective_args(args_toml, options, start.plan);
  TrainOptions weighted = options;
  weighted.loss.class_weights = start.class_weights;
  TrainingRun run(weighted, args, std::move(start), checkpoint, directory, ranks, on_batch, began);
  checkpoint.reset();  // its memory is the run's
  return run.run();
}

int threads_of(const TrainOptions& options) {
  return options.threads > 0 ? options.threads : std::max(1, available_cpus() / options.place.local_ranks);
}

}  // namespace

TrainResult train(const TrainOptions& given, const std::string& args_toml,
                  const std::function<void(int64_t batches)>& on_batch,
                  const std::function<void(const fs::path& directory)>& on_run) {
  const auto began = Clock::now();
  check_options(given);
  keep_freed_memory();
  TrainOptions options = given;
  if (options.place.local_ranks > 1) options.threads = threads_of(options);
  options.device = local_device(given.device, given.place);
  torch::set_num_threads(threads_of(options));

  Ranks ranks(options.place, options.rank_timeout_s, parse_device(options.device));
  try {
    TrainResult result = train_as_rank(options, args_toml, ranks, began, on_batch, on_run);
    ranks.leave();
    return result;
  } catch (const std::exception& error) {
    ranks.leave(error.what());
    throw;
  }
}

}  // namespace yolov3
