#include "train/validate.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <type_traits>

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
  loader.rank = options.place.rank;
  loader.ranks = options.place.ranks;
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

// What is known of one picture, to be sent to the first rank.
struct Judged {
  int64_t example = 0;
  double pixels = 0;  // of the network's input
  std::vector<Detection> found;
};

// Plain numbers, of which all ranks have the same layout: they are the same program.
template <class Value>
void put(std::string& bytes, const Value& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}
template <class Value>
Value take(const std::string& bytes, size_t& at) {
  Value value;
  check(at + sizeof(value) <= bytes.size(), "another rank's validation is cut short");
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  at += sizeof(value);
  return value;
}

std::string pack(const std::vector<Judged>& pictures) {
  static_assert(std::is_trivially_copyable_v<Detection>);
  std::string bytes;
  for (const Judged& picture : pictures) {
    put(bytes, picture.example);
    put(bytes, picture.pixels);
    put(bytes, static_cast<int64_t>(picture.found.size()));
    for (const Detection& detection : picture.found) put(bytes, detection);
  }
  return bytes;
}

void unpack(const std::string& bytes, std::vector<Judged>& pictures) {
  for (size_t at = 0; at < bytes.size();) {
    Judged picture{.example = take<int64_t>(bytes, at), .pixels = take<double>(bytes, at)};
    const auto count = take<int64_t>(bytes, at);
    for (int64_t i = 0; i < count; ++i) picture.found.push_back(take<Detection>(bytes, at));
    pictures.push_back(std::move(picture));
  }
}

// The pictures of all ranks on the first, in the data set's order; sums (losses, pictures, whether interrupted) on all.
void gather(Ranks& ranks, std::vector<Judged>& pictures, std::span<double> sums) {
  if (ranks.alone()) return;
  const std::vector<std::string> parts = ranks.texts(pack(pictures), "the validation");
  ranks.sum(sums);
  pictures.clear();
  if (!ranks.first()) return;
  for (const std::string& part : parts) unpack(part, pictures);
  std::ranges::stable_sort(pictures, {}, &Judged::example);
}

}  // namespace

Validation validate(const NetworkSpec& spec, const Weights& weights, torch::Device device, bool bf16,
                    const Dataset& dataset, const TrainOptions& options, const std::filesystem::path& pictures,
                    Ranks& ranks) {
  const torch::NoGradGuard no_grad;
  const NetworkSpec sized = with_input_size(spec, options.width, options.height);
  const std::vector<Head> net_heads = heads(sized);
  const std::unique_ptr<Engine> engine = judging_engine(sized, weights, device, bf16, options.batch);
  PostProcessor post(net_heads, metrics_detect_options());

  Loader loader(dataset, validation_loader(options));
  loader.start_epoch(0);
  std::vector<Judged> judged;
  double sums[4] = {};  // losses of box, objectness and class; pictures
  std::string pictures_error;
  Progress progress("validate", static_cast<int64_t>(dataset.examples.size()));
  int64_t seen = 0;
  while (std::optional<Batch> batch = loader.next()) {
    if (interrupt_signal() != 0) break;
    if (!batch->counts) continue;
    const std::vector<Tensor> maps = engine->forward(batch->images);
    std::vector<torch::Tensor> raw;
    for (const Tensor& map : maps) raw.push_back(torch_from_tensor(map));
    const auto objects = training_objects(batch->objects_net);
    const YoloLoss loss = yolo_loss(raw, net_heads, objects, assign(objects, net_heads, options.assign), options.loss);
    const auto count = static_cast<double>(batch->examples.size());
    sums[0] += loss.parts.giou.item<double>() * count;
    sums[1] += loss.parts.conf.item<double>() * count;
    sums[2] += loss.parts.prob.item<double>() * count;
    sums[3] += count;

    const std::vector<RawMap> views = views_of(maps);
    for (size_t n = 0; n < batch->examples.size(); ++n) {
      const auto [width, height] = batch->image_sizes[n];
      judged.push_back({batch->examples[n], net_pixels(batch->letterboxes[n]),
                        post.run(views, static_cast<int64_t>(n), batch->letterboxes[n], width, height)});
    }
    if (seen == 0 && !pictures.empty()) {
      try {
        save_pictures(pictures, *batch, views, net_heads, dataset.names);
      } catch (const std::exception& error) {  // a full disk is no reason to lose the figures
        pictures_error = error.what();
      }
    }
    seen += pictures_of_all(*batch);
    progress.update(seen);
  }
  gather(ranks, judged, sums);

  Evaluator evaluator(static_cast<int>(dataset.names.size())), class_blind(1);
  Validation result{.pictures_error = std::move(pictures_error)};
  std::vector<double> pixels;  // of each picture
  for (const Judged& picture : judged) {
    const std::vector<Annotation>& truth = dataset.examples[static_cast<size_t>(picture.example)].objects;
    evaluator.add(truth, picture.found);
    pixels.push_back(picture.pixels);
    if (options.overfit > 0) class_blind.add(without_classes(truth), without_classes(picture.found));
  }
  const double pictures_seen = std::max(sums[3], 1.0);
  result.box_loss = sums[0] / pictures_seen;
  result.obj_loss = sums[1] / pictures_seen;
  result.cls_loss = sums[2] / pictures_seen;
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
