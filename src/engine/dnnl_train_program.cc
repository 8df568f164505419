#include "engine/dnnl_train_program.h"

#include <chrono>

#include "base/error.h"
#include "engine/map_passes.h"

namespace yolov3 {

DnnlTrainProgram::~DnnlTrainProgram() = default;

MapView DnnlTrainProgram::view(int index) const {
  const Map& map = maps_[static_cast<size_t>(index)];
  return make_view(at(map.buffer), map.format, images_, map.shape);
}

void DnnlTrainProgram::place(std::byte* arena) {
  arena_ = arena;
  for (Placed& placed : placed_) placed.memory.set_data_handle(at(placed.buffer) + placed.offset);
}

void DnnlTrainProgram::run(const std::vector<Step>& steps, std::vector<StepTime>* times) {
  for (const Step& step : steps) {
    if (times == nullptr) {
      step.run();
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    step.run();
    StepTime time = step.info;
    time.ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    times->push_back(std::move(time));
  }
}

void DnnlTrainProgram::forward(const float* images, uint64_t seed, std::vector<StepTime>* times) {
  seed_ = seed;
  planes_to_map(images, view(input_));
  run(forward_, times);
}

void DnnlTrainProgram::backward(const std::vector<const float*>& map_gradients, std::vector<StepTime>* times) {
  check(map_gradients.size() == outputs_.size(), "{} gradients for {} raw maps", map_gradients.size(), outputs_.size());
  map_gradients_ = map_gradients;
  run(backward_, times);
}

std::vector<RawMap> DnnlTrainProgram::outputs() const {
  std::vector<RawMap> maps;
  for (const int output : outputs_) {
    const MapView map = view(output);
    maps.push_back({reinterpret_cast<const float*>(map.data), images_, map.shape.channels, map.shape.height,
                    map.shape.width, map.image_stride, map.pixels(), 1});
  }
  return maps;
}

}  // namespace yolov3
