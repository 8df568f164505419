#include "app/head_choice.h"

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "base/usage.h"
#include "net/cfg.h"
#include "net/models.h"

namespace yolov3 {

void add_head_options(Options& options, HeadChoice& choice) {
  options.group("The network");
  options.add("model", &choice.model, "yolov3, yolov3-spp, yolov3-tiny or a Darknet FILE.cfg")
      .alias("cfg")
      .placeholder("NAME|FILE.cfg");
  options.add("weights", &choice.weights, "or a model file: an .h5, or Darknet's .weights or Keras' weights of --model")
      .placeholder("FILE");
  options.add("imgsz", &choice.imgsz, "network input in pixels, multiples of 32; 0 = the model's own")
      .alias("img-size")
      .alias("img");
}

ChosenNetwork choose_network(const Options& options, const HeadChoice& choice, int classes) {
  ChosenNetwork chosen;
  if (!choice.weights.empty()) {
    const bool own = kind_of_model(choice.weights) == ModelKind::own;
    if (own && options.was_given("model")) {
      fail_usage("--model and --weights: a model file holds its own network; give one of them");
    }
    LoadedModel loaded = load_model(ModelSource{choice.weights, options.was_given("model") ? choice.model : "", {}});
    chosen.model = std::move(loaded.model);
    chosen.named = loaded.named;
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
