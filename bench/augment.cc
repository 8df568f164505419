// How many pictures a second of one core the loader prepares with each augmentation: 640x480 JPEGs to a 416x416 input.
//
//   build/release/bench/augment_bench [--seconds 2] [--workers 1] [--size 416]
//
// Processor time is measured, so that other programs disturb little. Rounds go through all cases in turn, after one round
// of warm-up; the median of five rounds counts.
#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/error.h"
#include "base/text.h"
#include "data/loader.h"
#include "data/synthetic.h"
#include "image/canvas.h"
#include "image/save.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr int kPictures = 32, kRounds = 5;

struct Case {
  const char* name;
  bool augmented;
  AugmentOptions augment;
  std::vector<double> per_second = {};
};

std::vector<Case> cases() {
  return {
      {"none (as validation)", false, {}},
      {"the notes' flip, crop, translate", true, {}},
      {"+ flipud 0.5", true, {.flipud = 0.5}},
      {"+ hsv 0.015 0.7 0.4", true, {.hsv_h = 0.015, .hsv_s = 0.7, .hsv_v = 0.4}},
      {"+ degrees 10, scale, shear, shift", true, {.degrees = 10, .scale = 0.5, .shear = 2, .shift = 0.1}},
      {"+ cutout 1", true, {.cutout = 1}},
      {"+ blur 1", true, {.blur = 1}},
      {"+ noise 1", true, {.noise = 1}},
      {"+ grey 1", true, {.grey = 1}},
      {"+ mixup 1", true, {.mixup = 1}},
      {"+ mosaic 1", true, {.mosaic = 1}},
      {"+ mosaic 1, scale 0.5, hsv", true, {.mosaic = 1, .scale = 0.5, .hsv_h = 0.015, .hsv_s = 0.7, .hsv_v = 0.4}}};
}

// The built-in pictures enlarged to 640x480, as JPEGs.
Dataset make_pictures(const fs::path& folder) {
  Dataset dataset = synthetic_dataset(0, "train", kPictures);
  for (size_t i = 0; i < dataset.examples.size(); ++i) {
    Example& example = dataset.examples[i];
    const Image drawn = draw_synthetic(*example.synthetic, nullptr);
    const double scale = std::max(640.0 / drawn.width, 480.0 / drawn.height);
    const Image large = enlarged(drawn, scale);
    Image picture(640, 480, kPadGrey);
    for (int y = 0; y < std::min(480, large.height); ++y) {
      std::copy_n(large.pixel(0, y), 3 * std::min(640, large.width), picture.pixel(0, y));
    }
    example.image = folder / fmt::format("{}.jpg", i);
    save_image(example.image, picture, 90);
    example.synthetic.reset();
    for (Annotation& object : example.objects) {
      const auto s = static_cast<float>(scale);
      object.box = clip({object.box.x0 * s, object.box.y0 * s, object.box.x1 * s, object.box.y1 * s}, 640, 480);
    }
    std::erase_if(example.objects, [](const Annotation& object) { return !(object.box.area() > 0); });
  }
  return dataset;
}

double pictures_per_second(const Dataset& dataset, const Case& c, int size, int workers, double seconds) {
  LoaderOptions options;
  options.width = options.height = size;
  options.shuffle = true;
  options.augmented = c.augmented;
  options.augment = c.augment;
  options.workers = workers;
  Loader loader(dataset, options);
  const auto cpu_seconds = [] { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; };
  const double begin = cpu_seconds();
  int64_t pictures = 0;
  double passed = 0;
  for (int64_t epoch = 0; passed < seconds; ++epoch) {
    loader.start_epoch(epoch);
    while (const auto batch = loader.next()) pictures += batch->images.dim(0);
    passed = cpu_seconds() - begin;
  }
  return static_cast<double>(pictures) / passed;
}

void run(int size, int workers, double seconds) {
  std::string name = (fs::temp_directory_path() / "yolov3_augment_XXXXXX").string();
  check(::mkdtemp(name.data()) != nullptr, "cannot make a folder for the pictures");
  const Dataset dataset = make_pictures(name);
  std::vector<Case> all = cases();
  for (int round = 0; round <= kRounds; ++round) {
    for (Case& c : all) {
      const double rate = pictures_per_second(dataset, c, size, workers, seconds / kRounds);
      if (round > 0) c.per_second.push_back(rate);
    }
  }
  fs::remove_all(name);
#ifndef NDEBUG
  fmt::print("warning: not a release build\n");
#endif
  fmt::print("{}, 640x480 JPEGs to {}x{}, {} loader threads\n", cpu_model_name(), size, size, workers);
  for (Case& c : all) {
    std::ranges::sort(c.per_second);
    const double rate = c.per_second[c.per_second.size() / 2];
    fmt::print("{:<36} {:>7.0f} pictures/s {:>7.2f} ms\n", c.name, rate, 1000.0 / rate);
  }
}

}  // namespace
}  // namespace yolov3

int main(int count, char** words) {
  double seconds = 2;
  int workers = 1, size = 416;
  try {
    for (int i = 1; i + 1 < count; i += 2) {
      const std::string option = words[i];
      const auto value = yolov3::parse_number(words[i + 1]);
      yolov3::check(value.has_value() && *value >= 0, "{}: expected a number", option);
      if (option == "--seconds")
        seconds = *value;
      else if (option == "--workers")
        workers = static_cast<int>(*value);
      else if (option == "--size")
        size = static_cast<int>(*value);
      else
        yolov3::fail("there is no option {}", option);
    }
    yolov3::run(size, workers, seconds);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
  return 0;
}
