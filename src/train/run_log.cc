#include "train/run_log.h"

#include <algorithm>

#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/cut_out.h"
#include "data/text_guard.h"
#include "image/jpeg.h"
#include "image/load.h"
#include "image/plot.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr const char* kEvents = "TensorBoard events";
constexpr int kEventPicturePx = 640;  // TensorBoard shows pictures small, and a long run writes many
constexpr size_t kEventClasses = 20;  // with a precision-recall curve of their own

void add_point(Series& series, double x, double y) {
  series.x.push_back(x);
  series.y.push_back(y);
}

}  // namespace

EpochRecord training_record(const RunPosition& position, double lr) {
  const auto images = static_cast<double>(std::max<int64_t>(position.images, 1));
  return {.epoch = position.epoch,
          .box_loss = position.giou_sum / images,
          .obj_loss = position.conf_sum / images,
          .cls_loss = position.prob_sum / images,
          .lr = lr};
}

std::string describe_epoch(const EpochRecord& r, const EpochSpeed& speed) {
  std::string line = fmt::format("epoch {}", r.epoch + 1);
  if (speed.epochs > 0) line += fmt::format("/{}", speed.epochs);
  line += fmt::format(": loss {:.3f} (giou {:.3f} conf {:.3f} prob {:.3f}) ", r.box_loss + r.obj_loss + r.cls_loss,
                      r.box_loss, r.obj_loss, r.cls_loss);
  if (r.validated) {
    line += fmt::format("mAP50 {:.4f} mAP50-95 {:.4f} P {:.3f} R {:.3f} ", r.map50, r.map50_95, r.precision, r.recall);
  }
  line += fmt::format("lr {:.2e}, ", r.lr);
  if (speed.images > 0) {
    line += fmt::format("{:.2f} images/s, data {:.0f}%, memory {}, ",
                        static_cast<double>(speed.images) / speed.train_seconds,
                        100 * speed.wait_seconds / speed.train_seconds, human_bytes(peak_memory()));
  }
  return line + human_seconds(speed.seconds) + (speed.best ? ", best" : "");
}

std::string describe_step(const StepRecord& step) {
  return fmt::format("giou {:.3f} conf {:.3f} prob {:.3f} lr {:.2e}", step.giou, step.conf, step.prob, step.lr);
}

std::map<std::string, std::string> model_facts(const EpochRecord& record, const RunPosition& position,
                                               const std::string& over, const std::string& data) {
  std::map<std::string, std::string> facts = {
      {"epoch", fmt::format("{}", record.epoch)},
      {"mAP_0.5", record.validated ? fmt::format("{:.4f}", record.map50) : "not measured"},
      {"mAP_0.5:0.95", record.validated ? fmt::format("{:.4f}", record.map50_95) : "not measured"},
      {"data", data}};
  if (!over.empty()) facts["ended"] = over;
  if (position.skipped > 0) facts["skipped_batches"] = fmt::format("{}", position.skipped);
  if (position.rollbacks > 0) facts["rollbacks"] = fmt::format("{}", position.rollbacks);
  return facts;
}

RunLog::RunLog(fs::path directory, bool writes)
    : directory_(std::move(directory)), writes_(writes), csv_(directory_ / "results.csv") {
  attempt(kEvents, [&] { events_.emplace(directory_); });
}

void RunLog::go_on(const RunPosition& position, const std::optional<std::string>& results) {
  const fs::path file = directory_ / "results.csv";
  attempt("results.csv", [&] {
    csv_.take_over(results ? *results : fs::exists(file) ? read_file(file) : "", position.epoch);
  });
  write_events([&](EventWriter& events) { events.session_start(position.step + 1); });
}

bool RunLog::attempt(const std::string& what, const std::function<void()>& write) {
  if (!writes_) return true;
  try {
    if (!fs::exists(directory_ / "weights")) {
      make_directories(directory_ / "weights");
      log_warning("{}: the folder of the run was gone and is made again", directory_.string());
    }
    write();
    failing_.erase(what);
    return true;
  } catch (const std::exception& error) {
    if (failing_.insert_or_assign(what, error.what()).second) {
      log_warning("{} could not be written, the run goes on: {}", what, error.what());
    }
    return false;
  }
}

std::string RunLog::why_failing(const std::string& what) const {
  const auto found = failing_.find(what);
  return found == failing_.end() ? "" : found->second;
}

// A file that was taken away would take what is written, and be lost.
void RunLog::write_events(const std::function<void(EventWriter&)>& write) {
  attempt(kEvents, [&] {
    if (!events_ || !fs::exists(events_->path())) events_.emplace(directory_);
    write(*events_);
    events_->flush();
  });
}

void RunLog::step(const StepRecord& r) {
  const auto value = [](double number) { return static_cast<float>(number); };
  write_events([&](EventWriter& events) {
    events.scalars(r.step, {{"lr", value(r.lr)},
                            {"loss/total_loss", value(r.giou + r.conf + r.prob)},
                            {"loss/giou_loss", value(r.giou)},
                            {"loss/conf_loss", value(r.conf)},
                            {"loss/prob_loss", value(r.prob)}});
  });
}

void RunLog::epoch(const EpochRecord& record, int64_t step) {
  attempt("results.csv", [&] { csv_.add(record); });
  attempt("the curves", [&] { draw_curves(); });
  write_events([&](EventWriter& events) { events.scalars(step, epoch_scalars(record)); });
}

void RunLog::speed(const SpeedRecord& r, int64_t step) {
  if (r.images == 0 || r.seconds <= 0) return;
  write_events([&](EventWriter& writer) {
    writer.scalars(step, {{"speed/images_per_second", static_cast<float>(static_cast<double>(r.images) / r.seconds)},
                          {"speed/data_wait", static_cast<float>(r.wait_seconds / r.seconds)},
                          {"memory/peak_gb", static_cast<float>(peak_memory() / 1e9)}});
  });
}

void RunLog::picture(const std::string& name, int64_t step) {
  const std::filesystem::path file = directory_ / (name + ".jpg");
  if (!std::filesystem::exists(file)) return;  // a full disk, said already
  write_events([&](EventWriter& writer) {
    const Image small = shrunk(load_image(file).image, kEventPicturePx);
    writer.picture(step, "pictures/" + name, {small.width, small.height, encode_jpeg(small, 80)});
  });
}

void RunLog::pr_curves(const Metrics& metrics, const std::vector<std::string>& names, int64_t step) {
  PrCurve all{std::vector<int64_t>(kCurvePoints), std::vector<int64_t>(kCurvePoints),
              std::vector<int64_t>(kCurvePoints)};
  write_events([&](EventWriter& writer) {
    for (size_t k = 0; k < names.size(); ++k) {
      const ClassCurves& curves = metrics.classes[k].curves;
      PrCurve one{{curves.right.begin(), curves.right.end()}, {curves.wrong.begin(), curves.wrong.end()}, {}};
      for (size_t i = 0; i < kCurvePoints; ++i) {
        one.missed.push_back(curves.objects - curves.right[i]);
        all.right[i] += one.right[i];
        all.wrong[i] += one.wrong[i];
        all.missed[i] += one.missed[i];
      }
      if (k < kEventClasses && curves.objects > 0) writer.pr_curve(step, "pr/" + shown(names[k]), one);
    }
    writer.pr_curve(step, "pr_all/all", all);
  });
}

void RunLog::draw_curves() const {
  Series loss{"training loss", {}, {}}, val_loss{"validation loss", {}, {}};
  Series map50{"mAP50", {}, {}}, map{"mAP50-95", {}, {}};
  for (const EpochRecord& r : csv_.records()) {
    const double epoch = r.epoch + 1;
    add_point(loss, epoch, r.box_loss + r.obj_loss + r.cls_loss);
    if (!r.validated) continue;
    add_point(val_loss, epoch, r.val_box_loss + r.val_obj_loss + r.val_cls_loss);
    add_point(map50, epoch, r.map50);
    add_point(map, epoch, r.map50_95);
  }
  write_file(directory_ / "loss.svg",
             svg_plot({loss, val_loss}, {.title = "Loss", .x_label = "epoch", .y_label = "loss", .log_y = true}));
  write_file(directory_ / "map.svg",
             svg_plot({map50, map}, {.title = "Average precision on val", .x_label = "epoch", .y_label = "mAP"}));
}

}  // namespace yolov3
