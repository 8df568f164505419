// The case that run.sh gives to every program: YOLOv3 with 80 classes, lively random weights, a picture, and our maps.
//
//   write_case FOLDER SIZE THREADS ENGINE
//
// Writes into FOLDER
//   yolov3.cfg, yolov3.weights   the network in Darknet's files
//   picture.jpg, input.f32       a drawn picture; the same letterboxed, (1,3,SIZE,SIZE) planes of RGB in [0,1]
//   heads.txt                    a line a head, in the order of maps.f32: its convolution's layer, channels, height,
//                                width
//   maps.f32                     our f32 maps, one head after the other, as N,C,H,W
//   outputs/ours-PRECISION.f32   the same at every precision that this build and machine have
#include <cmath>
#include <cstdio>
#include <string>

#include "app/bench_case.h"
#include "base/error.h"
#include "base/files.h"
#include "base/rng.h"
#include "format/darknet_weights.h"
#include "net/cfg.h"
#include "net/models.h"

namespace fs = std::filesystem;
using namespace yolov3;

namespace {

bool followed_by_shortcut(const NetworkSpec& spec, int layer) {
  const size_t next = static_cast<size_t>(layer) + 1;
  return next < spec.layers.size() && std::holds_alternative<Shortcut>(spec.layers[next].op);
}

// As random_weights, but with gains and statistics that an engine must not ignore. Maps of convolutions are about
// kMapScale, so that batch norm's epsilon, 1e-5 here and in PyTorch but 1e-6 in OpenCV, counts for nothing. What a
// shortcut adds is small, or the maps would double with each of the 23. Logits differ from cell to cell by about 1;
// objectness stays low, so that NMS has little to do.
constexpr float kMapScale = 10, kAddedScale = 0.3f, kHeadDeviation = 0.01f;

Weights lively_weights(const NetworkSpec& spec) {
  Weights weights = random_weights(spec, {.seed = 1, .objectness_prior = 0.001f});
  const std::vector<ParamSlot> slots = param_slots(spec);
  Rng rng(2);
  for (size_t i = 0; i < slots.size(); ++i) {
    const ParamSlot& slot = slots[i];
    const bool batch_norm = slot.batch_norm >= 0, added = followed_by_shortcut(spec, slot.layer);
    const float head_gain =
        1 / (kHeadDeviation * std::sqrt(static_cast<float>(slot.shape.size() > 1 ? slot.shape[1] : 1)));
    for (float& value : weights.tensors[i].values()) {
      const auto between = [&](double low, double high) { return static_cast<float>(rng.uniform(low, high)); };
      if (slot.kind == ParamKind::kernel) value *= batch_norm ? kMapScale : head_gain;
      if (!batch_norm || slot.kind == ParamKind::kernel) continue;
      if (slot.kind == ParamKind::gamma) value = between(0.7, 1.4) * (added ? kAddedScale : 1);
      if (slot.kind == ParamKind::bias) value = between(-0.2, 0.2);
      if (slot.kind == ParamKind::running_mean) value = kMapScale * between(-0.2, 0.2);
      if (slot.kind == ParamKind::running_var) value = kMapScale * kMapScale * between(0.7, 1.4);
    }
  }
  return weights;
}

std::string bytes_of(const std::vector<Tensor>& tensors) {
  std::string bytes;
  for (const Tensor& tensor : tensors) {
    bytes.append(reinterpret_cast<const char*>(tensor.data()), static_cast<size_t>(tensor.size()) * sizeof(float));
  }
  return bytes;
}

std::vector<Tensor> maps_of(const BenchCase& c, const EngineOptions& options) {
  const std::vector<Image> pictures = letterboxed(c, 1);
  return make_bench_engine(options, c, pictures)->forward(planes_of(pictures));
}

void write_case(const fs::path& folder, int size, EngineOptions options) {
  make_directories(folder / "outputs");
  const NetworkSpec spec = yolov3::yolov3({.width = size, .height = size});
  write_file(folder / "yolov3.cfg", write_cfg(spec));
  save_darknet_weights(folder / "yolov3.weights", spec, lively_weights(spec));
  // From here on by the files that the others get.
  BenchChoice choice{.model = (folder / "yolov3.cfg").string(), .weights = folder / "yolov3.weights"};
  const BenchCase c = open_bench_case(choice);
  write_file(folder / "picture.jpg", c.picture);
  write_file(folder / "input.f32", bytes_of({planes_of(letterboxed(c, 1))}));
  const std::vector<Tensor> maps = maps_of(c, options);
  write_file(folder / "maps.f32", bytes_of(maps));
  std::string lines;
  const std::vector<Head> found = heads(c.spec);
  for (size_t h = 0; h < found.size(); ++h) {
    const int conv = c.spec.layers[static_cast<size_t>(found[h].layer)].inputs[0];
    lines += fmt::format("{} {} {} {}\n", conv, maps[h].dim(1), maps[h].dim(2), maps[h].dim(3));
  }
  write_file(folder / "heads.txt", lines);
  for (const char* precision : {"f32", "bf16", "int8", "auto"}) {
    options.precision = precision;
    try {
      write_file(folder / "outputs" / fmt::format("ours-{}.f32", precision), bytes_of(maps_of(c, options)));
    } catch (const Error& error) {
      std::printf("skipped ours-%s: %s\n", precision, error.what());
    }
  }
}

}  // namespace

int main(int argc, char** argv) try {
  check(argc == 5, "usage: write_case FOLDER SIZE THREADS ENGINE");
  write_case(argv[1], std::stoi(argv[2]), {.kind = argv[4], .threads = std::stoi(argv[3])});
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "write_case: %s\n", error.what());
  return 1;
}
