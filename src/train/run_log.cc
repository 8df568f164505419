#include "train/run_log.h"

#include "base/files.h"
#include "base/log.h"
#include "data/cut_out.h"
#include "image/jpeg.h"
#include "image/load.h"
#include "image/plot.h"

namespace yolov3 {
namespace {

constexpr const char* kEvents = "TensorBoard events";
constexpr int kEventPicturePx = 640;   // TensorBoard shows pictures small, and a long run writes many
constexpr size_t kEventClasses = 20;  // with a precision-recall curve of their own

void add_point(Series& series, double x, double y) {
  series.x.push_back(x);
  series.y.push_back(y);
}

}  // namespace

RunLog::RunLog(std::filesystem::path directory, int first_epoch)
    : directory_(std::move(directory)), csv_(directory_ / "results.csv", first_epoch) {
  attempt(kEvents, [&] { events_.emplace(directory_); });
}

bool RunLog::attempt(const std::string& what, const std::function<void()>& write) {
  try {
    write();
    failing_.erase(what);
    return true;
  } catch (const std::exception& error) {
    if (failing_.insert(what).second) log_warning("{} could not be written, the run goes on: {}", what, error.what());
    return false;
  }
}

void RunLog::events(const std::function<void(EventWriter&)>& write) {
  if (!events_) return;
  attempt(kEvents, [&] {
    write(*events_);
    events_->flush();
  });
}

void RunLog::step(const StepRecord& r) {
  const auto value = [](double number) { return static_cast<float>(number); };
  events([&](EventWriter& writer) {
    writer.scalars(r.step, {{"lr", value(r.lr)},
                            {"loss/total_loss", value(r.giou + r.conf + r.prob)},
                            {"loss/giou_loss", value(r.giou)},
                            {"loss/conf_loss", value(r.conf)},
                            {"loss/prob_loss", value(r.prob)}});
  });
}

void RunLog::epoch(const EpochRecord& record, int64_t step) {
  attempt("results.csv", [&] { csv_.add(record); });
  attempt("the curves", [&] { draw_curves(); });
  events([&](EventWriter& writer) { writer.scalars(step, epoch_scalars(record)); });
}

void RunLog::speed(const SpeedRecord& r, int64_t step) {
  events([&](EventWriter& writer) {
    writer.scalars(step, {{"speed/images_per_second", static_cast<float>(r.images_per_second)},
                          {"speed/data_wait", static_cast<float>(r.data_wait)},
                          {"memory/peak_gb", static_cast<float>(r.peak_bytes / 1e9)}});
  });
}

void RunLog::picture(const std::string& name, int64_t step) {
  const std::filesystem::path file = directory_ / (name + ".jpg");
  if (!std::filesystem::exists(file)) return;  // a full disk, said already
  events([&](EventWriter& writer) {
    const Image small = shrunk(load_image(file).image, kEventPicturePx);
    writer.picture(step, "pictures/" + name, {small.width, small.height, encode_jpeg(small, 80)});
  });
}

void RunLog::pr_curves(const Metrics& metrics, const std::vector<std::string>& names, int64_t step) {
  PrCurve all{std::vector<int64_t>(kCurvePoints), std::vector<int64_t>(kCurvePoints), std::vector<int64_t>(kCurvePoints)};
  events([&](EventWriter& writer) {
    for (size_t k = 0; k < names.size(); ++k) {
      const ClassCurves& curves = metrics.classes[k].curves;
      PrCurve one{{curves.right.begin(), curves.right.end()}, {curves.wrong.begin(), curves.wrong.end()}, {}};
      for (size_t i = 0; i < kCurvePoints; ++i) {
        one.missed.push_back(curves.objects - curves.right[i]);
        all.right[i] += one.right[i];
        all.wrong[i] += one.wrong[i];
        all.missed[i] += one.missed[i];
      }
      if (k < kEventClasses && curves.objects > 0) writer.pr_curve(step, "pr/" + names[k], one);
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
