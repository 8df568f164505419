#include "train/validate.h"

#include <algorithm>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/batch_pictures.h"
#include "data/loader.h"
#include "detect/post_process.h"
#include "engine/dnnl_engine.h"
#include "engine/engine.h"
#include "engine/plan.h"
#include "eval/evaluate.h"
#include "train/loss.h"
#include "train/step.h"

namespace yolov3 {
namespace {

constexpr float kPictureScore = 0.25f;

LoaderOptions validation_loader(const TrainOptions& options) {
  LoaderOptions loader;
  loader.batch = options.batch;
  loader.width = options.width;
  loader.height = options.height;
  loader.workers = options.workers;
  loader.exact_decode = options.exact_decode;
  loader.seed = options.seed;
  return loader;
}

void save_pictures(const std::filesystem::path& folder, const Batch& batch, const std::vector<RawMap>& maps,
                   const std::vector<Head>& heads, const std::vector<std::string>& names) {
  PostProcessor post(heads, {.decode = {.score_threshold = kPictureScore}, .nms = {}});
  std::vector<std::vector<Detection>> detections;
  const int width = static_cast<int>(batch.images.dim(3)), height = static_cast<int>(batch.images.dim(2));
  const Letterbox identity = make_stretch(width, height, width, height);
  for (int64_t n = 0; n < batch.images.dim(0); ++n) {
    detections.push_back(post.run(maps, n, identity, width, height));
  }
  save_batch_picture(folder / "val_batch0_labels.jpg", batch, names);
  save_batch_picture(folder / "val_batch0_pred.jpg", batch, detections, names);
}

// The same of one class.
template <class Items>
Items without_classes(Items items) {
  for (auto& item : items) item.class_id = 0;
  return items;
}

// oneDNN's on a CPU; LibTorch's on other devices, and for a layer that oneDNN cannot do.
std::unique_ptr<Engine> judging_engine(const NetworkSpec& spec, const Weights& weights, torch::Device device, bool bf16,
                                       int batch) {
  const bool in_bf16 = bf16 && (!device.is_cpu() || cpu_computes_bf16());  // LibTorch emulates it, oneDNN does not
  EngineOptions options{.device = device.str(), .precision = in_bf16 ? "bf16" : "f32", .plan = "rule"};
  if (device.is_cpu()) {
    try {
      dnnl_memory(spec, batch, options.precision);
    } catch (const Error& error) {
      log_info("validation by LibTorch: {}", error.what());
      options.kind = "torch";
    }
  }
  return make_engine(options, spec, std::make_shared<const Weights>(weights));
}

}  // namespace

Validation validate(const NetworkSpec& spec, const Weights& weights, torch::Device device, bool bf16,
                    const Dataset& dataset, const TrainOptions& options, const std::filesystem::path& pictures) {
  const torch::NoGradGuard no_grad;
  const NetworkSpec sized = with_input_size(spec, options.width, options.height);
  const std::vector<Head> net_heads = heads(sized);
  const std::unique_ptr<Engine> engine = judging_engine(sized, weights, device, bf16, options.batch);
  PostProcessor post(net_heads, metrics_detect_options());

  Loader loader(dataset, validation_loader(options));
  loader.start_epoch(0);
  Evaluator evaluator(static_cast<int>(dataset.names.size())), class_blind(1);
  Validation result;
  std::vector<double> pixels;  // of the network's input for one of each picture
  Progress progress("validate", static_cast<int64_t>(dataset.examples.size()));
  int64_t seen = 0;
  while (std::optional<Batch> batch = loader.next()) {
    if (interrupt_signal() != 0) break;
    const std::vector<Tensor> maps = engine->forward(batch->images);
    std::vector<torch::Tensor> raw;
    for (const Tensor& map : maps) raw.push_back(torch_from_tensor(map));
    const auto objects = training_objects(batch->objects_net);
    const YoloLoss loss = yolo_loss(raw, net_heads, objects, assign(objects, net_heads, options.assign), options.loss);
    const auto count = static_cast<double>(batch->examples.size());
    result.box_loss += loss.parts.giou.item<double>() * count;
    result.obj_loss += loss.parts.conf.item<double>() * count;
    result.cls_loss += loss.parts.prob.item<double>() * count;

    const std::vector<RawMap> views = views_of(maps);
    for (size_t n = 0; n < batch->examples.size(); ++n) {
      const auto [width, height] = batch->image_sizes[n];
      const std::vector<Annotation>& truth = dataset.examples[static_cast<size_t>(batch->examples[n])].objects;
      const std::vector<Detection> found =
          post.run(views, static_cast<int64_t>(n), batch->letterboxes[n], width, height);
      evaluator.add(truth, found);
      pixels.push_back(net_pixels(batch->letterboxes[n]));
      if (options.overfit > 0) class_blind.add(without_classes(truth), without_classes(found));
    }
    if (seen == 0 && !pictures.empty()) {
      try {
        save_pictures(pictures, *batch, views, net_heads, dataset.names);
      } catch (const std::exception& error) {  // a full disk is no reason to lose the figures
        log_warning("the pictures of the validation could not be written: {}", error.what());
      }
    }
    seen += static_cast<int64_t>(batch->examples.size());
    progress.update(seen);
  }
  const double pictures_seen = static_cast<double>(std::max<int64_t>(seen, 1));
  result.box_loss /= pictures_seen;
  result.obj_loss /= pictures_seen;
  result.cls_loss /= pictures_seen;
  result.metrics = evaluator.compute();
  result.findings = evaluator.find({}, pixels);
  if (options.overfit > 0) result.class_blind_map50 = class_blind.compute().coco.ap50;
  return result;
}

void add_validation(EpochRecord& record, const Validation& validation) {
  record.validated = true;
  record.precision = validation.metrics.precision;
  record.recall = validation.metrics.recall;
  record.map50 = validation.metrics.coco.ap50.value_or(0);
  record.map50_95 = validation.metrics.coco.ap.value_or(0);
  record.val_box_loss = validation.box_loss;
  record.val_obj_loss = validation.obj_loss;
  record.val_cls_loss = validation.cls_loss;
}

}  // namespace yolov3
