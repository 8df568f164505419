#include "engine/dnnl_model.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "net/fold.h"

namespace yolov3 {
namespace {

dnnl::memory::dims kernel_dims(const Conv& conv, const Tensor& kernel) {
  if (conv.groups == 1) return {kernel.dim(0), kernel.dim(1), kernel.dim(2), kernel.dim(3)};
  return {conv.groups, kernel.dim(0) / conv.groups, kernel.dim(1), kernel.dim(2), kernel.dim(3)};
}

std::vector<float> scales_of(const Tensor& kernel) {
  std::vector<float> scales;
  const int64_t per_filter = kernel.size() / kernel.dim(0);
  for (int64_t f = 0; f < kernel.dim(0); ++f) {
    float greatest = 0;
    for (int64_t k = 0; k < per_filter; ++k) greatest = std::max(greatest, std::abs(kernel[f * per_filter + k]));
    scales.push_back(greatest > 0 ? greatest / 127 : 1.0f);
  }
  return scales;
}

}  // namespace

DnnlModel::DnnlModel(const NetworkSpec& spec, std::shared_ptr<const Weights> weights,
                     std::shared_ptr<const Quantization> quantization)
    : spec_(spec),
      weights_(std::move(weights)),
      quantization_(std::move(quantization)),
      engine_(dnnl::engine::kind::cpu, 0),
      first_slot_(spec.layers.size(), 0) {
  if (weights_ != nullptr) check_weights(spec_, *weights_);
  if (quantization_ != nullptr) check_quantization(spec_, *quantization_);
  const std::vector<ParamSlot> slots = param_slots(spec_);
  for (size_t i = slots.size(); i-- > 0;) first_slot_[static_cast<size_t>(slots[i].layer)] = i;
}

std::shared_ptr<const PackedConv> DnnlModel::packed(int layer, const dnnl::memory::desc& form, float source_scale) {
  const std::scoped_lock lock(mutex_);
  const auto [begin, end] = entries_.equal_range(layer);
  for (auto entry = begin; entry != end;) {
    const std::shared_ptr<const PackedConv> found = entry->second.packed.lock();
    if (found != nullptr && entry->second.form == form && entry->second.source_scale == source_scale) return found;
    entry = found == nullptr ? entries_.erase(entry) : std::next(entry);
  }
  auto made = std::make_shared<const PackedConv>(pack(layer, form, source_scale));
  entries_.emplace(layer, Entry{form, source_scale, made});
  return made;
}

int64_t DnnlModel::packed_bytes() {
  const std::scoped_lock lock(mutex_);
  int64_t bytes = 0;
  for (const auto& [layer, entry] : entries_) {
    if (!entry.packed.expired()) bytes += static_cast<int64_t>(entry.form.get_size());
  }
  return bytes;
}

std::vector<float> DnnlModel::filter_scales(int layer) {
  const std::scoped_lock lock(mutex_);
  std::vector<float>& scales = filter_scales_[layer];
  const Conv& conv = std::get<Conv>(spec_.layers[static_cast<size_t>(layer)].op);
  if (weights_ == nullptr) return std::vector<float>(static_cast<size_t>(conv.filters), 1.0f);
  if (scales.empty()) {
    scales = scales_of(
        fold_conv(conv, &weights_->tensors[first_slot_[static_cast<size_t>(layer)]], spec_.bn_epsilon).kernel);
  }
  return scales;
}

PackedConv DnnlModel::pack(int layer, const dnnl::memory::desc& form, float source_scale) {
  using dnnl::memory;
  if (weights_ == nullptr) return {{}, memory(form, engine_, nullptr), memory({}, engine_, nullptr)};
  const Conv& conv = std::get<Conv>(spec_.layers[static_cast<size_t>(layer)].op);
  FoldedConv folded = fold_conv(conv, &weights_->tensors[first_slot_[static_cast<size_t>(layer)]], spec_.bn_epsilon);
  PackedConv packed{Tensor({static_cast<int64_t>(form.get_size() + 3) / 4}), {}, {}};
  packed.kernel = memory(form, engine_, packed.storage.data());
  packed.bias = memory({{conv.filters}, memory::data_type::f32, memory::format_tag::x}, engine_);
  dnnl::primitive_attr attributes;
  if (form.data_type() == memory::data_type::s8) {
    const std::vector<float> scales = scales_of(folded.kernel);
    std::vector<float> inverse;
    for (const float scale : scales) inverse.push_back(1 / scale);
    // The filters are the first axis, or the first two where there are groups.
    attributes.set_output_scales(conv.groups == 1 ? 1 : 3, inverse);
    for (int64_t f = 0; f < folded.bias.size(); ++f) folded.bias[f] /= source_scale * scales[static_cast<size_t>(f)];
  }
  std::copy_n(folded.bias.data(), folded.bias.size(), static_cast<float*>(packed.bias.get_data_handle()));
  const memory::desc plain(kernel_dims(conv, folded.kernel), memory::data_type::f32,
                           conv.groups == 1 ? memory::format_tag::oihw : memory::format_tag::goihw);
  memory source(plain, engine_, folded.kernel.data());
  dnnl::stream stream(engine_);
  dnnl::reorder(dnnl::reorder::primitive_desc(source, packed.kernel, attributes))
      .execute(stream, source, packed.kernel);
  stream.wait();
  return packed;
}

}  // namespace yolov3
