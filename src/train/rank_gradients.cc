#include "train/rank_gradients.h"

#include <algorithm>

#include "engine/lowering.h"

namespace yolov3 {

GradientSums::GradientSums(Ranks& ranks, TorchNetwork& network, int64_t bucket_bytes)
    : ranks_(ranks), network_(network) {
  const std::vector<bool> needed = lower(network.spec()).needed;
  std::vector<size_t> slots;
  for (size_t i = 0; i < network.slots().size(); ++i) {
    const auto layer = static_cast<size_t>(network.slots()[i].layer);
    if (needed[layer] && network.params()[i].requires_grad()) slots.push_back(i);
  }
  std::ranges::stable_sort(slots, std::greater(), [&](size_t slot) { return network.slots()[slot].layer; });

  const auto numbers_of = [&](size_t slot) { return network.params()[slot].numel(); };
  for (size_t first = 0; first < slots.size();) {
    int64_t numbers = 0;
    size_t end = first;  // whole layers
    while (end < slots.size()) {
      const int layer = network.slots()[slots[end]].layer;
      if (numbers * int64_t{sizeof(float)} >= bucket_bytes && network.slots()[slots[end - 1]].layer != layer) break;
      numbers += numbers_of(slots[end++]);
    }
    const torch::Tensor flat = torch::zeros({numbers}, network.params()[slots[first]].options().requires_grad(false));
    int64_t at = 0;
    for (size_t i = first; i < end; ++i) {
      const torch::Tensor& param = network.params()[slots[i]];
      places_.push_back({slots[i], buckets_.size(),
                         flat.narrow(0, at, param.numel()).as_strided(param.sizes(), param.strides(), at)});
      at += param.numel();
    }
    buckets_.push_back({flat, network.slots()[slots[end - 1]].layer});
    first = end;
  }
}

void GradientSums::begin() {
  const torch::NoGradGuard no_grad;
  sent_ = 0;
  for (Bucket& bucket : buckets_) bucket.flat.zero_();
  for (Place& place : places_) network_.params()[place.slot].mutable_grad() = place.gradient;
}

// A picture that does not count has gradients where batch norm's sums are shared: those of the others' sums.
void GradientSums::send() {
  const torch::NoGradGuard no_grad;
  if (!counts_) buckets_[sent_].flat.zero_();
  ranks_.begin_sum(buckets_[sent_++].flat);
}

void GradientSums::ready(int layer) {
  while (sent_ < buckets_.size() && buckets_[sent_].last_layer >= layer) send();
}

void GradientSums::finish() {
  while (sent_ < buckets_.size()) send();
  ranks_.finish_sums();
}

}  // namespace yolov3
