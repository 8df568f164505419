#include "train/step.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "train/loss.h"
#include "train/ranks.h"

namespace yolov3 {
namespace {

torch::Tensor images_of(const Batch& batch) {
  return torch::from_blob(const_cast<float*>(batch.images.data()), batch.images.shape(), torch::kFloat32);
}

}  // namespace

std::vector<std::vector<Annotation>> training_objects(std::vector<std::vector<Annotation>> objects_net) {
  for (auto& list : objects_net) std::erase_if(list, [](const Annotation& object) { return object.crowd; });
  return objects_net;
}

Stepper::Stepper(TorchNetwork& network, EngineNetwork* engine, Optimizer& optimizer, const Dataset& dataset,
                 const TrainOptions& options, GradientSums* sums)
    : network_(network), engine_(engine), optimizer_(optimizer), dataset_(dataset), options_(options), sums_(sums) {}

StepLosses Stepper::step(const Batch& batch, double lr, bool update) {
  const std::vector<torch::Tensor> statistics = network_.statistics();
  try {
    return run(batch, lr, update, statistics);
  } catch (...) {
    network_.restore_statistics(statistics);
    optimizer_.clear_gradients();
    throw;
  }
}

StepLosses Stepper::run(const Batch& batch, double lr, bool update, const std::vector<torch::Tensor>& statistics) {
  const std::vector<Head>& net_heads = heads_of(batch);
  const auto objects = training_objects(batch.objects_net);
  const torch::Tensor images = images_of(batch);
  if (sums_ != nullptr) sums_->count(batch.counts);
  const std::vector<torch::Tensor> raw_maps =
      engine_ != nullptr ? engine_->forward(images) : network_.forward(images, /*training=*/true);
  const Targets targets = assign(objects, net_heads, options_.assign);
  const YoloLoss loss =
      yolo_loss(raw_maps, net_heads, objects, targets, options_.loss, counts_of(batch, targets, net_heads.size()));

  const torch::Tensor total = batch.counts ? loss.parts.total() : loss.parts.total() * 0;
  StepLosses losses{loss.parts.giou.item<double>(), loss.parts.conf.item<double>(), loss.parts.prob.item<double>()};
  if (!batch.counts) losses = {};
  const bool mine_is_finite = std::isfinite(total.item<double>());
  const bool loss_is_finite = share_losses(losses, mine_is_finite);
  bool blameless = mine_is_finite;
  double norm = NAN;
  if (loss_is_finite) {
    if (engine_ == nullptr && sums_ != nullptr) sums_->begin();
    total.backward();
    add_statistics(batch);  // not before: LibTorch's backward pass has them
    if (sums_ != nullptr) {
      blameless = std::isfinite(engine_ != nullptr ? engine_->gradient_norm() : optimizer_.gradient_norm());
      sums_->finish();
    }
    norm = finish_gradients(pictures_of_all(batch), update);
  }
  if (!std::isfinite(norm) || !network_.statistics_are_finite()) {
    network_.restore_statistics(statistics);
    const std::string blame =
        sums_ != nullptr && blameless
            ? ""
            : find_blame(network_, {batch, net_heads, objects, targets, raw_maps, loss_is_finite, dataset_});
    throw NonFinite(fmt::format("the loss or its gradient is not finite (giou {}, conf {}, prob {}): {}", losses.giou,
                                losses.conf, losses.prob, all_reasons(blame)));
  }
  if (update) {
    update_parameters(lr, norm);
  } else {
    optimizer_.accumulate(pictures_of_all(batch));
  }
  return losses;
}

// --- With other ranks -------------------------------------------------------------------------------------------------

// Of the whole batch. Pictures are known; positives have to be asked for, where the loss wants to know.
LossCounts Stepper::counts_of(const Batch& batch, const Targets& targets, size_t heads) const {
  LossCounts counts = loss_counts(pictures_of_all(batch), targets, heads);
  if (sums_ == nullptr || options_.loss.norm == LossNorm::batch) return counts;
  std::vector<double> positives(counts.positives.begin(), counts.positives.end());
  if (!batch.counts) std::ranges::fill(positives, 0.0);
  sums_->ranks().sum(positives);
  for (size_t h = 0; h < heads; ++h) counts.positives[h] = static_cast<int64_t>(positives[h]);
  return counts;
}

// The losses become those of the whole batch. Whether all ranks' are finite.
bool Stepper::share_losses(StepLosses& losses, bool finite) const {
  if (sums_ == nullptr) return finite;
  double numbers[] = {losses.giou, losses.conf, losses.prob, finite ? 0.0 : 1.0};
  sums_->ranks().sum(numbers);
  losses = {numbers[0], numbers[1], numbers[2]};
  return numbers[3] == 0;
}

// Running statistics are, on every rank, the mean of the ranks' by their pictures: what the mean of the ranks' batches
// would have given. Where batch norm's sums are added up already they are the same on all.
void Stepper::add_statistics(const Batch& batch) const {
  if (sums_ == nullptr || options_.sync_bn) return;
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> running, flat;
  for (size_t i = 0; i < network_.slots().size(); ++i) {
    const ParamSlot& slot = network_.slots()[i];
    if (!slot.trainable && !network_.is_frozen(slot)) running.push_back(network_.params()[i]);
  }
  if (running.empty()) return;
  for (const torch::Tensor& numbers : running) flat.push_back(numbers.detach().reshape({-1}));
  const double share = batch.counts ? static_cast<double>(batch.examples.size()) : 0.0;
  torch::Tensor all = torch::cat(flat).to(torch::kCPU, torch::kFloat64);
  all = batch.counts ? all * (share / static_cast<double>(pictures_of_all(batch))) : torch::zeros_like(all);
  sums_->ranks().sum(all);
  int64_t at = 0;
  for (torch::Tensor& numbers : running) {
    numbers.copy_(all.narrow(0, at, numbers.numel()));
    at += numbers.numel();
  }
}

// What the ranks say that know why the step is not finite. Shared statistics make all of them know one.
std::string Stepper::all_reasons(const std::string& mine) const {
  if (sums_ == nullptr) return mine;
  const std::vector<std::string> reasons = sums_->ranks().texts(mine, "a step that is not finite");
  std::string text;
  for (size_t rank = 0; rank < reasons.size(); ++rank) {
    if (reasons[rank].empty()) continue;
    text += fmt::format("{}rank {}: {}", text.empty() ? "" : "\n", rank, reasons[rank]);
  }
  return text.empty() ? "in the sum over the ranks" : text;
}

// --- The update -------------------------------------------------------------------------------------------------------

void Stepper::update_parameters(double lr, double norm) {
  const bool clip = options_.clip_norm > 0 && norm > options_.clip_norm;
  optimizer_.step(lr, clip ? options_.clip_norm / norm : 1.0);
  optimizer_.clear_gradients();
  if (engine_ != nullptr) engine_->parameters_changed();
}

bool Stepper::finish_update(double lr) {
  if (optimizer_.accumulated() == 0) return false;
  optimizer_.average_gradients(0);
  const double norm = optimizer_.gradient_norm();
  if (std::isfinite(norm)) {
    update_parameters(lr, norm);
    return true;
  }
  log_warning("the mean of the gradients that waited is not finite: their batches make no update");
  optimizer_.clear_gradients();
  optimizer_.forget_accumulated();
  return false;
}

// The norm of the batch's gradients; of an update's from several batches, once they are their mean, the mean's.
double Stepper::finish_gradients(int64_t pictures, bool update) {
  const bool known = engine_ != nullptr && sums_ == nullptr;
  const double norm = known ? engine_->gradient_norm() : optimizer_.gradient_norm();
  if (!update || optimizer_.accumulated() == 0 || !std::isfinite(norm)) return norm;
  optimizer_.average_gradients(pictures);
  return optimizer_.gradient_norm();
}

const std::vector<Head>& Stepper::heads_of(const Batch& batch) {
  const int64_t width = batch.images.dim(3), height = batch.images.dim(2);
  auto& known = heads_of_size_[{width, height}];
  if (known.empty()) known = heads(with_input_size(network_.spec(), width, height));
  return known;
}

}  // namespace yolov3
