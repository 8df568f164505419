#include "engine/engine.h"

#include <omp.h>

#include "base/error.h"
#include "base/text.h"
#include "base/usage.h"
#include "engine/checked_engine.h"
#include "engine/dnnl_engine.h"
#include "engine/reference.h"
#include "engine/torch_engine.h"
#include "image/letterbox.h"

namespace yolov3 {

std::vector<RawMap> Engine::forward_pictures(std::span<const Image> pictures) {
  check(!pictures.empty(), "an engine was given no pictures");
  const int width = pictures[0].width, height = pictures[0].height;
  Tensor images({static_cast<int64_t>(pictures.size()), 3, height, width});
  for (size_t i = 0; i < pictures.size(); ++i) {
    check(pictures[i].width == width && pictures[i].height == height,
          "pictures of one batch have one size: {}x{} after {}x{}", pictures[i].width, pictures[i].height, width,
          height);
    planes_from_image(pictures[i], images.data() + static_cast<int64_t>(i) * 3 * height * width);
  }
  kept_ = forward(images);
  return views_of(kept_);
}

std::vector<Tensor> Engine::forward_observed(const Tensor&, const LayerObserver&) {
  fail("the {} engine does not show the maps of its layers", name());
}

std::vector<StepTime> Engine::profile(std::span<const Image>) { fail("the {} engine does not time its steps", name()); }

std::unique_ptr<Engine> Engine::share() const { fail("the {} engine cannot be shared between threads", name()); }

std::vector<std::string> available_engines() {
  if (have_torch()) return {"reference", "dnnl", "torch", "checked"};
  return {"reference", "dnnl", "checked"};
}

std::unique_ptr<Engine> make_engine(const EngineOptions& options, const NetworkSpec& spec,
                                    std::shared_ptr<const Weights> weights) {
  check(weights != nullptr, "an engine was given no weights");
  check_weights(spec, *weights);
  const std::string kind = options.kind != "auto" ? options.kind : options.device == "cpu" ? "dnnl" : "torch";
  if (kind == "dnnl") return make_dnnl_engine(options, spec, std::move(weights));
  if (kind == "checked") {
    std::unique_ptr<Engine> fast = make_dnnl_engine(options, spec, weights);
    return make_checked_engine(std::move(fast), make_reference_engine(spec, weights),
                               precision_tolerance(options.precision, conv_layers(spec).size()));
  }
  if (kind == "torch") return make_torch_engine(options, spec, std::move(weights));
  check_usage(kind == "reference", "--engine {}: this build has {}", options.kind,
              fmt::format("auto, {}", fmt::join(available_engines(), ", ")));
  check_usage(options.device == "cpu", "--device {}: the reference engine runs on the CPU only{}", options.device,
              have_torch() ? "; use --engine torch" : ", and this build has no LibTorch");
  check_usage(options.precision == "f32" || options.precision == "auto",
              "--precision {}: the reference engine computes in f32 only", options.precision);
  if (options.threads > 0) omp_set_num_threads(options.threads);
  return make_reference_engine(spec, std::move(weights));
}

}  // namespace yolov3
