// For tests: a detector of one object a picture, as wide as the picture is bright, so that its answer shows which
// picture it saw. It does what a test tells it to do meanwhile.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.h"
#include "detect/detector.h"
#include "net/builder.h"

namespace yolov3 {

// One anchor of 16 x 16, one class, one cell of 32 x 32.
inline NetworkSpec small_spec() {
  NetworkBuilder net({3, 32, 32});
  net.conv(6, 3, 32, Activation::linear, false).yolo({{16, 16}}, {0}, 1);
  return net.build();
}

// What the engines of a test have in common. They run side by side.
struct EngineScript {
  std::function<void(int value)> on_picture;  // before the answer; may throw
  std::mutex mutex;
  std::vector<int64_t> batches;  // sizes
};

// Of a picture of 32 x 32 whose pixels are `value` (8 to 120): a sure object around its middle, value / 4 pixels wide.
class ValueEngine : public Engine {
 public:
  explicit ValueEngine(EngineScript& script) : script_(script) {}

  std::vector<Tensor> forward(const Tensor& images) override {
    {
      const std::lock_guard lock(script_.mutex);
      script_.batches.push_back(images.dim(0));
    }
    Tensor raw({images.dim(0), 6, 1, 1});
    for (int64_t n = 0; n < images.dim(0); ++n) {
      const int value = static_cast<int>(std::lround(images.at(n, 1, 16, 16) * 255));
      if (script_.on_picture) script_.on_picture(value);
      raw.at(n, 2, 0, 0) = std::log(static_cast<float>(value) / 64.0f);
      raw.at(n, 4, 0, 0) = raw.at(n, 5, 0, 0) = 9;
    }
    std::vector<Tensor> maps;
    maps.push_back(std::move(raw));
    return maps;
  }
  std::unique_ptr<Engine> share() const override { return std::make_unique<ValueEngine>(script_); }
  std::string name() const override { return "value"; }

 private:
  EngineScript& script_;
};

}  // namespace yolov3
