#include "app/bench_case.h"

#include <algorithm>
#include <utility>

#include "app/bench_scales.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "data/synthetic.h"
#include "format/load_model.h"
#include "image/jpeg.h"
#include "image/letterbox.h"
#include "image/load.h"
#include "net/cfg.h"
#include "net/models.h"

namespace yolov3 {
namespace {

constexpr int kDrawnWidth = 768, kDrawnHeight = 576, kDrawnQuality = 92;

NetworkSpec named_network(const BenchChoice& choice) {
  if (ends_with_ignoring_case(choice.model, ".cfg")) return parse_cfg(read_file(choice.model), choice.model).spec;
  return make_model(choice.model, {.classes = choice.classes});
}

// The first convolutions of a backbone, random ones behind.
void complete_backbone(const BenchChoice& choice, Model& model) {
  NetworkSpec whole = named_network(choice);
  if (model.spec.layers.size() >= whole.layers.size()) return;
  Weights weights = random_weights(whole);
  std::ranges::move(model.weights.tensors, weights.tensors.begin());
  log_info("{}: the convolutions behind it are random", choice.weights.string());
  model.spec = std::move(whole);
  model.weights = std::move(weights);
}

void open_network(const BenchChoice& choice, BenchCase& c) {
  c.weights_from = choice.weights.empty() ? "random weights" : choice.weights.string();
  c.model = choice.model;
  if (choice.weights.empty()) {
    c.spec = named_network(choice);
    c.weights = std::make_shared<const Weights>(random_weights(c.spec));
  } else {
    const bool own = kind_of_model(choice.weights) == ModelKind::own;
    if (own) c.model = choice.weights.filename().string();
    Model model = load_model(ModelSource{choice.weights, own ? "" : choice.model, {}, true}).model;
    if (!own) complete_backbone(choice, model);
    c.spec = std::move(model.spec);
    c.weights = std::make_shared<const Weights>(std::move(model.weights));
  }
  if (choice.imgsz.width > 0) c.spec = with_input_size(std::move(c.spec), choice.imgsz.width, choice.imgsz.height);
}

// A photograph's size and about its detail: the scene of a built-in picture on a larger ground.
std::string drawn_picture() {
  SyntheticScene scene = plan_synthetic({.seed = 0, .index = 0});
  scene.width = kDrawnWidth;
  scene.height = kDrawnHeight;
  return encode_jpeg(paint(scene), kDrawnQuality);
}

}  // namespace

BenchCase open_bench_case(const BenchChoice& choice) {
  BenchCase c;
  open_network(choice, c);
  check(c.spec.input.channels == 3, "pictures have 3 channels, {} takes {}", c.model, c.spec.input.channels);
  c.picture = choice.source.empty() ? drawn_picture() : read_file(choice.source);
  c.picture_from = choice.source.empty() ? "a drawn picture" : choice.source.string();
  return c;
}

std::vector<Image> letterboxed(const BenchCase& c, int batch) {
  const LoadedImage picture = decode_image(c.picture, c.picture_from);
  const Letterbox letterbox =
      make_letterbox(picture.full_width, picture.full_height, static_cast<int>(c.spec.input.width),
                     static_cast<int>(c.spec.input.height));
  return std::vector<Image>(static_cast<size_t>(batch), apply_letterbox(picture.image, letterbox));
}

Tensor planes_of(const std::vector<Image>& pictures) {
  const int64_t height = pictures.at(0).height, width = pictures.at(0).width;
  Tensor planes({static_cast<int64_t>(pictures.size()), 3, height, width});
  for (size_t i = 0; i < pictures.size(); ++i) {
    planes_from_image(pictures[i], planes.data() + static_cast<int64_t>(i) * 3 * height * width);
  }
  return planes;
}

std::unique_ptr<Engine> make_bench_engine(const EngineOptions& options, const BenchCase& c,
                                          const std::vector<Image>& pictures) {
  const bool has_int8 = options.kind == "auto" || options.kind == "dnnl";
  if (options.precision != "int8" || options.quantization || !has_int8) return make_engine(options, c.spec, c.weights);
  EngineOptions floating = options, whole = options;
  floating.precision = "f32";
  floating.plan = "rule";
  const auto f32 = make_engine(floating, c.spec, c.weights);
  whole.quantization = std::make_shared<const Quantization>(scales_of_batch(*f32, c.spec, planes_of(pictures)));
  return make_engine(whole, c.spec, c.weights);
}

}  // namespace yolov3
