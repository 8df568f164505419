#include "train/step.h"

#include <cmath>

#include "base/error.h"
#include "train/loss.h"

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
                 const TrainOptions& options)
    : network_(network), engine_(engine), optimizer_(optimizer), dataset_(dataset), options_(options) {}

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
  const std::vector<torch::Tensor> raw_maps =
      engine_ != nullptr ? engine_->forward(images) : network_.forward(images, /*training=*/true);
  const Targets targets = assign(objects, net_heads, options_.assign);
  const YoloLoss loss = yolo_loss(raw_maps, net_heads, objects, targets, options_.loss);

  const torch::Tensor total = loss.parts.total();
  const StepLosses losses{loss.parts.giou.item<double>(), loss.parts.conf.item<double>(),
                          loss.parts.prob.item<double>()};
  const bool loss_is_finite = std::isfinite(total.item<double>());
  if (loss_is_finite) total.backward();
  const double norm = loss_is_finite ? finish_gradients(batch.images.dim(0), update) : NAN;
  if (!std::isfinite(norm) || !network_.statistics_are_finite()) {
    network_.restore_statistics(statistics);
    const std::string reason =
        find_blame(network_, {batch, net_heads, objects, targets, raw_maps, loss_is_finite, dataset_});
    throw NonFinite(fmt::format("the loss or its gradient is not finite (giou {}, conf {}, prob {}): {}", losses.giou,
                                losses.conf, losses.prob, reason));
  }
  if (update) {
    update_parameters(lr, norm);
  } else {
    optimizer_.accumulate(batch.images.dim(0));
  }
  return losses;
}

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
  optimizer_.clear_gradients();
  optimizer_.forget_accumulated();
  return false;
}

// The norm of the batch's gradients; of an update's from several batches, once they are their mean, the mean's.
double Stepper::finish_gradients(int64_t pictures, bool update) {
  const double norm = engine_ != nullptr ? engine_->gradient_norm() : optimizer_.gradient_norm();
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
