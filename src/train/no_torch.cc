// Stands in for the trainer where LibTorch was left out of the build.
#include "base/error.h"
#include "train/trainer.h"

namespace yolov3 {

TrainResult train(const TrainOptions&, const std::string&, const std::function<void(int64_t)>&) {
  throw Error(
      "this program was built without LibTorch (-DYOLOV3_TORCH=OFF, the deploy preset) and cannot train; "
      "build the release preset");
}

}  // namespace yolov3
