// What `bench` runs: a network with weights, and a picture as the bytes of a JPEG.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "app/options.h"
#include "engine/engine.h"
#include "image/image.h"
#include "net/spec.h"
#include "net/weights.h"

namespace yolov3 {

struct BenchChoice {
  std::string model = "yolov3";   // a name or a FILE.cfg; not looked at for an .h5
  std::filesystem::path weights;  // .h5, or Darknet's or Keras' weights of `model`; empty = random
  int classes = 80;               // of a model by name
  ImageSize imgsz;                // 0x0: the model's own
  std::filesystem::path source;   // a picture; empty = a drawn one
  EngineOptions engine;
};

struct BenchCase {
  std::string model, weights_from, picture_from;  // for people
  NetworkSpec spec;
  std::shared_ptr<const Weights> weights;
  std::string picture;  // the bytes of its file
};

// Errors: files that cannot be read, weights that do not fit.
BenchCase open_bench_case(const BenchChoice& choice);

// The picture as the network gets it, `batch` times.
std::vector<Image> letterboxed(const BenchCase& c, int batch);

// Batch, 3, H, W of the same pictures.
Tensor planes_of(const std::vector<Image>& pictures);

// The engine of the case. int8 without calibration gets scales from the pictures at hand (bench_scales.h).
std::unique_ptr<Engine> make_bench_engine(const EngineOptions& options, const BenchCase& c,
                                          const std::vector<Image>& pictures);

}  // namespace yolov3
