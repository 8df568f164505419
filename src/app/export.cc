// yolov3 export
#include "app/export.h"

#include <fmt/format.h>

#include "app/export_onnx.h"
#include "app/model_option.h"
#include "app/options.h"
#include "app/program.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "base/usage.h"
#include "format/darknet_weights.h"
#include "format/keras_weights.h"
#include "net/cfg.h"
#include "net/fold.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr float kDarknetEpsilon = 1e-5f;

struct ExportCommand {
  ModelChoice model;
  std::string to;  // empty: by the ending of `out`
  fs::path out;
  ImageSize imgsz;
  OnnxExportOptions onnx;
};

// Returns the names of those that only --to onnx has.
std::vector<std::string> add_options(Options& options, ExportCommand& c) {
  options.example("yolov3 export --weights best.h5 --to onnx --head boxes --out best.onnx",
                  "decoded boxes, proved in OpenCV before the file is written");
  options.example("yolov3 export --weights best.h5 --to darknet --out dogs.weights",
                  "dogs.weights, dogs.cfg and dogs.names, for Darknet and OpenCV");
  options.example("yolov3 export --weights yolov3.weights --to h5 --out yolov3.h5",
                  "one file that knows its network and its classes");
  options.group("The model");
  add_model_options(options, c.model);
  add_names_option(options, c.model);
  options.add("imgsz", &c.imgsz, "network input in pixels, multiples of 32; 0 = the model's own")
      .alias("img-size")
      .alias("img");
  options.group("What to write");
  options
      .add("to", &c.to,
           "onnx = for OpenCV, ONNX Runtime and others; darknet = .weights, .cfg and .names; keras = weights in Keras' "
           "layout, for its epsilon of 1e-3; h5 = this program's own model file; empty = by the ending of --out, where "
           ".h5 is this program's own")
      .choices({"onnx", "darknet", "keras", "h5"});
  options.add("out", &c.out, "the file to write; nothing that exists is overwritten").placeholder("FILE");
  return add_onnx_options(options, c.onnx);
}

// What the ending of a file promises; empty: nothing.
std::string format_of_ending(const fs::path& out) {
  const std::string ending = to_lower(out.extension().string());
  if (ending == ".onnx") return "onnx";
  if (ending == ".weights") return "darknet";
  return ending == ".h5" || ending == ".hdf5" ? "h5" : "";
}

// Errors: Kind::usage where nothing says the format, or --to and the ending contradict each other.
std::string chosen_format(const ExportCommand& c) {
  const std::string promised = format_of_ending(c.out);
  if (c.to.empty() && promised.empty()) {
    fail_usage(
        "--out {}: its ending is none of .onnx, .weights and .h5; say what to write with --to "
        "onnx|darknet|keras|h5",
        c.out.string());
  }
  if (c.to.empty()) return promised;
  const bool hdf5 = c.to == "keras" || c.to == "h5";
  if (!promised.empty() && promised != c.to && !(hdf5 && promised == "h5")) {
    fail_usage("--to {} and --out {} contradict each other; give one of them, or another ending", c.to, c.out.string());
  }
  if (c.out == "-" && c.to != "onnx") fail_usage("--out - goes with --to onnx, not with --to {}", c.to);
  return c.to;
}

void check_free(const fs::path& path) {
  std::error_code ignored;
  check(!fs::exists(path, ignored), "{}: exists already; export overwrites nothing", path.string());
}

Model load(const ExportCommand& c, const std::string& to) {
  LoadedModel loaded = load_chosen(c.model);
  if (!loaded.named && to != "keras") {
    log_warning("{}: it names no classes, so numbers are written for them; --names FILE gives them names",
                c.model.weights.string());
  }
  if (loaded.model.quantization && to != "h5") {
    log_info("{}: its int8 scales stay behind: only an .h5 of this program has a place for them",
             c.model.weights.string());
  }
  Model model = std::move(loaded.model);
  if (c.imgsz.width > 0) model.spec = with_input_size(std::move(model.spec), c.imgsz.width, c.imgsz.height);
  return model;
}

int64_t pictures_seen(const Model& model) {
  const auto fact = model.facts.find("pictures_seen");
  if (fact == model.facts.end()) return 0;
  return std::max<int64_t>(0, parse_integer(fact->second).value_or(0));
}

// One name a line, as they are read back.
std::string names_text(const std::vector<std::string>& names, const fs::path& path) {
  std::string text;
  for (const std::string& name : names) {
    check(!name.empty() && trim(name) == name && name.find_first_of("\r\n") == std::string::npos,
          "{}: the class name \"{}\" cannot stand in a file of one name a line; rename it", path.string(), name);
    text += name + "\n";
  }
  return text;
}

}  // namespace

void export_darknet(const Model& model, const fs::path& out) {
  const fs::path cfg = fs::path(out).replace_extension(".cfg"), names = fs::path(out).replace_extension(".names");
  check(out != cfg && out != names, "{}: expected a name such as model.weights; .cfg and .names are written beside it",
        out.string());
  for (const fs::path& path : {out, cfg, names}) check_free(path);
  const Rescaled rescaled = with_bn_epsilon(model.spec, model.weights, kDarknetEpsilon);
  const std::string list = names_text(model.names, names);
  try {
    write_file(cfg, write_cfg(rescaled.spec));
    write_file(names, list);
    save_darknet_weights(out, rescaled.spec, rescaled.weights, {.seen = pictures_seen(model)});
  } catch (const Error&) {  // all three or none
    std::error_code ignored;
    for (const fs::path& path : {cfg, names}) fs::remove(path, ignored);
    throw;
  }
  log_info("{}: written, with {} and {}", out.string(), cfg.filename().string(), names.filename().string());
}

void export_keras(const Model& model, const fs::path& out) {
  check_free(out);
  save_keras_weights(out, model.spec, model.weights);
  log_info("{}: written; Keras' load_weights reads it, for batch norms of epsilon {}", out.string(), kKerasEpsilon);
}

void export_h5(const Model& model, const fs::path& out) {
  check_free(out);
  save_model(out, model);
  log_info("{}: written", out.string());
}

int run_export(const std::vector<std::string>& arguments) {
  ExportCommand c;
  Options options("export", "a model for other programs");
  const std::vector<std::string> onnx_options = add_options(options, c);
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("weights", "the model, e.g. --weights runs/train/exp/weights/best.h5");
  options.require("out", "the file to write, e.g. --out model.weights");
  const std::string to = chosen_format(c);
  for (const std::string& name : onnx_options) {
    if (to != "onnx" && options.was_given(name)) {
      fail_usage("--{} has no effect here: it goes with --to onnx", name);
    }
  }
  if (to == "onnx") check_onnx_options(options, c.onnx);
  check_writable(c.out.string());
  const Model model = load(c, to);
  if (to == "onnx") {
    check_free(c.out);
    c.onnx.out = c.out;
    c.onnx.imgsz = c.imgsz;
    export_onnx(model, c.onnx);
  }
  if (to == "darknet") export_darknet(model, c.out);
  if (to == "keras") export_keras(model, c.out);
  if (to == "h5") export_h5(model, c.out);
  return 0;
}

}  // namespace yolov3
