#include "train/forensics.h"

#include <cmath>

#include "train/finite.h"

namespace yolov3 {
namespace {

torch::Tensor images_of(const Batch& batch) {
  return torch::from_blob(const_cast<float*>(batch.images.data()), batch.images.shape(), torch::kFloat32);
}

std::string picture(const StepEvidence& e, int64_t index) {
  const Example& example = e.dataset.examples[static_cast<size_t>(e.batch.examples[static_cast<size_t>(index)])];
  return fmt::format("image {} ({})", example.image.string(), example.origin);
}

std::string bad_pixel(const StepEvidence& e) {
  const torch::Tensor bad = images_of(e.batch).isfinite().logical_not().nonzero().contiguous();
  if (bad.size(0) == 0) return "";
  const int64_t* at = bad.data_ptr<int64_t>();
  return fmt::format("{}: its pixels are not finite, the first is channel {}, y {}, x {}", picture(e, at[0]), at[1],
                     at[2], at[3]);
}

// The box that the cell of picture `image` answers for.
std::string box_at(const StepEvidence& e, const BadCell& cell, int64_t image) {
  for (const Assignment& p : e.targets.positives) {
    if (p.image != image || p.head != cell.head || p.anchor != cell.anchor || p.gy != cell.gy || p.gx != cell.gx)
      continue;
    const Annotation& object = e.objects[static_cast<size_t>(p.image)][static_cast<size_t>(p.object)];
    return fmt::format("it answers for the box {:.1f},{:.1f},{:.1f},{:.1f} of class {} ({})", object.box.x0,
                       object.box.y0, object.box.x1, object.box.y1, object.class_id,
                       e.dataset.names.at(static_cast<size_t>(object.class_id)));
  }
  return "no box is there";
}

std::string place(const StepEvidence& e, const BadCell& cell, int64_t image) {
  return fmt::format("{}: {}, {}", picture(e, image), describe(cell, e.heads), box_at(e, cell, image));
}

std::string layer_text(TorchNetwork& network, const torch::Tensor& images, bool training) {
  return describe(find_bad_layer(network, images, training), network.spec(), network.weights());
}

// The first picture that is not finite by itself; "" when none is.
std::string bad_picture(TorchNetwork& network, const StepEvidence& e) {
  const torch::Tensor images = images_of(e.batch);
  int64_t first = -1, bad = 0;
  BadCell cell;
  for (int64_t n = 0; n < images.size(0); ++n) {
    const BadCell found = find_bad_cell(network.forward(images.narrow(0, n, 1), /*training=*/false), e.heads);
    if (!found.found) continue;
    if (bad++ == 0) first = n, cell = found;
  }
  if (bad == 0) return "";
  const std::string all = bad == images.size(0) && bad > 1 ? "; every picture of the batch gives the like" : "";
  return fmt::format("{}; {}{}", place(e, cell, first), layer_text(network, images.narrow(0, first, 1), false), all);
}

}  // namespace

void LayerSearch::look(int layer, const torch::Tensor& map) {
  if (found_.layer >= 0) return;
  const torch::Tensor values = map.detach();
  if (!values.isfinite().all().item<bool>()) {
    found_.layer = layer;
    return;
  }
  const double largest = values.abs().max().item<double>();
  if (found_.largest_layer >= 0 && largest <= found_.largest) return;
  found_.largest = largest;
  found_.largest_layer = layer;
}

BadLayer find_bad_layer(TorchNetwork& network, const torch::Tensor& images, bool training) {
  const torch::NoGradGuard no_grad;
  const std::vector<torch::Tensor> statistics = network.statistics();
  LayerSearch search;
  network.forward(images, training, [&](int layer, const torch::Tensor& map) { search.look(layer, map); });
  network.restore_statistics(statistics);
  return search.found();
}

std::string describe(const BadLayer& bad, const NetworkSpec& spec, const Weights& weights) {
  const std::string largest = fmt::format("{:.3g}, in layer {}", bad.largest, bad.largest_layer);
  if (bad.layer < 0) return fmt::format("all maps are finite, their largest number is {}", largest);
  const Layer& layer = spec.layers[static_cast<size_t>(bad.layer)];
  std::string text = fmt::format("the first map that is not finite is layer {}'s ({}", bad.layer, layer_kind(layer));
  if (const auto* conv = std::get_if<Conv>(&layer.op)) {
    text += fmt::format(", {} filters of {}x{}", conv->filters, conv->size, conv->size);
  }
  text += bad.largest_layer < 0 ? ")" : fmt::format("), the largest number before it is {}", largest);
  const std::vector<ParamSlot> slots = param_slots(spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].layer != bad.layer) continue;
    for (const float value : weights.tensors[i].values()) {
      if (std::isfinite(value)) continue;
      text += fmt::format(", and {} itself holds {}", slots[i].name, value);
      break;
    }
  }
  return text;
}

std::string find_blame(TorchNetwork& network, const StepEvidence& e) {
  const torch::NoGradGuard no_grad;
  if (const std::string pixel = bad_pixel(e); !pixel.empty()) return pixel;
  if (const std::string alone = bad_picture(network, e); !alone.empty()) return alone;
  BadCell cell = find_bad_cell(e.raw_maps, e.heads);
  if (cell.found) {
    return fmt::format("{}; {}, by the batch's statistics alone", place(e, cell, cell.image),
                       layer_text(network, images_of(e.batch), true));
  }
  cell = find_largest_cell(e.raw_maps, e.heads);
  const std::string largest = "the largest logit is in " + place(e, cell, cell.image);
  if (!e.loss_is_finite) return "all logits are finite, the loss of them is not; " + largest;
  const std::string layer = find_bad_gradient(network.params(), network.slots());
  return layer.empty() ? "all gradients are finite, their norm or the statistics are not; " + largest
                       : fmt::format("the gradient of {}; {}", layer, largest);
}

}  // namespace yolov3
