#include "app/detect_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/queue.h"
#include "base/text.h"
#include "data/text_guard.h"
#include "image/draw.h"
#include "image/save.h"

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Loaded {
  const PictureSource* source = nullptr;
  LoadedImage picture;  // what the network sees, perhaps decoded at reduced size
  std::string error;    // why there is no picture
  double seconds = 0;
};

// Of files whose names and bytes are anybody's.
std::string fit_for_log(const std::string& text) { return shown(text, 1000); }

Loaded load(const PictureSource& source, const LoadOptions& options) {
  const Clock::time_point start = Clock::now();
  Loaded loaded;
  loaded.source = &source;
  try {
    loaded.picture = load_image(source.path, options);
  } catch (const std::bad_alloc&) {
    loaded.error = source.path.string() + ": too large for the memory";
  } catch (const std::exception& error) {
    loaded.error = error.what();
  }
  loaded.seconds = seconds_since(start);
  return loaded;
}

// Pictures in order, loaded ahead of their use. Ends its thread however the run ends.
class LoadAhead {
 public:
  LoadAhead(const std::vector<PictureSource>& sources, const LoadOptions& options)
      : queue_(kPicturesAhead - 1), thread_([this, &sources, options] {  // one more is in the thread's hand
          for (const PictureSource& source : sources) {
            if (!queue_.push(load(source, options))) return;
          }
          queue_.close();
        }) {}
  ~LoadAhead() {
    queue_.close();
    thread_.join();
  }
  std::optional<Loaded> next() { return queue_.pop(); }

 private:
  BoundedQueue<Loaded> queue_;
  std::thread thread_;
};

// The drawn copy keeps its kind where that kind is for pictures without loss.
std::filesystem::path drawn_path(const std::filesystem::path& folder, const PictureSource& source) {
  const bool png = ends_with_ignoring_case(source.path.string(), ".png");
  return folder / (source.stem + (png ? ".png" : ".jpg"));
}

class Run {
 public:
  Run(const std::vector<PictureSource>& sources, Detector& detector, const std::vector<std::string>& names,
      const DetectRun& run)
      : detector_(detector),
        names_(names),
        run_(run),
        writer_(run.format, run.folder, names),
        progress_("detect", static_cast<int64_t>(sources.size())) {
    summary_.wanted = static_cast<int64_t>(sources.size());
  }

  // Takes a picture in; a full batch is run.
  void take(Loaded loaded) {
    summary_.load_seconds += loaded.seconds;
    if (!loaded.error.empty()) {
      log_line("skipped " + fit_for_log(loaded.error));
      ++summary_.broken;
      return;
    }
    waiting_bytes_ += loaded.picture.image.rgb.size();
    waiting_.push_back(std::move(loaded));
    if (static_cast<int>(waiting_.size()) >= run_.batch || waiting_bytes_ >= kMaxBatchBytes) flush();
  }

  void flush() {
    if (waiting_.empty()) return;
    const Clock::time_point start = Clock::now();
    std::vector<LoadedImage> pictures;
    for (Loaded& loaded : waiting_) pictures.push_back(std::move(loaded.picture));
    std::vector<std::vector<Detection>> found = detector_.detect(pictures);
    summary_.detect_seconds += seconds_since(start);
    const Clock::time_point written = Clock::now();
    for (size_t i = 0; i < waiting_.size(); ++i) {
      write(*waiting_[i].source, std::move(pictures[i]), std::move(found[i]));
    }
    summary_.write_seconds += seconds_since(written);
    waiting_.clear();
    waiting_bytes_ = 0;
    progress_.update(summary_.pictures + summary_.broken, fmt::format("{} objects", summary_.objects));
  }

  DetectSummary finish() {
    writer_.finish();
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
  void write(const PictureSource& source, LoadedImage picture, std::vector<Detection> found) {
    if (!run_.classes.empty()) {
      std::erase_if(found, [&](const Detection& d) {
        return std::find(run_.classes.begin(), run_.classes.end(), d.class_id) == run_.classes.end();
      });
    }
    const auto objects = static_cast<int64_t>(found.size());
    if (run_.draw) draw(source, picture, found);
    writer_.add({source.path.string(), source.stem, source.image_id, picture.full_width, picture.full_height,
                 std::move(found)});
    ++summary_.pictures;
    summary_.objects += objects;
  }

  // A picture that was decoded at reduced size is read once more: whole ones of a batch would fill the memory.
  void draw(const PictureSource& source, LoadedImage& picture, const std::vector<Detection>& found) {
    if (picture.image.width != picture.full_width || picture.image.height != picture.full_height) {
      Loaded again = load(source, {});
      if (again.error.empty() && (again.picture.full_width != picture.full_width ||
                                  again.picture.full_height != picture.full_height)) {
        again.error = source.path.string() + ": changed while it was read";
      }
      if (!again.error.empty()) {
        log_line("not drawn: " + fit_for_log(again.error));
        ++summary_.not_drawn;
        return;
      }
      picture.image = std::move(again.picture.image);
    }
    draw_detections(picture.image, found, names_);
    save_image(drawn_path(run_.folder, source), picture.image);
  }

  Detector& detector_;
  const std::vector<std::string>& names_;
  const DetectRun& run_;
  ResultWriter writer_;
  Progress progress_;
  DetectSummary summary_;
  std::vector<Loaded> waiting_;
  size_t waiting_bytes_ = 0;
};

}  // namespace

DetectSummary detect_pictures(const std::vector<PictureSource>& sources, Detector& detector,
                              const std::vector<std::string>& names, const DetectRun& options) {
  const Clock::time_point start = Clock::now();
  LoadOptions load_options;
  if (!options.exact_decode) {
    load_options = {static_cast<int>(detector.spec().input.width), static_cast<int>(detector.spec().input.height)};
  }
  Run run(sources, detector, names, options);
  try {
    LoadAhead pictures(sources, load_options);
    while (interrupt_signal() == 0) {
      std::optional<Loaded> loaded = pictures.next();
      if (!loaded) break;
      run.take(std::move(*loaded));
    }
    run.flush();
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
