#include "engine/plan.h"
#include "engine/training_plan.h"
#include "fuzz.h"
#include "seed_models.h"

using namespace yolov3;

// Both kinds of plans, which stand in files of the user's and in the cache; what is accepted must come back the same.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const NetworkSpec spec = seed_model().spec;
  static const Quantization scales{std::vector<float>(spec.layers.size(), 0.5f), {0}};
  return fuzz(data, size, [](std::string_view bytes) {
    const std::string text(bytes);
    try {
      const TrainingPlan plan = parse_training_plan(text, spec);
      if (!(parse_training_plan(write_training_plan(plan), spec) == plan)) __builtin_trap();
    } catch (const Error&) {
    }
    const Plan plan = parse_plan(text, spec, &scales);
    if (!(parse_plan(write_plan(plan), spec, &scales) == plan)) __builtin_trap();
  });
}
