// Stands in for the trainer where LibTorch was left out of the build.
#include "base/error.h"
#include "train/measure.h"
#include "train/replay.h"
#include "train/trainer.h"

namespace yolov3 {

namespace {

[[noreturn]] void refuse() {
  throw Error(
      "this program was built without LibTorch (-DYOLOV3_TORCH=OFF, the deploy preset) and cannot train; "
      "build the release preset");
}

}  // namespace

TrainResult train(const TrainOptions&, const std::string&, const std::function<void(int64_t)>&,
                  const std::function<void(const std::filesystem::path&)>&) {
  refuse();
}

TrainingMeasure measure_training(const NetworkSpec&, const TrainOptions&, int, int) { refuse(); }
StepParts median(const std::vector<StepParts>&) { refuse(); }
double median_total(const std::vector<StepParts>&) { refuse(); }

ReplayCase load_replay(const std::filesystem::path&) { refuse(); }
ReplayReport replay_step(const ReplayCase&, const TrainOptions&, const std::string&) { refuse(); }

}  // namespace yolov3
