#include "train/start.h"

#include <algorithm>

#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/usage.h"
#include "data/loader.h"
#include "engine/torch_network.h"
#include "train/class_weights.h"
#include "train/engine_network.h"
#include "train/memory_plan.h"
#include "train/overfit.h"
#include "train/rank_state.h"
#include "train/setup.h"
#include "train/stopping.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

// Once, before the run: at the smallest size, where most are left out.
void tell_of_tiny_objects(const Dataset& train, const TrainOptions& options) {
  LoaderOptions loader;
  loader.width = options.width;
  loader.height = options.height;
  if (!options.multi_scale.empty()) loader.width = loader.height = *std::ranges::min_element(options.multi_scale);
  const TinyObjects found = find_tiny_objects(train, loader);
  if (found.tiny == 0) return;
  log_info(
      "train: {} of {} boxes are under {} px wide or high at {}x{} and left out of training, the first in {}; a larger "
      "--imgsz keeps them",
      found.tiny, found.objects, loader.min_box_px, loader.width, loader.height, found.first);
}

bool has_objects(const Dataset& data) {
  return std::ranges::any_of(data.examples, [](const Example& e) {
    return std::ranges::any_of(e.objects, [](const Annotation& object) { return !object.crowd; });
  });
}

RunData load_run_data(const TrainOptions& options) {
  RunData data;
  DataOptions given = options.data;
  const auto load = [&](const std::string& split, Dataset& into) {
    DefectReport report;
    into = load_dataset(given, split, report);
    given.known_names = into.names;  // are those of all splits
    if (report.defects.empty()) return;
    log_info("{}: {}", split, trim(describe(report, 5)));
    data.listing += split + ":\n" + describe(report, report.defects.size()) + "\n";
    if (split == "train") data.train_defects = report.counts();
  };
  load("train", data.train);
  check(!data.train.examples.empty(), "--data {}: the train split has no pictures", options.data.data);
  if (options.overfit > 0) {
    reduce_to_overfit(data, options);
  } else {
    check(has_objects(data.train),
          "--data {}: the train split's {} pictures have no objects, so there is nothing to learn; label some, or see "
          "with yolov3 data check --data {} where their labels are",
          options.data.data, data.train.examples.size(), options.data.data);
  }
  if (options.overfit == 0 && options.validate) {
    load("val", data.val);
    check(has_objects(data.val),
          "--data {}: the val split's {} pictures have no objects, so there is no mAP; label some, or train with "
          "--val false",
          options.data.data, data.val.examples.size());
  }
  tell_of_tiny_objects(options.overfit > 0 ? data.val : data.train, options);
  return data;
}

// What --image-weights and --class-weights come to here.
std::vector<double> weigh(const Dataset& train, const TrainOptions& options) {
  const std::string pictures = describe_weights(PictureSampler(train, options.image_weights));
  if (!pictures.empty()) log_info("{}", pictures);
  const std::vector<double> weights = make_class_weights(options.class_weights, train);
  std::string list;
  for (size_t k = 0; k < weights.size(); ++k) list += fmt::format(", {} {:.3g}", train.names[k], weights[k]);
  if (!list.empty()) log_info("class weights: {}", list.substr(2));
  return weights;
}

NetworkSpec spec_of(const TrainOptions& options, const RunData& data, const std::optional<Checkpoint>& checkpoint) {
  const NetworkSpec spec = make_training_spec(options, data.train.names);
  for (const int size : options.multi_scale) with_input_size(spec, size, size);  // refuses what the network cannot take
  const int frozen = frozen_layers(options, spec);
  if (frozen > 0 && options.weights.empty() && !checkpoint && options.place.rank == 0) {
    log_warning("--freeze {} without --weights: {} layers keep the random numbers they begin with", options.freeze,
                frozen);
  }
  if (checkpoint) {
    const auto pictures = static_cast<int64_t>(data.train.examples.size());
    check_resumable(*checkpoint, options, spec, data.train.names, pictures);
  }
  return spec;
}

// A kill between an epoch's best.h5 and its first checkpoint leaves one epoch. After more of them the checkpoints were taken
// away, or could never be written; to begin anew would write over what there is.
void check_nothing_is_lost(const fs::path& directory) {
  const fs::path results = directory / "results.csv", best = directory / "weights/best.h5";
  if (!fs::exists(results) || !fs::exists(best)) return;
  const auto epochs = static_cast<int64_t>(split_lines(read_file(results)).size()) - 1;
  check(epochs < 2,
        "{}: {} epochs are on record in {}, but there is no checkpoint to go on from; put last.h5 back, or start a new "
        "run: another --name, with --weights {}",
        best.parent_path().string(), epochs, results.string(), best.string());
}

void warn_of_other_data(const Checkpoint& checkpoint, const TrainOptions& options) {
  const auto found = checkpoint.model.facts.find("data");
  if (!options.validate || checkpoint.position.best < 0 || found == checkpoint.model.facts.end() ||
      found->second == options.data.data) {
    return;
  }
  log_warning(
      "{}: it was trained on --data {}; its best mAP50 of {:.4f} is of that data, and stays the one that best.h5 and "
      "--patience go by",
      checkpoint.path.string(), found->second, checkpoint.position.best);
}

}  // namespace

std::optional<Checkpoint> find_checkpoint(const TrainOptions& options, const std::filesystem::path& directory) {
  if (!options.resume) return std::nullopt;
  const fs::path weights = directory / "weights";
  std::optional<Checkpoint> checkpoint = load_checkpoint(weights);
  if (!checkpoint) {
    check_close_mosaic(options);
    check_nothing_is_lost(directory);
    log_info("{}: no checkpoint yet, starting from the beginning", directory.string());
    return checkpoint;
  }
  warn_of_other_data(*checkpoint, options);
  std::error_code none;
  if (checkpoint->path.filename() != "last.h5" && fs::exists(weights / "last.h5")) {
    fs::rename(weights / "last.h5", weights / "last.damaged.h5", none);  // not to become the one before the last
  }
  return checkpoint;
}

void clean_up(const fs::path& directory) {
  int files = 0;
  for (const fs::path& folder : {directory, directory / "weights"}) {
    if (fs::exists(folder)) files += remove_unfinished_files(folder);
  }
  if (files > 0) log_info("{}: removed {} files that a killed process had not finished", directory.string(), files);
}

std::string effective_args(std::string args_toml, const TrainOptions& options,
                           const std::optional<TrainingPlan>& plan) {
  const auto put = [&](const std::string& line, const std::string& chosen) {
    const size_t at = args_toml.find("\n" + line + "\n");
    if (at != std::string::npos) args_toml.replace(at + 1, line.size(), chosen);
  };
  if (plan) put("training-plan = \"\"", fmt::format("training-plan = \"{}\"", write_training_plan(*plan)));
  put("batch = \"auto\"", fmt::format("batch = {}", options.batch));
  return args_toml;
}

namespace {

int64_t checkpoint_bytes(const std::optional<Checkpoint>& checkpoint) {
  int64_t numbers = 0;
  if (!checkpoint) return 0;
  for (const Tensor& tensor : checkpoint->model.weights.tensors) numbers += tensor.size();
  for (const auto& [name, tensor] : checkpoint->state.tensors) numbers += tensor.size();
  return numbers * static_cast<int64_t>(sizeof(float));
}

// The largest batch that fits, where it is asked for; and a word on the memory in any case. program: bytes that the
// process has without the network.
void decide_batch(TrainOptions& options, const Start& start, int64_t program) {
  check_usage(options.batch != kAutoBatch || options.place.ranks == 1,
              "--batch auto: the memory of one machine says nothing of the others'; give a number");
  if (!start.device.is_cpu()) {
    check_usage(options.batch != kAutoBatch,
                "--batch auto: only the memory of a CPU is known beforehand; give a number");
    return;
  }
  const auto estimate_of = [&](int batch) {
    TrainOptions with = options;
    with.batch = share_of_batch(batch, options.place.ranks);
    return estimate_memory(start.spec, with, start.plan, program, static_cast<int64_t>(start.data.val.examples.size()));
  };
  const int64_t available = available_memory(), reach = process_memory() + available;
  if (options.batch == kAutoBatch) {
    check(available >= 0, "--batch auto: this system does not say how much memory is available; give a number");
    const auto pictures = static_cast<int64_t>(start.data.train.examples.size());
    const int64_t most = std::min<int64_t>(
        {kLargestAutoBatch, pictures, options.nominal_batch > 0 ? options.nominal_batch : kLargestAutoBatch});
    const auto usable = static_cast<int64_t>(kUsableMemory * static_cast<double>(reach));
    options.batch =
        largest_batch(static_cast<int>(most), usable, [&](int batch) { return estimate_of(batch).total(); });
    check(options.batch > 0,
          "--batch auto: one picture at a time would take {}, {} can be had; a smaller --imgsz or a "
          "smaller --model needs less",
          human_bytes(static_cast<double>(estimate_of(1).total())), human_bytes(static_cast<double>(usable)));
    log_info("--batch auto: {}{}", options.batch, options.batch == most ? ", the most that it takes" : "");
  }
  const MemoryEstimate estimate = estimate_of(options.batch);
  log_info("peak memory about {}", describe(estimate));
  const int here = options.place.local_ranks;
  const int64_t share = process_memory() + available / here;
  if (available >= 0 && estimate.total() > share && options.place.local_rank == 0) {
    log_warning("only {} can be had{}; a smaller --batch{} or --imgsz needs less",
                human_bytes(static_cast<double>(share)),
                here > 1 ? fmt::format(", {} ranks sharing this machine", here) : "",
                options.place.ranks > 1 ? "" : " (or auto)");
  }
}

}  // namespace

namespace {

// The first rank chooses, which may take a while; the others do as it does.
void decide_plan(Start& start, const TrainOptions& options, const std::optional<Checkpoint>& checkpoint, Ranks& ranks) {
  TrainOptions for_plan = options;
  for_plan.batch = options.batch == kAutoBatch ? TrainOptions{}.batch : share_of_batch(options.batch, ranks.size());
  if (ranks.first()) {
    const std::string resumed = checkpoint ? checkpoint->plan() : "";
    start.plan = choose_plan(for_plan, start.spec, resumed);
    start.bf16 = start.plan ? start.plan->type == NumberType::bf16 : torch_in_bf16(options, resumed);
  }
  const std::string first = ranks.text_from_first(plan_text(start.plan, start.bf16), "the training plan");
  if (!ranks.first()) {
    if (!is_trained_by_torch(first)) start.plan = parse_training_plan(first, start.spec);
    start.bf16 = start.plan ? start.plan->type == NumberType::bf16 : torch_in_bf16(options, first);
  }
  check_usage(start.plan || !options.sync_bn,
              "--sync-bn: LibTorch's batch norm knows one rank alone; use --engine dnnl");
}

// With the batch that is decided.
void check_plan(const Start& start, const TrainOptions& options, const Ranks& ranks) {
  if (!start.plan) return;
  TrainOptions here = options;
  here.batch = share_of_batch(options.batch, ranks.size());
  const auto pictures = static_cast<int64_t>(start.data.train.examples.size());
  check_training_plan(*start.plan, start.spec, here, (pictures + ranks.size() - 1) / ranks.size());
}

}  // namespace

Start accept(TrainOptions& options, const std::optional<Checkpoint>& checkpoint, Ranks& ranks,
             const std::string& args_toml) {
  Start start{.data = load_run_data(options)};
  const int64_t program = process_memory() - checkpoint_bytes(checkpoint);
  if (checkpoint && options.batch == kAutoBatch) options.batch = static_cast<int>(checkpoint->position.batch);
  start.spec = spec_of(options, start.data, checkpoint);
  start.class_weights = weigh(start.data.train, options);
  start.device = parse_device(options.device);
  check_same_start(ranks, start, options, args_toml);
  if (ranks.first()) {
    start.weights =
        checkpoint ? checkpoint->model.weights : make_initial_weights(options, start.spec, start.data.train.names);
  } else {
    start.weights = random_weights(start.spec, {.seed = options.seed});
  }
  decide_plan(start, options, checkpoint, ranks);
  // Before the memory is estimated, which stumbles over the same layers and cannot name the option.
  const bool auto_batch = options.batch == kAutoBatch;
  if (!auto_batch) check_plan(start, options, ranks);
  decide_batch(options, start, program);
  if (auto_batch) check_plan(start, options, ranks);
  return start;
}

void tell_of_long_warm_up(const TrainOptions& options) {
  const bool all_of_it =
      options.time_s == 0 && options.schedule != "constant" && options.warmup_epochs >= options.epochs;
  if (!all_of_it) return;
  log_warning(
      "the learning rate rises for {} epochs and the run has {}: it never comes down; more --epochs or a shorter "
      "--warmup-epochs let it",
      options.warmup_epochs, options.epochs);
}

void tell_of_small_disk(const fs::path& directory, const Start& start, const TrainOptions& options) {
  int64_t weights = 0;
  for (const Tensor& tensor : start.weights.tensors) weights += tensor.size() * static_cast<int64_t>(sizeof(float));
  const int copies = copies_of_parameters(options) - 1;  // all but the gradient
  const int64_t epoch_files = options.save_period > 0 && options.time_s == 0 ? options.epochs / options.save_period : 0;
  const int64_t needed = weights * (3 * copies + 1 + epoch_files);  // last.h5, the one before, the next; best.h5
  std::error_code unknown;
  int64_t there = 0;
  for (fs::directory_iterator file(directory / "weights", unknown), end; !unknown && file != end;
       file.increment(unknown)) {
    const uintmax_t size = file->file_size(unknown);
    if (!unknown) there += static_cast<int64_t>(size);
  }
  const fs::space_info disk = fs::space(directory, unknown);
  if (unknown || static_cast<int64_t>(disk.available) + there >= needed) return;
  log_warning("{}: its model files will take up to {}, the disk has {} left; what does not fit is not saved",
              (directory / "weights").string(), human_bytes(static_cast<double>(needed)),
              human_bytes(static_cast<double>(disk.available)));
}

std::string describe(const Start& start, const TrainOptions& options) {
  return fmt::format("{} training and {} validation pictures, {} classes, {} {}x{}, batches of {}{}, {} {}, seed {}",
                     start.data.train.examples.size(), start.data.val.examples.size(), start.data.train.names.size(),
                     options.model, options.width, options.height, options.batch,
                     options.place.ranks > 1 ? fmt::format(" on {} ranks", options.place.ranks) : "",
                     start.plan ? "oneDNN" : "LibTorch", start.bf16 ? "bf16" : "f32", options.seed);
}

}  // namespace yolov3
