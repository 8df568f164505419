#include "engine/engine.h"

#include <omp.h>

#include "base/error.h"
#include "base/text.h"
#include "engine/reference.h"
#include "engine/torch_engine.h"

namespace yolov3 {

std::vector<std::string> available_engines() {
  if (have_torch()) return {"reference", "torch"};
  return {"reference"};
}

std::unique_ptr<Engine> make_engine(const EngineOptions& options, const NetworkSpec& spec,
                                    std::shared_ptr<const Weights> weights) {
  check_weights(spec, *weights);
  const std::string kind = options.kind != "auto" ? options.kind : have_torch() ? "torch" : "reference";
  if (kind == "torch") return make_torch_engine(options, spec, std::move(weights));
  check(kind == "reference", "--engine {}: this build has {}", options.kind,
        fmt::format("auto, {}", fmt::join(available_engines(), ", ")));
  check(options.device == "cpu", "--device {}: the reference engine runs on the CPU only{}", options.device,
        have_torch() ? "; use --engine torch" : ", and this build has no LibTorch");
  check(options.precision == "f32" || options.precision == "auto",
        "--precision {}: the reference engine computes in f32 only", options.precision);
  if (options.threads > 0) omp_set_num_threads(options.threads);
  return make_reference_engine(spec, std::move(weights));
}

}  // namespace yolov3
