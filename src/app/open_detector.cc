#include "app/open_detector.h"

#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/usage.h"

namespace yolov3 {

void add_detector_options(Options& options, DetectorChoice& choice) {
  options.group("The network");
  add_model_options(options, choice.model);
  options.add("imgsz", &choice.imgsz, "network input in pixels, multiples of 32; 0 = what the model was trained with")
      .alias("img-size")
      .alias("img");
  options.add("letterbox", &choice.detect.letterbox,
              "keep the picture's proportions, with grey around it; false = stretch it");
  options.add("exact-decode", &choice.exact_decode,
              "decode JPEGs whole even where a reduced size is enough for the network");
  options.group("Which boxes");
  options.add("conf", &choice.detect.decode.score_threshold, "lowest score, objectness times class probability")
      .alias("conf-thres")
      .alias("thresh")
      .range(0, 1);
  options
      .add("iou", &choice.detect.nms.iou_threshold,
           "of two boxes of a class that overlap more, only the better is kept")
      .alias("iou-thres")
      .alias("iou-thresh")
      .alias("nms")
      .range(0, 1);
  options.add("multi-label", &choice.detect.decode.multi_label, "every class over --conf, not only a box's best");
  options.add("clip-first", &choice.detect.clip_first,
              "clip boxes to the picture before NMS; false = after it, as Darknet and OpenCV do");
  options.add("agnostic-nms", &choice.detect.nms.agnostic, "boxes of other classes suppress too");
  options.add("max-det", &choice.detect.nms.max_detections, "boxes a picture, best first; 0 = all").range(0, 1e6);
  options.group("Where and how to run");
  options
      .add(
          "engine", &choice.engine.kind,
          "what computes; auto = dnnl on the CPU, torch on cuda; reference = plain loops, slow; checked = dnnl against "
          "reference, naming the first layer that differs, slower still")
      .choices({"auto", "dnnl", "reference", "torch", "checked"});
  options.add("device", &choice.engine.device, "cpu, cuda or cuda:N").placeholder("DEVICE");
  options
      .add("precision", &choice.engine.precision,
           "of the convolutions; auto = whatever of f32, bf16 and their mixture this CPU runs fastest (measured once); "
           "int8 runs by the scales that yolov3 calibrate put into the model")
      .choices({"auto", "f32", "bf16", "int8"});
  options.add("threads", &choice.engine.threads, "of the network; 0 = all").range(0, 4096);
  options
      .add("plan", &choice.engine.plan,
           "algorithms and layouts of the dnnl engine: auto = as measured before, else by rule; rule; tune = measure "
           "now; "
           "or a file that bench --save-plan wrote, to repeat a run bit for bit")
      .placeholder("auto|rule|tune|FILE");
}

namespace {

// The engine as chosen, with the scales that the model brings along.
EngineOptions engine_options(const DetectorChoice& choice, const Model& model) {
  EngineOptions options = choice.engine;
  if (options.plan != "auto" && (options.kind == "torch" || options.kind == "reference")) {
    fail_usage("--plan has no effect with --engine {}: only the dnnl engine has plans", options.kind);
  }
  if (model.quantization) options.quantization = std::make_shared<const Quantization>(*model.quantization);
  if (options.precision == "int8" && !model.quantization) {
    const std::string file = choice.model.weights.string();
    const bool own = kind_of_model(file) == ModelKind::own;
    fail_usage(
        "--precision int8: {} has no int8 scales; yolov3 calibrate --data D --weights {}{} finds them and puts {}",
        file, file, own ? "" : " --out FILE.h5, with the same --model and --names,",
        own ? "them into it" : "the model with them into that file");
  }
  return options;
}

}  // namespace

OpenDetector open_detector(const DetectorChoice& choice) {
  LoadedModel loaded = load_chosen(choice.model, choice.names_of_data);
  Model& model = loaded.model;
  const EngineOptions options = engine_options(choice, model);
  NetworkSpec spec = std::move(model.spec);
  if (choice.imgsz.width > 0) spec = with_input_size(std::move(spec), choice.imgsz.width, choice.imgsz.height);
  auto weights = std::make_shared<const Weights>(std::move(model.weights));
  std::unique_ptr<Engine> engine = make_engine(options, spec, std::move(weights));
  log_info("{}: {} classes, input {}x{}, engine {}", choice.model.weights.string(), class_count(spec), spec.input.width,
           spec.input.height, engine->name());
  return {Detector(spec, std::move(engine), choice.detect), std::move(model.names), loaded.named};
}

}  // namespace yolov3
