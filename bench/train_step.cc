// Where the time of a training step goes: forward, loss, backward, gradient norm, update. Random pictures and objects.
//
//   train_step [batch] [size] [bf16|f32] [steps] [classes] [adam|sgd] [frozen layers]
//
// Prints the median of each part in ms, after two steps of warm-up.
#include <malloc.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string>

#include "base/cpu.h"
#include "base/rng.h"
#include "engine/torch_network.h"
#include "net/models.h"
#include "train/loss.h"
#include "train/parameters.h"

using namespace yolov3;

namespace {

constexpr int kObjects = 14;  // a picture, as BCCD has them

std::vector<std::vector<Annotation>> random_objects(int batch, int size, int classes) {
  Rng rng(1);
  std::vector<std::vector<Annotation>> objects(static_cast<size_t>(batch));
  for (auto& list : objects) {
    for (int i = 0; i < kObjects; ++i) {
      const auto w = static_cast<float>(rng.uniform(0.05, 0.4) * size),
                 h = static_cast<float>(rng.uniform(0.05, 0.4) * size);
      const auto x = static_cast<float>(rng.uniform(0, size - w)), y = static_cast<float>(rng.uniform(0, size - h));
      list.push_back({.box = {x, y, x + w, y + h}, .class_id = static_cast<int>(rng.integer(0, classes - 1))});
    }
  }
  return objects;
}

}  // namespace

int main(int argc, char** argv) {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);  // as the trainer does
  mallopt(M_TRIM_THRESHOLD, -1);
  const auto argument = [&](int i, const char* otherwise) { return std::string(argc > i ? argv[i] : otherwise); };
  const int batch = std::stoi(argument(1, "8")), size = std::stoi(argument(2, "416"));
  const bool bf16 = argument(3, "bf16") == "bf16";
  const int steps = std::stoi(argument(4, "5")), classes = std::stoi(argument(5, "3"));
  torch::set_num_threads(available_cpus());

  const NetworkSpec spec = yolov3::yolov3({.classes = classes, .width = size, .height = size});
  TrainOptions options;
  options.optimizer = argument(6, "adam");
  TorchNetwork network(spec, random_weights(spec), torch::kCPU, bf16, 0.1, std::stoi(argument(7, "0")));
  Optimizer optimizer = make_optimizer(network, options);
  const std::vector<Head> net_heads = heads(spec);
  const auto objects = random_objects(batch, size, classes);
  const torch::Tensor images = torch::rand({batch, 3, size, size});

  static constexpr std::array<const char*, 6> kParts{"forward", "loss", "backward", "norm", "update", "step"};
  std::array<std::vector<double>, 6> times;
  for (int step = 0; step < steps + 2; ++step) {
    std::array<std::chrono::steady_clock::time_point, 6> at;
    const auto now = [] { return std::chrono::steady_clock::now(); };
    at[0] = now();
    const auto maps = network.forward(images, true);
    at[1] = now();
    const torch::Tensor total = yolo_loss(maps, net_heads, objects, assign(objects, net_heads), {}).parts.total();
    at[2] = now();
    total.backward();
    at[3] = now();
    optimizer.gradient_norm();
    at[4] = now();
    optimizer.step(1e-5);
    optimizer.clear_gradients();
    at[5] = now();
    if (step < 2) continue;
    for (size_t part = 0; part < 5; ++part) {
      times[part].push_back(std::chrono::duration<double, std::milli>(at[part + 1] - at[part]).count());
    }
    times[5].push_back(std::chrono::duration<double, std::milli>(at[5] - at[0]).count());
  }
  std::printf("%s, %d threads, batch %d, %dx%d, %s\n", cpu_model_name().c_str(), available_cpus(), batch, size, size,
              bf16 ? "bf16" : "f32");
  for (size_t part = 0; part < 6; ++part) {
    std::sort(times[part].begin(), times[part].end());
    std::printf("%-9s %8.1f ms\n", kParts[part], times[part][times[part].size() / 2]);
  }
}
