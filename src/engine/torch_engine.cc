#include "engine/torch_engine.h"

#include "base/cpu.h"
#include "base/usage.h"
#include "engine/torch_network.h"
#include "net/fold.h"

namespace yolov3 {
namespace {

class TorchEngine final : public Engine {
 public:
  TorchEngine(std::shared_ptr<TorchNetwork> network, std::string name)
      : network_(std::move(network)), name_(std::move(name)) {}

  std::vector<Tensor> forward(const Tensor& images) override { return forward_observed(images, nullptr); }

  std::vector<Tensor> forward_observed(const Tensor& images, const LayerObserver& observe) override {
    const torch::InferenceMode guard;
    const torch::Tensor view = torch::from_blob(const_cast<float*>(images.data()), images.shape(), torch::kFloat32);
    TorchNetwork::Observe show;
    if (observe) show = [&](int layer, const torch::Tensor& map) { observe(layer, tensor_from_torch(map)); };
    std::vector<Tensor> maps;
    for (const torch::Tensor& map : network_->forward(view, /*training=*/false, show)) {
      maps.push_back(tensor_from_torch(map));
    }
    return maps;
  }

  // Running a folded network changes nothing in it, so that threads may share it.
  std::unique_ptr<Engine> share() const override { return std::make_unique<TorchEngine>(network_, name_); }

  std::string name() const override { return name_; }

 private:
  std::shared_ptr<TorchNetwork> network_;
  std::string name_;
};

}  // namespace

std::unique_ptr<Engine> make_torch_engine(const EngineOptions& options, const NetworkSpec& spec,
                                          std::shared_ptr<const Weights> weights) {
  const torch::Device device = parse_device(options.device);
  check_usage(options.precision == "f32" || options.precision == "bf16" || options.precision == "auto",
              "--precision {}: the torch engine has f32 and bf16", options.precision);
  if (options.threads > 0) torch::set_num_threads(options.threads);
  const auto [folded_spec, folded_weights] = fold_batch_norm(spec, *weights);
  const bool bf16 =
      options.precision == "bf16" || (options.precision == "auto" && device.is_cpu() && cpu_features().avx512_bf16);
  return std::make_unique<TorchEngine>(std::make_shared<TorchNetwork>(folded_spec, folded_weights, device, bf16),
                                       "torch " + device.str() + (bf16 ? " bf16" : " f32"));
}

bool have_torch() { return true; }

std::string torch_description() {
  return fmt::format("LibTorch {}, devices: cpu{}", TORCH_VERSION,
                     torch::cuda::is_available() ? fmt::format(", {} x cuda", torch::cuda::device_count())
                                                 : std::string(" (built without usable CUDA)"));
}

}  // namespace yolov3
