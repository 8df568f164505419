#include "train/run_log.h"

#include "base/files.h"
#include "base/log.h"
#include "image/plot.h"

namespace yolov3 {
namespace {

constexpr const char* kEvents = "TensorBoard events";

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

void RunLog::step(const StepRecord& r) {
  if (!events_) return;
  const auto value = [](double number) { return static_cast<float>(number); };
  attempt(kEvents, [&] {
    events_->scalars(r.step, {{"lr", value(r.lr)},
                              {"loss/total_loss", value(r.giou + r.conf + r.prob)},
                              {"loss/giou_loss", value(r.giou)},
                              {"loss/conf_loss", value(r.conf)},
                              {"loss/prob_loss", value(r.prob)}});
    events_->flush();
  });
}

void RunLog::epoch(const EpochRecord& record, int64_t step) {
  attempt("results.csv", [&] { csv_.add(record); });
  attempt("the curves", [&] { draw_curves(); });
  if (!events_) return;
  attempt(kEvents, [&] {
    events_->scalars(step, epoch_scalars(record));
    events_->flush();
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
