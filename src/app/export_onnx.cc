#include "app/export_onnx.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "app/program.h"
#include "app/program_facts.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/text.h"
#include "base/usage.h"
#include "detect/decode.h"
#include "image/onnx_runner.h"

namespace yolov3 {
namespace {

// Two programs sum the same f32 products in other orders: each of the up to some 100 layers adds an error of the order
// of sqrt(products) * 2^-24, some 1e-6 of its numbers, and the next layers carry them on; 1e-4 in all. Ten times that
// is no rounding any more.
constexpr double kTolerance = 1e-3;

OnnxOptions complete(const OnnxExportOptions& given) {
  OnnxOptions options = given.onnx;
  options.head = parse_onnx_head(given.head);
  options.dynamic_size = given.dynamic;
  if (given.dynamic) options.batch = 0;
  options.max_exp_logit = kMaxExpLogit;
  options.producer_version = program_facts().at("version").get<std::string>();
  return options;
}

constexpr int kVerifiedPictures = 8;  // at once: a batch of hundreds would only take memory

// What OpenCV 4.6 runs rightly: it has no NonMaxSuppression, cannot compute with sizes that it does not know, and gives
// each cell its place in the first picture of a batch only.
OnnxOptions fit_for_opencv(OnnxOptions options) {
  options.batch = std::min(options.batch, kVerifiedPictures);
  if (options.head == OnnxHead::nms) options.head = OnnxHead::boxes;
  if (options.head == OnnxHead::raw) return options;
  options.dynamic_size = false;
  options.batch = 1;
  return options;
}

bool differs(const OnnxOptions& a, const OnnxOptions& b) {
  return a.head != b.head || a.dynamic_size != b.dynamic_size || a.batch != b.batch;
}

Tensor noise(const LayerShape& input, int64_t batch) {
  Tensor images({batch, input.channels, input.height, input.width});
  Rng rng(0);
  for (float& value : images.values()) value = static_cast<float>(rng.uniform());
  return images;
}

// decode_dense's rows (cell by cell, each with its anchors) in the file's order, from row `first` on.
void place_rows(const Tensor& rows, const Head& head, int64_t image, int64_t first, Tensor& boxes, Tensor& scores) {
  const auto anchors = static_cast<int64_t>(head.anchors.size());
  const int64_t cells = rows.dim(0) / anchors, classes = head.classes;
  for (int64_t cell = 0; cell < cells; ++cell) {
    for (int64_t a = 0; a < anchors; ++a) {
      const float* row = rows.data() + (cell * anchors + a) * rows.dim(1);
      const int64_t to = image * boxes.dim(1) + first + a * cells + cell;
      const Box box = box_from_center(row[0], row[1], row[2], row[3]);
      std::ranges::copy(std::initializer_list<float>{box.x0, box.y0, box.x1, box.y1}, boxes.data() + to * 4);
      for (int64_t k = 0; k < classes; ++k) scores[to * classes + k] = row[4] * row[5 + k];
    }
  }
}

std::vector<Tensor> decoded(const std::vector<Tensor>& raw_maps, const std::vector<Head>& heads) {
  int64_t rows = 0;
  for (const Head& head : heads) {
    rows += static_cast<int64_t>(head.anchors.size()) * head.grid_height * head.grid_width;
  }
  const int64_t images = raw_maps[0].dim(0);
  Tensor boxes({images, rows, 4}), scores({images, rows, heads[0].classes});
  for (int64_t image = 0; image < images; ++image) {
    int64_t first = 0;
    for (size_t h = 0; h < heads.size(); ++h) {
      const Tensor dense = decode_dense(view_of(raw_maps[h]), image, heads[h]);
      place_rows(dense, heads[h], image, first, boxes, scores);
      first += dense.dim(0);
    }
  }
  std::vector<Tensor> both;
  both.push_back(std::move(boxes));
  both.push_back(std::move(scores));
  return both;
}

std::string line_of(const OutputDifference& d) {
  return fmt::format("  {:<7} largest difference {:.2g} of numbers up to {:.4g}\n", d.name, d.difference, d.largest);
}

// Runs `file` in OpenCV and says how far it is from us.
std::string verify(const Model& model, const std::string& file, const OnnxOptions& options, const std::string& what) {
  const auto weights = std::make_shared<const Weights>(model.weights);
  const std::unique_ptr<Engine> engine = make_engine({}, model.spec, weights);
  const Tensor images = noise(model.spec.input, std::max(1, options.batch));
  const std::vector<std::string> names = onnx_outputs(model.spec, options.head);
  const std::vector<OutputDifference> found = differences(names, own_outputs(*engine, model.spec, options.head, images),
                                                          run_onnx_in_opencv(file, images, names));
  std::string text = fmt::format("OpenCV {} runs {}; beside engine {}:\n", opencv_version(), what, engine->name());
  for (const OutputDifference& d : found) text += line_of(d);
  if (std::ranges::all_of(found, &OutputDifference::within_tolerance)) return text;
  throw Error(
      text + fmt::format("these are not the same results (more than {} of the largest number); nothing was written",
                         kTolerance),
      Error::Kind::accuracy);
}

std::string describe(const OnnxOptions& options, const NetworkSpec& spec) {
  const std::string size =
      options.dynamic_size ? "any size" : fmt::format("{}x{} pixels", spec.input.width, spec.input.height);
  return fmt::format("opset {}, {}, {}", options.opset,
                     options.batch == 0 ? "any batch" : fmt::format("batch {}", options.batch), size);
}

// Why a file is not run itself.
std::string obstacle(const OnnxOptions& options) {
  const std::string cannot = fmt::format("OpenCV {} cannot run this file itself: ", opencv_version());
  if (options.head == OnnxHead::nms) return cannot + "it has no NonMaxSuppression";
  if (options.head == OnnxHead::raw) return fmt::format("{} pictures at once are not tried", options.batch);
  if (options.dynamic_size) return cannot + "it decodes boxes only where the size is fixed";
  return cannot + "it decodes only the first picture of a batch rightly";
}

// What OpenCV cannot run is proved as far as it goes, and said.
std::string verify_what_opencv_can(const Model& model, const std::string& file, const OnnxOptions& options) {
  const OnnxOptions runnable = fit_for_opencv(options);
  if (!differs(runnable, options)) return verify(model, file, options, "it");
  return fmt::format("{}. Instead:\n", obstacle(options)) +
         verify(model, make_onnx(model, runnable), runnable,
                fmt::format("the same network with --head {} ({})", runnable.head == OnnxHead::raw ? "raw" : "boxes",
                            describe(runnable, model.spec)));
}

}  // namespace

bool OutputDifference::within_tolerance() const { return difference <= kTolerance * std::max(1.0, largest); }

std::vector<std::string> add_onnx_options(Options& options, OnnxExportOptions& o) {
  options.group("ONNX (--to onnx)");
  options
      .add("head", &o.head,
           "what comes out: the network's raw maps, decoded boxes and scores, or what is left of those after "
           "non-maximum suppression")
      .choices({"raw", "boxes", "nms"});
  options.add("dynamic", &o.dynamic, "any number of pictures and any size that the network can take");
  options.add("batch", &o.onnx.batch, "pictures at once; 0 = any number").alias("batch-size").range(0, 65536);
  options.add("opset", &o.onnx.opset, "of ONNX's operators").range(kMinOpset, kMaxOpset);
  options.add("conf", &o.onnx.score_threshold, "with --head nms: lowest score").alias("conf-thres").range(0, 1);
  options
      .add("iou", &o.onnx.iou_threshold,
           "with --head nms: of two boxes of a class that overlap more, only the better is kept")
      .alias("iou-thres")
      .range(0, 1);
  options.add("multi-label", &o.onnx.multi_label, "with --head nms: every class over --conf, not only a box's best");
  options.add("max-det", &o.onnx.max_detections, "with --head nms: boxes a class and picture; 0 = all").range(0, 1e6);
  options.add("verify", &o.verify, "run the file in OpenCV and compare it with our engine before it is written");
  return {"head", "dynamic", "batch", "opset", "conf", "iou", "multi-label", "max-det", "verify"};
}

void check_onnx_options(const Options& options, const OnnxExportOptions& onnx) {
  if (onnx.dynamic && options.was_given("batch")) {
    fail_usage("--batch has no effect with --dynamic, which takes any number of pictures");
  }
  for (const char* name : {"conf", "iou", "multi-label", "max-det"}) {
    if (onnx.head == "nms" || !options.was_given(name)) continue;
    fail_usage("--{} has no effect with --head {}: only --head nms chooses among the boxes", name, onnx.head);
  }
}

std::vector<Tensor> own_outputs(Engine& engine, const NetworkSpec& spec, OnnxHead head, const Tensor& images) {
  check(head != OnnxHead::nms, "own_outputs: what is left after suppression is no map to compare");
  std::vector<Tensor> raw_maps = engine.forward(images);
  return head == OnnxHead::raw ? std::move(raw_maps) : decoded(raw_maps, heads(spec));
}

std::vector<OutputDifference> differences(const std::vector<std::string>& names, const std::vector<Tensor>& ours,
                                          const std::vector<Tensor>& theirs) {
  std::vector<OutputDifference> found;
  for (size_t i = 0; i < names.size(); ++i) {
    check(ours[i].shape() == theirs[i].shape(), "output {} has shape {} here and {} there", names[i],
          to_string(ours[i].shape()), to_string(theirs[i].shape()));
    OutputDifference d{names[i]};
    for (int64_t j = 0; j < ours[i].size(); ++j) {
      const double difference = std::abs(double{ours[i][j]} - theirs[i][j]);
      d.difference = std::isnan(difference) ? INFINITY : std::max(d.difference, difference);
      d.largest = std::max(d.largest, std::abs(double{ours[i][j]}));
    }
    found.push_back(d);
  }
  return found;
}

void export_onnx(const Model& given, const OnnxExportOptions& options) {
  check_writable(options.out.string());
  Model model = given;
  if (options.imgsz.width > 0) model.spec = with_input_size(model.spec, options.imgsz.width, options.imgsz.height);
  const OnnxOptions onnx = complete(options);
  const std::string file = make_onnx(model, onnx);
  std::string text =
      fmt::format("{}: {}, head {}, {}; ONNX's checker finds nothing wrong\n", options.out.string(),
                  human_bytes(static_cast<double>(file.size())), options.head, describe(onnx, model.spec));
  text += options.verify ? verify_what_opencv_can(model, file, onnx) : "not run and not compared: --verify false\n";
  write_text(options.out.string(), file);
  options.out == "-" ? log_line(text) : print(text);
}

}  // namespace yolov3
