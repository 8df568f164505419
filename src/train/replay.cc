#include "train/replay.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "base/cpu.h"
#include "base/error.h"
#include "base/usage.h"
#include "engine/reference.h"
#include "train/finite.h"
#include "train/forensics.h"
#include "train/loss.h"
#include "train/parameters.h"
#include "train/setup.h"
#include "train/step.h"

namespace yolov3 {
namespace {

constexpr double kMostFlopsInDouble =
    2e10;                               // of a forward pass: LibTorch's float64 convolutions do some GFLOP a second
constexpr size_t kShown = 5;            // of the largest of anything
constexpr double kDivergedLogit = 1e4;  // a trained network's are below 100: exp(89) is no float32

struct Side {
  NetworkSpec spec;  // at the batch's size
  std::vector<Head> heads;
  std::vector<std::vector<Annotation>> objects;
  Targets targets;
  torch::Tensor images;
};

Side side_of(const ReplayCase& step, const TrainOptions& options) {
  Side side;
  const Tensor& images = step.batch.images;
  side.spec = with_input_size(step.model.spec, images.dim(3), images.dim(2));
  side.heads = heads(side.spec);
  side.objects = training_objects(step.batch.objects_net);
  side.targets = assign(side.objects, side.heads, options.assign);
  side.images = torch::from_blob(const_cast<float*>(images.data()), images.shape(), torch::kFloat32);
  return side;
}

Dataset dataset_of(const ReplayCase& step) {
  Dataset dataset{.names = step.model.names};
  for (size_t i = 0; i < step.pictures.size(); ++i) {
    dataset.examples.push_back({.image = step.pictures[i], .origin = step.origins[i]});
  }
  return dataset;
}

std::string losses_text(const LossParts& parts) {
  return fmt::format("giou {:.6g}, conf {:.6g}, prob {:.6g}", parts.giou.item<double>(), parts.conf.item<double>(),
                     parts.prob.item<double>());
}

// --- As trained

void restore_sums(const ReplayCase& step, const TorchNetwork& network, Optimizer& optimizer) {
  const torch::NoGradGuard no_grad;
  optimizer.resume_at(step.step, step.accumulated);
  for (OptimizerParam& param : optimizer.params()) {
    const auto found = step.sums.find(network.slots()[param.slot].name);
    if (found != step.sums.end() && param.sum.defined()) param.sum.copy_(torch_from_tensor(found->second));
  }
}

std::string run_as_trained(const ReplayCase& step, const TrainOptions& options, ReplayReport& report) {
  std::optional<TrainingPlan> plan;
  bool bf16 = false;
  try {
    plan = choose_plan(options, step.model.spec, step.plan);
    bf16 = plan ? plan->type == NumberType::bf16 : torch_in_bf16(options, step.plan);
  } catch (const Error& error) {
    return fmt::format("As trained: cannot be run here: {}\n", error.what());
  }
  report.bf16 = bf16;
  report.by_torch = !plan;
  TorchNetwork network(step.model.spec, step.model.weights, torch::kCPU, bf16, options.bn_momentum,
                       frozen_layers(options, step.model.spec));
  Optimizer optimizer = make_optimizer(network, options);
  restore_sums(step, network, optimizer);
  const std::unique_ptr<EngineNetwork> engine = make_engine_network(network, plan, options);
  const Dataset dataset = dataset_of(step);
  Stepper stepper(network, engine.get(), optimizer, dataset, options);
  torch::manual_seed(static_cast<uint64_t>(step.draws));
  const std::string how = fmt::format("{} in {}", plan ? "oneDNN" : "LibTorch", bf16 ? "bf16" : "f32");
  try {
    const StepLosses losses = stepper.step(step.batch, step.lr, step.update);
    report.as_trained = true;
    return fmt::format("As trained ({}): finite here, giou {:.6g}, conf {:.6g}, prob {:.6g}\n", how, losses.giou,
                       losses.conf, losses.prob);
  } catch (const NonFinite& error) {
    report.as_trained = false;
    return fmt::format("As trained ({}): not finite\n  {}\n", how, error.what());
  }
}

// --- The reference engine

std::string run_reference(const ReplayCase& step, const TrainOptions& options, const Side& side, bool& finite) {
  const auto weights = std::make_shared<const Weights>(step.model.weights);
  const auto engine = make_reference_engine(
      side.spec, weights, {.batch_statistics = true, .frozen_layers = frozen_layers(options, side.spec)});
  LayerSearch search;
  std::vector<torch::Tensor> raw_maps;
  for (const Tensor& map : engine->forward_observed(step.batch.images, [&](int layer, const Tensor&map) {
         search.look(layer, torch::from_blob(const_cast<float*>(map.data()), map.shape(), torch::kFloat32));
       })) {
    raw_maps.push_back(torch_from_tensor(map));
  }
  const YoloLoss loss = yolo_loss(raw_maps, side.heads, side.objects, side.targets, options.loss);
  finite = std::isfinite(loss.parts.total().item<double>());
  return fmt::format("Reference engine in f32, forwards: {}\n  {}\n  {}\n", finite ? "finite" : "not finite",
                     describe(search.found(), side.spec, *weights), losses_text(loss.parts));
}

// --- LibTorch

std::string box_text(const Annotation& object, const Dataset& dataset) {
  return fmt::format("box {:.1f},{:.1f},{:.1f},{:.1f} of class {}", object.box.x0, object.box.y0, object.box.x1,
                     object.box.y1, dataset.names.at(static_cast<size_t>(object.class_id)));
}

// The boxes whose own part of the loss is largest, those that are not finite first.
std::string worst_boxes(const std::vector<torch::Tensor>& raw_maps, const Side& side, const TrainOptions& options,
                        const Dataset& dataset) {
  struct Share {
    double giou, prob;
    const Assignment* positive;
    double order() const { return std::isfinite(giou + prob) ? giou + prob : INFINITY; }
  };
  std::vector<Share> shares;
  const torch::NoGradGuard no_grad;
  for (const Assignment& positive : side.targets.positives) {
    Targets alone;
    alone.positives = {positive};
    alone.true_objects.assign(side.heads.size(), std::vector<std::vector<int>>(side.objects.size()));
    alone.ignore_objects = alone.true_objects;
    const LossParts parts = yolo_loss(raw_maps, side.heads, side.objects, alone, options.loss).parts;
    shares.push_back({parts.giou.item<double>(), parts.prob.item<double>(), &positive});
  }
  std::ranges::stable_sort(shares, [](const Share& a, const Share& b) { return a.order() > b.order(); });
  std::string text;
  for (const Share& share : std::span(shares).first(std::min(kShown, shares.size()))) {
    const Assignment& at = *share.positive;
    const auto image = static_cast<size_t>(at.image);
    text += fmt::format("  {}: {}, head {}, cell (gy {}, gx {}), anchor {}: giou {:.4g}, prob {:.4g}\n",
                        dataset.examples[image].image.string(),
                        box_text(side.objects[image][static_cast<size_t>(at.object)], dataset), at.head, at.gy, at.gx,
                        at.anchor, share.giou, share.prob);
  }
  return text;
}

std::string by_head(const YoloLoss& loss, const std::vector<Head>& heads) {
  std::string text;
  for (size_t h = 0; h < heads.size(); ++h) {
    const HeadLoss& head = loss.heads[h];
    text += fmt::format("  head {} (layer {}, stride {}): {}, {} positives\n", h, heads[h].layer, heads[h].stride_x,
                        losses_text(head.parts), head.positives);
  }
  return text;
}

// The largest gradients, those that are not finite first (in the order that they arise in: from the network's end).
std::string largest_gradients(TorchNetwork& network, bool& finite) {
  std::vector<std::pair<double, std::string>> norms;
  for (size_t i = network.params().size(); i-- > 0;) {
    const torch::Tensor gradient = network.params()[i].grad();
    if (!gradient.defined() || network.is_frozen(network.slots()[i])) continue;
    const double norm = gradient.norm().item<double>();
    finite = finite && std::isfinite(norm);
    norms.emplace_back(std::isfinite(norm) ? norm : INFINITY, network.slots()[i].name);
  }
  std::ranges::stable_sort(norms, [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string text;
  for (const auto& [norm, name] : std::span(norms).first(std::min(kShown, norms.size()))) {
    text += fmt::format("  {}: {}\n", name, std::isinf(norm) ? "not finite" : fmt::format("norm {:.4g}", norm));
  }
  return text;
}

std::string run_libtorch(const ReplayCase& step, const TrainOptions& options, const Side& side, bool in_double,
                         ReplayReport& report) {
  bool& finite = report.libtorch;
  TorchNetwork network(side.spec, step.model.weights, torch::kCPU, false, options.bn_momentum,
                       frozen_layers(options, side.spec));
  if (in_double) network.compute_in_double();
  const Dataset dataset = dataset_of(step);
  LayerSearch search;
  const std::vector<torch::Tensor> raw_maps = network.forward(
      side.images, /*training=*/true, [&](int layer, const torch::Tensor& map) { search.look(layer, map); });
  const YoloLoss loss = yolo_loss(raw_maps, side.heads, side.objects, side.targets, options.loss);
  const torch::Tensor total = loss.parts.total();
  finite = std::isfinite(total.item<double>());
  std::string gradients = "  none, the loss is not finite\n";
  if (finite) {
    total.backward();
    gradients = largest_gradients(network, finite);
  }
  const BadCell largest = find_largest_cell(raw_maps, side.heads), bad = find_bad_cell(raw_maps, side.heads);
  const BadCell& cell = bad.found ? bad : largest;
  report.largest_logit = bad.found ? 0 : std::abs(largest.value);
  return fmt::format(
      "LibTorch in {}: {}\n  {}\n  {}\n  {} logit: {}, {}\nLoss by head, without gains\n{}Boxes that cost most\n{}"
      "Gradients\n{}",
      in_double ? "float64" : "float32", finite ? "finite" : "not finite",
      describe(search.found(), side.spec, step.model.weights), losses_text(loss.parts),
      bad.found ? "first bad" : "largest", step.pictures[static_cast<size_t>(cell.image)], describe(cell, side.heads),
      by_head(loss, side.heads), worst_boxes(raw_maps, side, options, dataset), gradients);
}

// --- All together

std::string header(const ReplayCase& step) {
  const Tensor& images = step.batch.images;
  std::string text =
      fmt::format("Epoch {}, batch {}, after {} updates, rate {:.3g}: {} pictures at {}x{}\n", step.epoch + 1,
                  step.batch_in_epoch + 1, step.step, step.lr, images.dim(0), images.dim(3), images.dim(2));
  if (step.accumulated > 0) text += fmt::format("  gradients of {} pictures waited for it\n", step.accumulated);
  for (size_t i = 0; i < step.pictures.size(); ++i) {
    text += fmt::format("  {} ({}), {} boxes\n", step.pictures[i], step.origins[i], step.batch.objects_net[i].size());
  }
  return text + "What the run said\n  " + step.reason + "\n";
}

std::string verdict(const ReplayReport& report, bool in_double) {
  if (report.as_trained.value_or(false)) {
    return "The step is finite here. Another processor, thread count or dropout gave other bits: run replay where it\n"
           "happened.\n";
  }
  if (report.libtorch && report.reference) {
    if (!report.as_trained) return "The step is finite both ways that can be run here.\n";
    if (report.largest_logit > kDivergedLogit) {
      return fmt::format(
          "Logits of {:.2g} are those of a run that has diverged: begin again, or from an earlier checkpoint,\n"
          "with a lower --lr0, a longer --warmup-epochs or --clip-norm. --on-nan rollback goes back by itself,\n"
          "and halves the rate.\n",
          report.largest_logit);
    }
    if (report.bf16 || !report.by_torch) {
      return fmt::format(
          "Only the run's own arithmetic fails: numbers leave the range or the precision of its type or algorithm.\n"
          "Try {}.\n",
          report.bf16 ? "--precision f32" : "--engine torch");
    }
  }
  if (report.libtorch) {
    return fmt::format(
        "In {} the step is finite: numbers leave the range of float32 on the way. Weights so large are the end of a "
        "run\n"
        "that diverges: go back to a checkpoint, with a lower --lr0, a longer --warmup-epochs or --clip-norm.\n",
        in_double ? "float64" : "LibTorch");
  }
  return "No arithmetic makes this step finite. Where a parameter itself is not finite, the damage was done before; "
         "else\n"
         "look at the picture and the boxes named above, and at whether the run had diverged already.\n";
}

}  // namespace

ReplayReport replay_step(const ReplayCase& step, const TrainOptions& given, const std::string& precision) {
  check_usage(precision == "auto" || precision == "f32" || precision == "f64",
              "--precision {}: expected auto, f32 or f64", precision);
  TrainOptions options = given;
  options.device = "cpu";
  options.batch = static_cast<int>(step.batch.images.dim(0));
  options.training_plan.clear();  // the case has it
  options.tune = false;
  options.loss.class_weights = step.class_weights;
  if (is_trained_by_torch(step.plan)) options.engine = "torch";
  torch::set_num_threads(options.threads > 0 ? options.threads : available_cpus());
  const Side side = side_of(step, options);
  const double flops = network_flops(side.spec) * static_cast<double>(options.batch);
  const bool in_double = precision == "f64" || (precision == "auto" && flops <= kMostFlopsInDouble);
  ReplayReport report;
  report.text = header(step);
  report.text += "\n" + run_as_trained(step, options, report);
  report.text += "\n" + run_reference(step, options, side, report.reference);
  report.text += "\n" + run_libtorch(step, options, side, in_double, report);
  report.text += "\n" + verdict(report, in_double);
  return report;
}

}  // namespace yolov3
