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
#include "train/setup.h"
#include "train/start.h"
#include "train/stopping.h"
#include "train/training_run.h"

namespace fs = std::filesystem;

namespace yolov3 {

TrainResult train(const TrainOptions& given, const std::string& args_toml,
                  const std::function<void(int64_t batches)>& on_batch,
                  const std::function<void(const fs::path& directory)>& on_run) {
  const auto began = TrainingRun::Clock::now();
  check_options(given);
  keep_freed_memory();
  torch::set_num_threads(given.threads > 0 ? given.threads : available_cpus());

  TrainOptions options = given;
  fs::path directory = options.project / options.name;
  std::optional<FolderLock> lock;
  if (options.resume && fs::exists(directory)) {
    lock.emplace(directory);
    clean_up(directory);
  }
  std::optional<Checkpoint> checkpoint = find_checkpoint(options, directory);
  const std::string over = checkpoint ? why_over(checkpoint->position, options) : "";
  if (!over.empty()) {
    log_info("{}: already finished, {}", directory.string(), over);
    TrainResult done{directory, checkpoint->position.epoch, std::max(checkpoint->position.best, 0.0), false, over};
    done.overfit_passed = done.best_map50 > kOverfitMap50;
    done.overfit_verdict = fmt::format("overfit: mAP50 {:.4f} at best", done.best_map50);
    return done;
  }
  Start start = accept(options, checkpoint);
  if (options.resume) {
    make_directories(directory / "weights");
  } else {
    directory = make_run_directory(options.project, options.name);
  }
  if (!lock) lock.emplace(directory);
  if (checkpoint) {
    log_info("{}: going on at epoch {}, batch {}", checkpoint->path.string(), checkpoint->position.epoch + 1,
             checkpoint->position.next_batch + 1);
  }
  log_info("{}: {}", directory.string(), describe(start, options));
  tell_of_small_disk(directory, start, options);
  if (on_run) on_run(directory);
  const std::string args = effective_args(args_toml, options, start.plan);
  TrainOptions weighted = options;
  weighted.loss.class_weights = start.class_weights;
  TrainingRun run(weighted, args, std::move(start), checkpoint, directory, on_batch, began);
  checkpoint.reset();  // its memory is the run's
  return run.run();
}

}  // namespace yolov3
