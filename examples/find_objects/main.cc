// find_objects MODEL SCORE PICTURE...: a line an object that scores more than SCORE, "picture class score x0 y0 x1 y1", in
// pixels of the picture. What goes wrong is an exception that says where and what to try.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>

#include "detect/detector.h"
#include "format/load_model.h"

namespace {

// The network that the file describes, ready to run; other threads get theirs from its share().
yolov3::Detector make_detector(yolov3::Model& model, float least_score) {
  yolov3::EngineOptions engine;  // oneDNN on this CPU
  engine.precision = "auto";     // f32 or bf16, whichever is faster here
  yolov3::DetectOptions options;
  options.decode.score_threshold = least_score;
  auto weights = std::make_shared<const yolov3::Weights>(std::move(model.weights));
  return {model.spec, yolov3::make_engine(engine, model.spec, std::move(weights)), options};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: find_objects MODEL SCORE PICTURE...\n");
    return 2;
  }
  try {
    yolov3::Model model = yolov3::load_model({.weights = argv[1]}).model;
    yolov3::Detector detector = make_detector(model, std::strtof(argv[2], nullptr));
    for (int i = 3; i < argc; ++i) {
      for (const yolov3::Detection& found : detector.detect(yolov3::load_image(argv[i]))) {
        std::printf("%s %s %.4f %.1f %.1f %.1f %.1f\n", argv[i], model.names[found.class_id].c_str(), found.score,
                    found.box.x0, found.box.y0, found.box.x1, found.box.y1);
      }
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "find_objects: %s\n", error.what());
    return 1;
  }
}
