// For tests: a run directory as the trainer leaves it, with figures of a formula.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"
#include "eval/report_data.h"
#include "format/events.h"
#include "image/save.h"

namespace yolov3 {

inline std::string test_run_csv(int epochs) {
  std::string csv =
      "epoch,time,train/box_loss,train/obj_loss,train/cls_loss,metrics/precision,metrics/recall,metrics/mAP_0.5,"
      "metrics/mAP_0.5:0.95,val/box_loss,val/obj_loss,val/cls_loss,x/lr0\n";
  for (int e = 0; e < epochs; ++e) {
    const double loss = 8.0 / (e + 1), map = 1 - 1.0 / (e + 2);
    csv += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},0.001\n", e, 30 * (e + 1), loss, 2 * loss, loss / 2, map,
                       map / 2, map, map / 2, loss + 1, 2 * loss + 1, loss);
  }
  return csv;
}

// Half of the objects found, some taken for the other class, a false alarm in each picture.
inline std::string test_report(const std::vector<std::string>& names, int epoch) {
  const int classes = static_cast<int>(names.size());
  Evaluator evaluator(classes);
  DatasetStats stats;
  for (const std::string& name : names) stats.classes.push_back({name});
  for (int i = 0; i < 40; ++i) {
    const int truth = i % classes, answer = i % 7 == 0 ? (truth + 1) % classes : truth;
    const auto size = static_cast<float>(10 + 6 * i);
    const Box box{20, 30, 20 + size, 30 + size};
    std::vector<Detection> detections = {{{300, 300, 310, 320}, answer, 0.3f + 0.015f * static_cast<float>(i)}};
    if (i % 2 == 0) detections.push_back({box, answer, 0.2f + 0.02f * static_cast<float>(i)});
    evaluator.add({{box, truth, false, false, size * size}}, detections);
    ++stats.classes[static_cast<size_t>(truth)].objects;
  }
  stats.pictures = stats.objects = 40;
  ReportData data{names, 416, 416, {{"train", stats}, {"val", stats}}, {}};
  data.judgement = Judgement{"val", epoch, evaluator.compute(), evaluator.find()};
  return report_json(data, {[&](int64_t i) { return fmt::format("{} {}.jpg", names[0], i); },
                            [](int64_t) { return Image(400, 400, 90); }});
}

inline void write_test_run(const std::filesystem::path& folder, int epochs,
                           const std::vector<std::string>& names = {"cat", "dog"}) {
  make_directories(folder / "weights");
  write_file(folder / "results.csv", test_run_csv(epochs));
  write_file(folder / "args.toml",
             fmt::format("command = \"train\"\ndata = \"data.yaml\"\nmodel = \"yolov3\"\nimgsz = \"416x416\"\n"
                         "epochs = {}\nbatch = 8\nseed = 7\nlr0 = 0.001\n",
                         epochs));
  write_file(folder / "report.json", test_report(names, epochs - 1));
  save_image(folder / "train_batch0.jpg", Image(600, 400, 120));
  EventWriter events(folder);
  for (int step = 1; step <= 2 * epochs; ++step) {
    events.scalars(step, {{"lr", 0.001f}, {"loss/total_loss", 20.0f / static_cast<float>(step)}});
    if (step % 2 == 0) {
      events.scalars(step, {{"speed/images_per_second", 4.5f}, {"speed/data_wait", 0.02f}, {"memory/peak_gb", 2.25f}});
    }
  }
  events.flush();
}

}  // namespace yolov3
