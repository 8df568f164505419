// Stands in for torch_engine.cc where LibTorch was left out of the build.
#include "base/error.h"
#include "engine/torch_engine.h"

namespace yolov3 {

std::unique_ptr<Engine> make_torch_engine(const EngineOptions&, const NetworkSpec&, std::shared_ptr<const Weights>) {
  throw Error(
      "--engine torch: this program was built without LibTorch (-DYOLOV3_TORCH=OFF); use --engine reference or "
      "build the release preset");
}

bool have_torch() { return false; }

std::string torch_description() { return "none (built with -DYOLOV3_TORCH=OFF)"; }

}  // namespace yolov3
