#include "app/presets.h"

namespace yolov3 {
namespace {

using Values = std::vector<std::pair<std::string, std::string>>;

// The loss that the YOLOv3 paper and Darknet have in common.
Values with_paper_loss(const Values& more) {
  Values values = {{"matching", "best"}, {"anchor-fit", "shape"}, {"ignore-boxes", "all"},
                   {"box-loss", "mse"},  {"focal-power", "0"},    {"label-smoothing", "0"}};
  values.insert(values.end(), more.begin(), more.end());
  return values;
}

}  // namespace

const std::vector<Preset>& training_presets() {
  static const std::vector<Preset> kPresets = {
      {"notes", "the study notes: every option at its default", {}},
      {"paper",
       "targets and loss of the YOLOv3 paper, 2.1 (arXiv 1804.02767); the rest as notes:", with_paper_loss({})},
      {"darknet", "as Darknet trains its cfg/yolov3.cfg, as far as there are options for it:",
       with_paper_loss({{"ignore-iou", "0.7"},
                        {"optimizer", "sgd"},
                        {"momentum", "0.9"},
                        {"weight-decay", "0.0005"},
                        {"lr0", "0.001"},
                        {"schedule", "steps"},
                        {"warmup", "darknet"},
                        {"nominal-batch", "64"}})},
      {"yolov4-loss",
       "targets and loss of the [yolo] sections of Darknet's cfg/yolov4.cfg; the rest as notes:",
       {{"anchor-fit", "shape"},
        {"positive-iou", "0.213"},
        {"ignore-boxes", "all"},
        {"ignore-iou", "0.7"},
        {"box-loss", "ciou"},
        {"small-box-weight", "false"},
        {"box-gain", "0.07"},
        {"focal-power", "0"},
        {"label-smoothing", "0"}}},
      {"ratio-means",
       "anchors by ratio, CIoU, the box's IoU as objectness, means instead of sums; the rest as notes:",
       {{"anchor-fit", "ratio"},
        {"ignore-iou", "1"},
        {"box-loss", "ciou"},
        {"small-box-weight", "false"},
        {"box-gain", "0.05"},
        {"cls-gain", "0.5"},
        {"objectness-target", "iou"},
        {"focal-power", "0"},
        {"normalize", "means"},
        {"label-smoothing", "0"}}},
  };
  return kPresets;
}

}  // namespace yolov3
