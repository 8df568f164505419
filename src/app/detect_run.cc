#include "app/detect_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <new>
#include <span>
#include <utility>

#include "app/detect_pipeline.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/text.h"
#include "base/usage.h"
#include "data/text_guard.h"
#include "image/draw.h"
#include "image/save.h"

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Of files whose names and bytes are anybody's.
std::string fit_for_log(const std::string& text) { return shown(text, 1000); }

LoadedImage load(const PictureSource& source, const LoadOptions& options) {
  try {
    return load_image(source.path, options);
  } catch (const std::bad_alloc&) {
    fail("{}: too large for the memory", source.path.string());
  }
}

// The drawn copy keeps its kind where that kind is for pictures without loss.
std::filesystem::path drawn_path(const std::filesystem::path& folder, const PictureSource& source) {
  const bool png = ends_with_ignoring_case(source.path.string(), ".png");
  return folder / (source.stem + (png ? ".png" : ".jpg"));
}

// `detector`, and in throughput mode others over the same weights: one a thread, as far as there are batches for them.
class SideBySide {
 public:
  SideBySide(Detector& detector, const DetectRun& run, size_t pictures) : all_{&detector} {
    const size_t threads = run.mode == DetectMode::throughput ? static_cast<size_t>(run.threads) : 1;
    const auto batch = static_cast<size_t>(run.batch);
    const size_t wanted = std::min(threads, (pictures + batch - 1) / batch);
    shared_.reserve(wanted);
    while (all_.size() < wanted) {
      try {
        shared_.push_back(detector.share());
      } catch (const Error& error) {
        throw Error(fmt::format("--mode throughput: {}; use --mode latency", error.what()), error.kind());
      }
      all_.push_back(&shared_.back());
    }
    for (Detector* each : all_) each->reset_times();
  }

  std::span<Detector* const> all() const { return all_; }

  DetectTimes times() const {
    DetectTimes sum;
    for (const Detector* each : all_) {
      sum.letterbox += each->times().letterbox;
      sum.network += each->times().network;
      sum.boxes += each->times().boxes;
      sum.pictures += each->times().pictures;
    }
    return sum;
  }

 private:
  std::vector<Detector> shared_;
  std::vector<Detector*> all_;
};

PipelineOptions pipeline_options(const DetectRun& run) {
  PipelineOptions options;
  options.batch = run.batch;
  options.detector_threads = run.mode == DetectMode::throughput ? 1 : run.threads;
  // A small network on many cores is faster than one thread loads pictures or draws into them.
  options.loaders = options.writers = static_cast<size_t>(std::clamp(run.threads / 2, 1, 3));
  return options;
}

class Run {
 public:
  Run(const std::vector<PictureSource>& sources, Detector& detector, const std::vector<std::string>& names,
      const DetectRun& run)
      : sources_(sources),
        names_(names),
        run_(run),
        detectors_(detector, run, sources.size()),
        writer_(run.format, run.folder, names),
        progress_("detect", static_cast<int64_t>(sources.size())) {
    summary_.wanted = static_cast<int64_t>(sources.size());
    const LayerShape& input = detector.spec().input;
    if (!run.exact_decode) load_options_ = {static_cast<int>(input.width), static_cast<int>(input.height)};
  }

  void run() {
    PipelineSteps steps;
    steps.load = [this](size_t i) { return load(sources_[i], load_options_); };
    steps.broken = [this](size_t, const std::string& why) { skip(why); };
    steps.collect = [this](PipelinePicture& picture) { collect(picture); };
    if (run_.draw) steps.write = [this](PipelinePicture& picture) { draw(picture); };
    const PipelineTimes times = run_pipeline(sources_.size(), detectors_.all(), pipeline_options(run_), steps);
    summary_.load_seconds = times.load_seconds;
    summary_.write_seconds += times.write_seconds;
  }

  DetectSummary finish() {
    writer_.finish();
    summary_.not_drawn = not_drawn_;
    summary_.detect = detectors_.times();
    return summary_;
  }

  // After an error: what was found up to there is worth having.
  void keep_results() {
    try {
      writer_.finish();
      log_warning("stopped by an error after {} of {} pictures; their results are kept", summary_.pictures,
                  summary_.wanted);
    } catch (const std::exception& error) {
      log_warning("stopped by an error after {} of {} pictures, and their results cannot be kept: {}",
                  summary_.pictures, summary_.wanted, fit_for_log(error.what()));
    }
  }

 private:
  void skip(const std::string& why) {
    log_line("skipped " + fit_for_log(why));
    ++summary_.broken;
    show_progress();
  }

  void collect(PipelinePicture& p) {
    const Clock::time_point start = Clock::now();
    if (!run_.classes.empty()) {
      std::erase_if(p.found, [&](const Detection& d) {
        return std::find(run_.classes.begin(), run_.classes.end(), d.class_id) == run_.classes.end();
      });
    }
    const PictureSource& source = sources_[p.index];
    writer_.add(
        {source.path.string(), source.stem, source.image_id, p.picture.full_width, p.picture.full_height, p.found});
    ++summary_.pictures;
    summary_.objects += static_cast<int64_t>(p.found.size());
    summary_.write_seconds += seconds_since(start);
    show_progress();
  }

  void show_progress() {
    progress_.update(summary_.pictures + summary_.broken, fmt::format("{} objects", summary_.objects));
  }

  // In any of the write threads. A picture that was decoded at reduced size is read once more: whole ones of a batch
  // would fill the memory.
  void draw(PipelinePicture& p) {
    const PictureSource& source = sources_[p.index];
    if (p.picture.image.empty()) {
      try {
        LoadedImage whole = load(source, {});
        check(whole.full_width == p.picture.full_width && whole.full_height == p.picture.full_height,
              "{}: changed while it was read", source.path.string());
        p.picture = std::move(whole);
      } catch (const std::exception& error) {
        log_line("not drawn: " + fit_for_log(error.what()));
        ++not_drawn_;
        return;
      }
    }
    draw_detections(p.picture.image, p.found, names_);
    save_image(drawn_path(run_.folder, source), p.picture.image);
  }

  const std::vector<PictureSource>& sources_;
  const std::vector<std::string>& names_;
  const DetectRun& run_;
  SideBySide detectors_;
  LoadOptions load_options_;
  ResultWriter writer_;
  Progress progress_;
  DetectSummary summary_;  // of the caller's thread
  std::atomic<int64_t> not_drawn_ = 0;
};

}  // namespace

DetectMode parse_detect_mode(const std::string& text) {
  if (text == "latency") return DetectMode::latency;
  if (text == "throughput") return DetectMode::throughput;
  fail_usage("unknown mode \"{}\": expected latency or throughput", text);
}

DetectSummary detect_pictures(const std::vector<PictureSource>& sources, Detector& detector,
                              const std::vector<std::string>& names, const DetectRun& options) {
  const Clock::time_point start = Clock::now();
  Run run(sources, detector, names, options);
  try {
    run.run();
  } catch (...) {
    run.keep_results();
    throw;
  }
  DetectSummary summary = run.finish();
  summary.interrupted = interrupt_signal() != 0 && summary.pictures + summary.broken < summary.wanted;
  summary.seconds = seconds_since(start);
  return summary;
}

}  // namespace yolov3
