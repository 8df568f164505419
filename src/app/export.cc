// yolov3 export
#include "app/export.h"

#include "app/options.h"
#include "app/program.h"
#include "format/model_file.h"

namespace yolov3 {

int run_export(const std::vector<std::string>& arguments) {
  ExportCommand c;
  Options options("export", "writes a model as a file for other programs, and proves it before it is written");
  options.example("yolov3 export --weights best.h5 --to onnx --out best.onnx", "the network's raw maps");
  options.example("yolov3 export --weights best.h5 --to onnx --head nms --dynamic --out best.onnx",
                  "boxes after suppression, any batch and size");
  options.group("What and where");
  options.add("weights", &c.weights, "the model: an .h5 that training wrote").placeholder("FILE.h5");
  options.add("to", &c.to, "the format").choices({"onnx"});
  options.add("out", &c.out, "the file to write").placeholder("FILE");
  options.add("imgsz", &c.imgsz, "network input in pixels, multiples of 32; 0 = what the model was trained with")
      .alias("img-size")
      .alias("img");
  add_onnx_options(options, c.onnx);
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("weights", "the model, e.g. --weights runs/train/exp/weights/best.h5");
  options.require("out", "the file to write, e.g. --out best.onnx");
  check_onnx_options(options, c.onnx);
  c.onnx.out = c.out;
  c.onnx.imgsz = c.imgsz;
  export_onnx(load_model(c.weights), c.onnx);
  return 0;
}

}  // namespace yolov3
