#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "engine/dnnl_conv.h"
#include "engine/dnnl_train_builder.h"
#include "engine/gradient_ops.h"
#include "engine/map_passes.h"

namespace yolov3 {
// --- Forward ----------------------------------------------------------------------------------------------------------

void TrainProgramBuilder::forward_conv(int layer, const Conv& conv) {
  const int shortcut = lowering_.shortcut_of[static_cast<size_t>(layer)];
  ConvRecord& record = convs_[layer];
  record.source = record.read = input_of(layer, 0);
  if (map_at(record.source).format.type != format_.type) {
    record.read = add_map(format_, map_at(record.source).shape);
    add_step(p_.forward_, layer, "conversion", {record.source, record.read},
             [this_ = &p_, record] { compute_map(this_->view(record.source), nullptr, {}, this_->view(record.read)); });
  }
  record.out = map_of(layer);
  if (shortcut >= 0) record.residual = input_of(shortcut, layer_at(shortcut).inputs[0] == layer ? 1 : 0);
  const bool bare = !conv.batch_normalize && conv.activation == Activation::linear && shortcut < 0;
  record.z = bare ? record.out : add_map(format_, layer_at(layer).out);
  record.solution = solve_train_conv(model_.engine(), task_of(layer, conv, record));
  p_.substitutes_.insert(p_.substitutes_.end(), record.solution.substitutes.begin(), record.solution.substitutes.end());
  add_forward_primitive(layer, conv, record);
  if (bare) return;
  record.statistics = std::make_shared<BatchStatistics>();
  const auto channels = static_cast<size_t>(conv.filters);
  record.statistics->affine = {std::vector<float>(channels, 0.0f), std::vector<float>(channels, 1.0f),
                               std::vector<float>(channels, 0.0f)};
  if (conv.batch_normalize) add_statistics(layer, record);
  add_normalize(layer, conv, record);
}

TrainConvTask TrainProgramBuilder::task_of(int layer, const Conv& conv, const ConvRecord& record) const {
  TrainConvTask task{layer, conv, input_shape(spec_, static_cast<size_t>(layer)), layer_at(layer).out, p_.images_};
  task.source = map_at(record.read).format;
  task.target = map_at(record.z).format;
  task.gradient = format_;
  task.passes = passes_of_.at(layer);
  task.weights = layer >= model_.options().frozen_layers;
  task.data = wants_gradient(record.source);
  return task;
}

void TrainProgramBuilder::add_forward_primitive(int layer, const Conv& conv, const ConvRecord& record) {
  const auto& d = record.solution.forward;
  const std::shared_ptr<TrainKernel> kernel = model_.kernel(layer, d.weights_desc());
  add_refresh(p_.forward_, layer, kernel);
  const Argument source = argument(record.read, d.src_desc()), target = argument(record.z, d.dst_desc());
  convert_in(p_.forward_, layer, source);
  std::unordered_map<int, dnnl::memory> arguments{
      {DNNL_ARG_SRC, source.memory}, {DNNL_ARG_DST, target.memory}, {DNNL_ARG_WEIGHTS, kernel->packed}};
  if (!conv.batch_normalize) {
    arguments[DNNL_ARG_BIAS] = dnnl::memory(d.bias_desc(), model_.engine(), model_.value(layer, ParamKind::bias));
  }
  add_primitive(p_.forward_, layer, "convolution", dnnl::convolution_forward(d), d, std::move(arguments),
                {record.read, record.z}, {source.buffer, target.buffer});
  convert_out(p_.forward_, layer, target);
}

// The affine map of this batch, and the running statistics' step towards it; or, frozen, that of the running ones.
void TrainProgramBuilder::add_statistics(int layer, const ConvRecord& record) {
  const bool frozen = layer < model_.options().frozen_layers;
  const auto run = [this_ = &p_, model = &model_, layer, frozen, z = record.z, statistics = record.statistics] {
    const MapView map = this_->view(z);
    const auto channels = static_cast<size_t>(map.shape.channels);
    std::vector<double> sums(2 * channels + 1);
    const std::span<double> sum = std::span(sums).first(channels),
                            squares = std::span(sums).subspan(channels, channels);
    float* running_mean = model->value(layer, ParamKind::running_mean);
    float* running_var = model->value(layer, ParamKind::running_var);
    if (!frozen) {
      sum_channels(map, sum, squares);
      sums.back() = static_cast<double>(map.images * map.pixels());
      if (model->options().sum_over_ranks) model->options().sum_over_ranks(sums);
      statistics->count = sums.back();
    }
    const float* gamma = model->value(layer, ParamKind::gamma);
    const float* beta = model->value(layer, ParamKind::bias);
    const double count = statistics->count, momentum = model->options().bn_momentum;
    statistics->inverse_deviation.resize(channels);
    for (size_t c = 0; c < channels; ++c) {
      const double mean = frozen ? running_mean[c] : sum[c] / count;
      const double variance = frozen ? running_var[c] : std::max(0.0, squares[c] / count - mean * mean);
      const double inverse = 1.0 / std::sqrt(variance + static_cast<double>(model->spec().bn_epsilon));
      statistics->inverse_deviation[c] = inverse;
      statistics->affine.mean[c] = static_cast<float>(mean);
      statistics->affine.scale[c] = static_cast<float>(inverse * static_cast<double>(gamma[c]));
      statistics->affine.shift[c] = beta[c];
      if (frozen || count <= 1) continue;  // one number has no variance: it must not enter the running one
      const double unbiased = variance * count / (count - 1);
      running_mean[c] = static_cast<float>((1 - momentum) * static_cast<double>(running_mean[c]) + momentum * mean);
      running_var[c] = static_cast<float>((1 - momentum) * static_cast<double>(running_var[c]) + momentum * unbiased);
    }
  };
  add_step(p_.forward_, layer, "batch norm", {record.z}, run);
}

void TrainProgramBuilder::add_normalize(int layer, const Conv& conv, const ConvRecord& record) {
  std::vector<int> maps{record.z, record.out};
  if (record.residual >= 0) maps.push_back(record.residual);
  const char* kind = conv.batch_normalize ? "batch norm" : "activation";
  add_step(p_.forward_, layer, kind, maps, [this_ = &p_, record, activation = conv.activation] {
    const MapView residual = record.residual >= 0 ? this_->view(record.residual) : MapView{};
    normalize_map(this_->view(record.z), record.statistics->affine, activation,
                  record.residual >= 0 ? &residual : nullptr, this_->view(record.out));
  });
}

// --- Backward ---------------------------------------------------------------------------------------------------------

void TrainProgramBuilder::backward_conv(int layer, const Conv& conv) {
  if (layer < model_.options().frozen_layers) return;  // so is everything before it: nobody wants a gradient
  const ConvRecord& record = convs_.at(layer);
  const bool bare = record.z == record.out;
  const int dz = bare ? finish_gradient(layer, record.out) : add_normalize_gradient(layer, conv, record);
  add_kernel_gradient(layer, conv, record, dz);
  if (record.solution.data) add_data_gradient(layer, record, dz);
}

// Returns the map of dz.
int TrainProgramBuilder::add_normalize_gradient(int layer, const Conv& conv, const ConvRecord& record) {
  // The sums of a batch norm add a second gradient as they read.
  const int gradient = conv.batch_normalize ? gradient_of(record.out) : finish_gradient(layer, record.out);
  const auto slopes = std::make_shared<ChannelSlopes>();
  const auto channels = static_cast<size_t>(conv.filters);
  *slopes = {std::vector<float>(channels, 0.0f), std::vector<float>(channels, 0.0f)};
  if (conv.batch_normalize) add_sums(layer, conv, record, gradient, slopes);
  const bool shared = record.residual >= 0 && give_residual(layer, record.residual, gradient);
  const int dz = shared ? add_map(format_, map_at(record.z).shape) : gradient;
  add_step(p_.backward_, layer, conv.batch_normalize ? "batch norm gradient" : "activation gradient",
           {record.z, gradient, dz}, [this_ = &p_, record, slopes, gradient, dz, activation = conv.activation] {
             gradient_of_normalize(this_->view(record.z), record.statistics->affine, activation, this_->view(gradient),
                                   *slopes, this_->view(dz));
           });
  return dz;
}

// The sums over dy; gradients of gamma and beta; what dz has besides dy. A second gradient of the map is added on the
// way.
void TrainProgramBuilder::add_sums(int layer, const Conv& conv, const ConvRecord& record, int gradient,
                                   const std::shared_ptr<ChannelSlopes>& slopes) {
  const auto second = second_gradients_.find(record.out);
  const int more = second == second_gradients_.end() ? -1 : second->second;
  if (more >= 0) second_gradients_.erase(second);
  std::vector<int> maps{record.z, gradient};
  if (more >= 0) maps.push_back(more);
  const auto run = [this_ = &p_, model = &model_, layer, conv, record, slopes, gradient, more] {
    const auto channels = static_cast<size_t>(conv.filters);
    std::vector<double> sums(2 * channels);
    const std::span<double> dy = std::span(sums).first(channels), dy_centred = std::span(sums).last(channels);
    const MapView other = more >= 0 ? this_->view(more) : MapView{};
    const BatchStatistics& statistics = *record.statistics;
    sum_gradients(this_->view(record.z), statistics.affine, conv.activation, this_->view(gradient),
                  more >= 0 ? &other : nullptr, dy, dy_centred);
    float* dgamma = model->gradient(layer, ParamKind::gamma);
    float* dbeta = model->gradient(layer, ParamKind::bias);
    for (size_t c = 0; c < channels; ++c) {
      if (dgamma != nullptr) dgamma[c] = static_cast<float>(dy_centred[c] * statistics.inverse_deviation[c]);
      if (dbeta != nullptr) dbeta[c] = static_cast<float>(dy[c]);
    }
    for (const float* written : {dgamma, dbeta}) {
      if (written != nullptr) model->add_gradient_squares(square_sum_row(written, conv.filters));
    }
    if (model->options().sum_over_ranks) model->options().sum_over_ranks(sums);
    for (size_t c = 0; c < channels; ++c) {
      const double scale = -static_cast<double>(statistics.affine.scale[c]) / statistics.count;
      const double inverse = statistics.inverse_deviation[c];
      slopes->slope[c] = static_cast<float>(scale * inverse * inverse * dy_centred[c]);
      slopes->offset[c] = static_cast<float>(scale * dy[c]);
    }
  };
  add_step(p_.backward_, layer, "batch norm gradient", maps, run);
}

// The shortcut's other map gets the same gradient: true where it is now that map's own, so that it must stay.
bool TrainProgramBuilder::give_residual(int layer, int residual, int gradient) {
  if (!wants_gradient(residual)) return false;
  if (gradient_of(residual) < 0) {
    gradients_[residual] = gradient;
    return true;
  }
  give(layer, "shortcut gradient", residual, {gradient},
       [this_ = &p_, gradient](const MapView& to, Into into) { add_gradient(this_->view(gradient), to, into); });
  return false;
}

void TrainProgramBuilder::add_kernel_gradient(int layer, const Conv& conv, const ConvRecord& record, int dz) {
  const auto& d = record.solution.weights;
  const Argument source = argument(record.read, d.src_desc()), gradient = argument(dz, d.diff_dst_desc());
  convert_in(p_.backward_, layer, source);
  convert_in(p_.backward_, layer, gradient);
  const int buffer = add_buffer(static_cast<int64_t>(d.diff_weights_desc().get_size()) + 2 * kKernelMargin);
  const dnnl::memory kernel = place_memory(d.diff_weights_desc(), buffer, kKernelMargin);
  std::unordered_map<int, dnnl::memory> arguments{
      {DNNL_ARG_SRC, source.memory}, {DNNL_ARG_DIFF_DST, gradient.memory}, {DNNL_ARG_DIFF_WEIGHTS, kernel}};
  std::vector<int> buffers{source.buffer, gradient.buffer, buffer};
  dnnl::memory bias;
  if (!conv.batch_normalize) {
    const int bias_buffer = add_buffer(static_cast<int64_t>(d.diff_bias_desc().get_size()) + 2 * kKernelMargin);
    bias = place_memory(d.diff_bias_desc(), bias_buffer, kKernelMargin);
    arguments[DNNL_ARG_DIFF_BIAS] = bias;
    buffers.push_back(bias_buffer);
  }
  add_primitive(p_.backward_, layer, "kernel gradient", dnnl::convolution_backward_weights(d), d, std::move(arguments),
                {record.read, dz}, buffers);
  add_step(
      p_.backward_, layer, "kernel gradient conversion", {},
      [model = &model_, layer, conv, bias, convert = gradient_conversion(layer, conv, kernel)] {
        if (float* into = model->gradient(layer, ParamKind::kernel)) model->add_gradient_squares(convert(into));
        float* into_bias = conv.batch_normalize ? nullptr : model->gradient(layer, ParamKind::bias);
        if (into_bias != nullptr) {
          std::copy_n(static_cast<const float*>(bias.get_data_handle()), conv.filters, into_bias);
          model->add_gradient_squares(square_sum_row(into_bias, conv.filters));
        }
        if (model->options().gradients_ready) model->options().gradients_ready(layer);
      },
      buffers);
}

// Brings a kernel's gradient from the form that its primitive gives to O,H,W,I, and returns the sum of its squares.
std::function<double(float*)> TrainProgramBuilder::gradient_conversion(int layer, const Conv& conv,
                                                                       const dnnl::memory& kernel) {
  if (const std::optional<KernelForm> form = kernel_form(kernel.get_desc())) {
    if (form->inside == KernelForm::Inside::outputs) {
      return [kernel, form = *form](float* into) {
        return unpack_kernel(static_cast<const float*>(kernel.get_data_handle()), form, into);
      };
    }
  }
  dnnl::memory plain(ohwi_kernel(conv, input_shape(spec_, static_cast<size_t>(layer)).channels), model_.engine(),
                     nullptr);
  return [model = &model_, kernel = dnnl::memory(kernel), plain,
          reorder = dnnl::reorder(kernel, plain)](float* into) mutable {
    plain.set_data_handle(into);
    reorder.execute(model->stream(), kernel, plain);
    model->stream().wait();
    return square_sum_row(into, static_cast<int64_t>(plain.get_desc().get_size() / sizeof(float)));
  };
}

void TrainProgramBuilder::add_data_gradient(int layer, const ConvRecord& record, int dz) {
  const auto& d = record.solution.data;
  const std::shared_ptr<TrainKernel> kernel = model_.kernel(layer, d.weights_desc());
  add_refresh(p_.backward_, layer, kernel);
  const bool first = gradient_of(record.source) < 0;
  const int to = first ? fresh_gradient(record.source) : add_map(format_, map_at(record.source).shape);
  const Argument gradient = argument(dz, d.diff_dst_desc()), target = argument(to, d.diff_src_desc());
  convert_in(p_.backward_, layer, gradient);
  add_primitive(
      p_.backward_, layer, "data gradient", dnnl::convolution_backward_data(d), d,
      {{DNNL_ARG_DIFF_DST, gradient.memory}, {DNNL_ARG_WEIGHTS, kernel->packed}, {DNNL_ARG_DIFF_SRC, target.memory}},
      {dz, to}, {gradient.buffer, target.buffer});
  convert_out(p_.backward_, layer, target);
  if (first) return;
  // The pass that makes the source's dz can add one more map as it reads; any others are added now.
  finish_gradient(layer, record.source);
  second_gradients_[record.source] = to;
}

// --- Primitives and their memory --------------------------------------------------------------------------------------

dnnl::memory TrainProgramBuilder::place_memory(const dnnl::memory::desc& form, int buffer, int64_t margin) {
  dnnl::memory memory(form, model_.engine(), nullptr);
  p_.placed_.push_back({memory, buffer, margin});
  return memory;
}

TrainProgramBuilder::Argument TrainProgramBuilder::argument(int map, const dnnl::memory::desc& form) {
  const DnnlTrainProgram::Map& m = map_at(map);
  const dnnl::memory::desc own = describe_map(m.format, p_.images_, m.shape);
  Argument result{map, {}, place_memory(own, m.buffer), -1};
  if (own == form) {
    result.memory = result.map_memory;
    return result;
  }
  result.buffer = add_buffer(static_cast<int64_t>(form.get_size()));
  result.memory = place_memory(form, result.buffer);
  return result;
}

void TrainProgramBuilder::convert_in(std::vector<Step>& steps, int layer, const Argument& argument) {
  if (argument.buffer >= 0) add_convert(steps, layer, argument, argument.map_memory, argument.memory);
}

void TrainProgramBuilder::convert_out(std::vector<Step>& steps, int layer, const Argument& argument) {
  if (argument.buffer >= 0) add_convert(steps, layer, argument, argument.memory, argument.map_memory);
}

void TrainProgramBuilder::add_convert(std::vector<Step>& steps, int layer, const Argument& argument,
                                      const dnnl::memory& from, const dnnl::memory& to) {
  const dnnl::reorder reorder(from, to);
  add_step(steps, layer, "conversion", {argument.map},
           [model = &model_, reorder, from = dnnl::memory(from), to = dnnl::memory(to)]() mutable {
             reorder.execute(model->stream(), from, to);
             model->stream().wait();
           },
           {argument.buffer});
}

void TrainProgramBuilder::add_refresh(std::vector<Step>& steps, int layer, const std::shared_ptr<TrainKernel>& kernel) {
  add_step(steps, layer, "kernel packing", {}, [model = &model_, kernel] { model->refresh(*kernel); });
}

void TrainProgramBuilder::add_primitive(std::vector<Step>& steps, int layer, const char* kind,
                                        const dnnl::primitive& primitive, const dnnl::primitive_desc_base& description,
                                        std::unordered_map<int, dnnl::memory> arguments, std::vector<int> maps,
                                        std::vector<int> buffers) {
  const dnnl::memory::desc scratch = description.query_md(dnnl::query::scratchpad_md);
  if (scratch.get_size() > 0) {
    buffers.push_back(add_buffer(static_cast<int64_t>(scratch.get_size())));
    arguments[DNNL_ARG_SCRATCHPAD] = place_memory(scratch, buffers.back());
  }
  add_step(
      steps, layer, kind, std::move(maps),
      [model = &model_, primitive, arguments = std::move(arguments)] {
        primitive.execute(model->stream(), arguments);
        model->stream().wait();
      },
      std::move(buffers));
  StepTime& info = steps.back().info;
  info.algorithm = is_winograd(description) ? "winograd" : "direct";
  info.detail = implementation_name(description);
  info.gflop = static_cast<double>(p_.images_) * layer_flops(spec_, static_cast<size_t>(layer)) * 1e-9;
}

}  // namespace yolov3
