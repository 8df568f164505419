#include "app/head_choice.h"

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "net/cfg.h"
#include "net/models.h"

namespace yolov3 {

void add_head_options(Options& options, HeadChoice& choice) {
  options.group("The network");
  options.add("model", &choice.model, "yolov3, yolov3-spp, yolov3-tiny or a Darknet FILE.cfg")
      .alias("cfg")
      .placeholder("NAME|FILE.cfg");
  options.add("weights", &choice.weights, "or a model file").placeholder("FILE.h5");
  options.add("imgsz", &choice.imgsz, "network input in pixels, multiples of 32; 0 = the model's own")
      .alias("img-size")
      .alias("img");
}

ChosenNetwork choose_network(const Options& options, const HeadChoice& choice, int classes) {
  ChosenNetwork chosen;
  if (!choice.weights.empty()) {
    if (options.was_given("model")) {
      throw Error("--model and --weights: a model file holds its own network; give one of them", Error::Kind::usage);
    }
    chosen.model = load_model(choice.weights);
    chosen.spec = chosen.model->spec;
  } else if (ends_with_ignoring_case(choice.model, ".cfg")) {
    chosen.spec = parse_cfg(read_file(choice.model), choice.model).spec;
  } else {
    chosen.spec = make_model(choice.model, {.classes = classes});
  }
  if (choice.imgsz.width > 0) chosen.spec = with_input_size(chosen.spec, choice.imgsz.width, choice.imgsz.height);
  return chosen;
}

}  // namespace yolov3
