#include "engine/dnnl_train_model.h"

#include "base/error.h"
#include "engine/dnnl_train_conv.h"

namespace yolov3 {

DnnlTrainModel::DnnlTrainModel(const NetworkSpec& spec, std::vector<TrainingTensor> tensors,
                               const TrainingOptions& options)
    : spec_(spec),
      tensors_(std::move(tensors)),
      has_tensors_(!tensors_.empty()),
      options_(options),
      engine_(dnnl::engine::kind::cpu, 0),
      stream_(engine_) {
  const std::vector<ParamSlot> slots = param_slots(spec_);
  check(options.plan.convolutions.size() == conv_layers(spec).size(), "a plan of {} convolutions for a network of {}",
        options.plan.convolutions.size(), conv_layers(spec).size());
  check(!has_tensors_ || tensors_.size() == slots.size(), "a network of {} parameters was given {}", slots.size(),
        tensors_.size());
  tensors_.resize(slots.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    check(!has_tensors_ || tensors_[i].value != nullptr, "{}: no memory", slots[i].name);
    slot_of_[{slots[i].layer, slots[i].kind}] = i;
  }
}

const TrainingTensor& DnnlTrainModel::tensor(int layer, ParamKind kind) const {
  return tensors_[slot_of_.at({layer, kind})];
}

void DnnlTrainModel::set_gradients(const std::vector<float*>& gradients) {
  check(gradients.size() == tensors_.size(), "{} gradients for {} parameters", gradients.size(), tensors_.size());
  for (size_t i = 0; i < gradients.size(); ++i) tensors_[i].gradient = gradients[i];
  gradient_squares_ = 0;
}

std::shared_ptr<TrainKernel> DnnlTrainModel::kernel(int layer, const dnnl::memory::desc& form) {
  const auto [begin, end] = kernels_.equal_range(layer);
  for (auto entry = begin; entry != end;) {
    std::shared_ptr<TrainKernel> found = entry->second.lock();
    if (found != nullptr && found->packed.get_desc() == form) return found;
    entry = found == nullptr ? kernels_.erase(entry) : std::next(entry);
  }
  auto made = std::make_shared<TrainKernel>();
  const Conv& conv = std::get<Conv>(spec_.layers[static_cast<size_t>(layer)].op);
  const int64_t channels = input_shape(spec_, static_cast<size_t>(layer)).channels;
  if (has_tensors_) made->storage = Tensor({static_cast<int64_t>(form.get_size() + 3) / 4});
  made->plain = dnnl::memory(ohwi_kernel(conv, channels), engine_, value(layer, ParamKind::kernel));
  made->packed = dnnl::memory(form, engine_, made->storage.data());
  made->frozen = layer < options_.frozen_layers;
  made->form = kernel_form(form);
  if (!made->form) made->reorder = dnnl::reorder(made->plain, made->packed);
  kernels_.emplace(layer, made);
  return made;
}

bool DnnlTrainModel::refresh(TrainKernel& kernel) {
  if (kernel.version == version_ || (kernel.frozen && kernel.version >= 0)) return false;
  if (kernel.form) {
    pack_kernel(static_cast<const float*>(kernel.plain.get_data_handle()), *kernel.form,
                kernel.packed.get_data_handle());
  } else {
    kernel.reorder.execute(stream_, kernel.plain, kernel.packed);
    stream_.wait();
  }
  kernel.version = version_;
  return true;
}

int64_t DnnlTrainModel::packed_bytes() const {
  int64_t bytes = 0;
  for (const auto& [layer, entry] : kernels_) {
    if (!entry.expired()) bytes += static_cast<int64_t>(entry.lock()->packed.get_desc().get_size());
  }
  return bytes;
}

}  // namespace yolov3
