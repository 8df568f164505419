#include "train/engine_network.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/usage.h"
#include "engine/training_tune.h"
#include "train/memory_plan.h"
#include "train/setup.h"

namespace yolov3 {
namespace {

// LibTorch's channels_last kernels are O,H,W,I in memory, as the engine wants them.
std::vector<TrainingTensor> tensors_of(TorchNetwork& network) {
  check_usage(network.device().is_cpu(), "--engine dnnl trains on the CPU; use --engine torch on other devices");
  std::vector<TrainingTensor> tensors;
  for (torch::Tensor& param : network.params()) {
    const auto format = param.dim() == 4 ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::Contiguous;
    TORCH_INTERNAL_ASSERT(param.is_contiguous(format) && param.scalar_type() == torch::kFloat32);
    tensors.push_back({param.data_ptr<float>(), nullptr});
  }
  return tensors;
}

TrainingOptions engine_options(const TrainingPlan& plan, const NetworkSpec& spec, const TrainOptions& options) {
  TrainingOptions engine;
  engine.plan = plan;
  engine.threads = options.threads;
  engine.bn_momentum = options.bn_momentum;
  engine.frozen_layers = frozen_layers(options, spec);
  return engine;
}

torch::Tensor view_of(const RawMap& map) {
  return torch::from_blob(const_cast<float*>(map.data), {map.images, map.channels, map.height, map.width},
                          {map.image_stride, map.channel_stride, map.width * map.cell_stride, map.cell_stride},
                          torch::kFloat32);
}

}  // namespace

struct EngineNetwork::Function : torch::autograd::Function<Function> {
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, const torch::Tensor& anchor,
                                                EngineNetwork* network, const torch::Tensor& images, int64_t seed) {
    static_cast<void>(anchor);
    context->saved_data["network"] = reinterpret_cast<int64_t>(network);
    torch::autograd::variable_list maps;
    for (const RawMap& map : network->engine_.forward(images.data_ptr<float>(), images.size(0), images.size(2),
                                                      images.size(3), static_cast<uint64_t>(seed))) {
      maps.push_back(view_of(map));
    }
    return maps;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list map_gradients) {
    reinterpret_cast<EngineNetwork*>(context->saved_data["network"].toInt())->backward(map_gradients);
    return {torch::Tensor(), torch::Tensor(), torch::Tensor(), torch::Tensor()};
  }
};

EngineNetwork::EngineNetwork(TorchNetwork& network, TrainingOptions options, GradientSums* sums)
    : network_(network),
      sums_(sums),
      engine_(network.spec(), tensors_of(network), std::move(options)),
      anchor_(torch::zeros({1}, torch::requires_grad())) {}

std::vector<torch::Tensor> EngineNetwork::forward(const torch::Tensor& images) {
  const int64_t stride = max_stride(network_.spec());
  check(images.dim() == 4 && images.size(0) > 0 && images.size(1) == network_.spec().input.channels &&
            images.size(2) > 0 && images.size(3) > 0 && images.size(2) % stride == 0 && images.size(3) % stride == 0,
        "the network takes images N,{},H,W with H and W multiples of {}, not {}", network_.spec().input.channels,
        stride, to_string(images.sizes().vec()));
  const int64_t seed = torch::randint(std::numeric_limits<int64_t>::max(), {1}, torch::kInt64).item<int64_t>();
  return Function::apply(anchor_, this, images.to(torch::kFloat32).contiguous(), seed);
}

void EngineNetwork::backward(const std::vector<torch::Tensor>& map_gradients) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> planes;
  std::vector<const float*> pointers;
  for (const torch::Tensor& gradient : map_gradients) {
    planes.push_back(gradient.to(torch::kFloat32).contiguous());
    pointers.push_back(planes.back().data_ptr<float>());
  }
  gradient_squares_ = engine_.backward(pointers, gradients());
}

std::vector<float*> EngineNetwork::gradients() {
  std::vector<float*> into;
  if (sums_ != nullptr) sums_->begin();
  for (size_t i = 0; i < network_.params().size(); ++i) {
    torch::Tensor& param = network_.params()[i];
    const bool wanted = param.requires_grad() && engine_.has_gradient(i);
    if (wanted && !param.grad().defined()) param.mutable_grad() = torch::empty_like(param);
    into.push_back(wanted ? param.grad().data_ptr<float>() : nullptr);
  }
  return into;
}

std::vector<StepTime> EngineNetwork::profile(const torch::Tensor& images) {
  const torch::Tensor planes = images.to(torch::kFloat32).contiguous();
  return engine_.profile(planes.data_ptr<float>(), planes.size(0), planes.size(2), planes.size(3), gradients());
}

namespace {

TrainingPlan given_plan(const std::string& text, const NetworkSpec& spec) {
  try {
    return parse_training_plan(text, spec);
  } catch (const Error& error) {
    fail_usage("--{}; --training-plan \"\" lets this CPU choose one", error.what());
  }
}

}  // namespace

std::optional<TrainingPlan> choose_plan(const TrainOptions& options, const NetworkSpec& spec,
                                        const std::string& resumed) {
  const bool by_torch = options.engine == "torch" || options.device != "cpu";
  check_usage(
      !by_torch || options.training_plan.empty(),
      "--training-plan: LibTorch trains by none; --training-plan \"\" drops it, or leave out --engine {} --device "
      "{}",
      options.engine, options.device);
  check_usage(!by_torch || !options.tune,
              "--tune: LibTorch has nothing to measure; leave it out, or --engine {} --device {}", options.engine,
              options.device);
  if (by_torch || (is_trained_by_torch(resumed) && options.engine == "auto")) {
    if (!resumed.empty() && !is_trained_by_torch(resumed)) {
      log_warning("the run was trained by oneDNN's engine and goes on with LibTorch: not bit for bit as it would have");
    }
    return std::nullopt;
  }
  check_usage(!is_trained_by_torch(resumed),
              "--engine dnnl: the run was trained by LibTorch; resume it with --engine torch");
  const std::string& given = options.training_plan;
  const auto fitting = [&](const TrainingPlan& plan) {
    check_usage(options.precision == "auto" || options.precision == to_string(plan.type),
                "--precision {}: the {} computes in {}; leave --precision out", options.precision,
                resumed.empty() ? "training plan" : "run to go on with", to_string(plan.type));
    return plan;
  };
  if (!resumed.empty()) {
    check_usage(given.empty() || given == resumed,
                "--training-plan: the run was trained by another plan; resume it without");
    return fitting(parse_training_plan(resumed, spec));
  }
  if (!given.empty()) return fitting(given_plan(given, spec));
  return choose_training_plan(spec, options.batch, options.precision, options.threads, options.tune);
}

std::string plan_text(const std::optional<TrainingPlan>& plan, bool bf16) {
  return plan ? write_training_plan(*plan) : bf16 ? "torch bf16" : "torch f32";
}

bool is_trained_by_torch(const std::string& text) { return text == "torch" || text.starts_with("torch "); }

bool torch_in_bf16(const TrainOptions& options, const std::string& resumed) {
  if (resumed != "torch bf16" && resumed != "torch f32") return use_bf16(options);
  const std::string type = resumed.substr(6);
  check_usage(options.precision == "auto" || options.precision == type,
              "--precision {}: the run to go on with computes in {}; leave --precision out", options.precision, type);
  return type == "bf16";
}

namespace {

int64_t largest_map(const NetworkSpec& spec) {
  int64_t largest = spec.input.size();
  for (const auto& layer : spec.layers) largest = std::max(largest, layer.out.size());
  return largest;
}

}  // namespace

void check_training_plan(const TrainingPlan& plan, const NetworkSpec& spec, const TrainOptions& options,
                         int64_t pictures) {
  const TrainingOptions engine = engine_options(plan, spec, options);
  const auto check_size = [&](const std::string& option, const NetworkSpec& sized, int64_t batch) {
    if (batch == 0) return;
    // The largest map alone; what is far beyond any memory would be beyond oneDNN's arithmetic too.
    const double least =
        static_cast<double>(batch) * static_cast<double>(largest_map(sized)) * static_cast<double>(size_of(plan.type));
    const auto all = static_cast<double>(machine_memory());
    check(least <= all,
          "{}, a batch of {}: it takes more than {} for the maps of one layer, and this machine has {}; use a smaller "
          "--batch (--nominal-batch keeps the updates as they are) or size",
          option, batch, human_bytes(least), human_bytes(all));
    TrainingMemory memory;
    try {
      memory = training_memory(sized, batch, engine);
    } catch (const Error& error) {
      fail("{}, a batch of {}: {}", option, batch, error.what());
    }
    const auto maps = static_cast<double>(memory.maps), kernels = static_cast<double>(memory.kernels);
    const auto rest = static_cast<double>(copies_of_parameters(options) * count_params(spec).all) * sizeof(float);
    check(maps + kernels + rest <= all,
          "{}, a batch of {}: it takes {} for maps and their gradients, {} for copies of the kernels and {} for "
          "parameters and what the optimizer keeps of them, and this machine has {}; use a smaller --batch "
          "(--nominal-batch keeps the updates as they are) or size",
          option, batch, human_bytes(maps), human_bytes(kernels), human_bytes(rest), human_bytes(all));
  };
  const auto check_batches = [&](const std::string& option, int width, int height) {
    const NetworkSpec sized = with_input_size(spec, width, height);
    if (pictures >= options.batch) check_size(option, sized, options.batch);
    check_size(option, sized, pictures % options.batch);
  };
  for (const int size : options.multi_scale) check_batches(fmt::format("--multi-scale {}", size), size, size);
  if (options.multi_scale.empty()) {
    check_batches(fmt::format("--imgsz {}x{}", options.width, options.height), options.width, options.height);
  }
}

std::unique_ptr<EngineNetwork> make_engine_network(TorchNetwork& network, const std::optional<TrainingPlan>& plan,
                                                   const TrainOptions& options, GradientSums* sums) {
  if (!plan) return nullptr;
  TrainingOptions engine = engine_options(*plan, network.spec(), options);
  if (sums == nullptr) return std::make_unique<EngineNetwork>(network, std::move(engine));
  engine.gradients_ready = [sums](int layer) { sums->ready(layer); };
  if (options.sync_bn) {
    engine.sum_over_ranks = [sums](std::span<double> numbers) {
      if (!sums->counts()) std::ranges::fill(numbers, 0.0);
      sums->ranks().sum(numbers);
    };
  }
  return std::make_unique<EngineNetwork>(network, std::move(engine), sums);
}

}  // namespace yolov3
