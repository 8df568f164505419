#include "engine/dnnl_conv.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "net/leaky.h"
#include "net/shape.h"

namespace yolov3 {
namespace {

using dnnl::algorithm;
using dnnl::memory;

memory::format_tag format_tag(Layout layout) {
  switch (layout) {
    case Layout::planes: return memory::format_tag::nchw;
    case Layout::channels_last: return memory::format_tag::nhwc;
    case Layout::blocked8: return memory::format_tag::nChw8c;
    case Layout::blocked16: return memory::format_tag::nChw16c;
  }
  return memory::format_tag::undef;
}

bool is_int8(NumberType type) { return type == NumberType::s8 || type == NumberType::u8; }

// f(a * x) = a * f(x) for a > 0: a scale may be applied before or after.
bool is_homogeneous(Activation activation) {
  return activation == Activation::linear || activation == Activation::leaky || activation == Activation::relu;
}

void append_activation(dnnl::post_ops& operations, Activation activation, float scale) {
  switch (activation) {
    case Activation::linear: return;
    case Activation::leaky: return operations.append_eltwise(scale, algorithm::eltwise_relu, kLeakySlope, 0.0f);
    case Activation::relu: return operations.append_eltwise(scale, algorithm::eltwise_relu, 0.0f, 0.0f);
    case Activation::logistic: return operations.append_eltwise(scale, algorithm::eltwise_logistic, 0.0f, 0.0f);
    case Activation::mish: return operations.append_eltwise(scale, algorithm::eltwise_mish, 0.0f, 0.0f);
    case Activation::swish: return operations.append_eltwise(scale, algorithm::eltwise_swish, 1.0f, 0.0f);
  }
}

// One way to do the task.
struct Attempt {
  ConvChoice choice;
  MapFormat source, target;
  bool activation_inside;
  ConvSolution::Residual residual;
};

dnnl::primitive_attr attributes_of(DnnlModel& model, const ConvTask& task, const Attempt& attempt) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const float target_scale = attempt.target.scale;
  float activation_scale = 1;
  if (is_int8(attempt.source.type)) {
    const bool early = !attempt.activation_inside || is_homogeneous(task.conv.activation);
    std::vector<float> scales = model.filter_scales(task.layer);
    for (float& scale : scales) scale *= attempt.source.scale / (early ? target_scale : 1.0f);
    attributes.set_output_scales(2, scales);  // axis 1: the filters
    if (!early) activation_scale = 1 / target_scale;
  }
  dnnl::post_ops operations;
  if (attempt.activation_inside) append_activation(operations, task.conv.activation, activation_scale);
  if (attempt.residual == ConvSolution::Residual::sum_in_place) {
    operations.append_sum(task.residual->scale / target_scale);
  } else if (attempt.residual == ConvSolution::Residual::operand) {
    operations.append_binary(algorithm::binary_add, describe_map(*task.residual, task.images, task.out));
  }
  if (operations.len() > 0) attributes.set_post_ops(operations);
  return attributes;
}

using Primitive = dnnl::convolution_forward::primitive_desc;

bool is_reference(const Primitive& primitive) {
  return std::string_view(primitive.impl_info_str()).find("ref") != std::string_view::npos;
}

// Empty where oneDNN has nothing but its reference. kernel_form: undefined for whatever oneDNN likes best.
Primitive ask(DnnlModel& model, const ConvTask& task, const Attempt& attempt, const memory::desc& kernel_form) {
  const Conv& conv = task.conv;
  const memory::dims strides{conv.stride, conv.stride}, padding{conv.padding, conv.padding};
  try {
    const dnnl::convolution_forward::desc description(
        dnnl::prop_kind::forward_inference,
        attempt.choice.algorithm == ConvAlgorithm::winograd ? algorithm::convolution_winograd
                                                            : algorithm::convolution_direct,
        describe_map(attempt.source, task.images, task.in), kernel_form,
        memory::desc({conv.filters}, memory::data_type::f32, memory::format_tag::x),
        describe_map(attempt.target, task.images, task.out), strides, padding, padding);
    Primitive found(description, attributes_of(model, task, attempt), model.engine(), /*allow_empty=*/true);
    if (found && !is_reference(found)) return found;
  } catch (const dnnl::error& error) {
    if (error.status != dnnl_unimplemented && error.status != dnnl_invalid_arguments) throw;
  }
  return {};
}

// A kernel lies as the same code of oneDNN wants it for one picture of the network's own size, where it takes it so for
// this shape too. So programs for other batches and sizes share the packed kernels, and which of them came first changes
// nothing.
Primitive ask(DnnlModel& model, const ConvTask& task, const Attempt& attempt) {
  const memory::data_type type = is_int8(attempt.source.type) ? memory::data_type::s8 : data_type(attempt.source.type);
  const memory::desc any(kernel_dims(task.conv, task.in.channels), type, memory::format_tag::any);
  const Primitive best = ask(model, task, attempt, any);
  if (!best) return best;
  const auto layer = static_cast<size_t>(task.layer);
  ConvTask one_picture = task;
  one_picture.images = 1;
  one_picture.in = input_shape(model.spec(), layer);
  one_picture.out = model.spec().layers[layer].out;
  const Primitive first = ask(model, one_picture, attempt, any);
  if (!first || first.weights_desc() == best.weights_desc()) return best;
  const Primitive shared = ask(model, task, attempt, first.weights_desc());
  return shared && std::string_view(shared.impl_info_str()) == best.impl_info_str() ? shared : best;
}

// The ways from the one that leaves least to do to the one that leaves most, for one source and target.
std::vector<Attempt> ways(const ConvTask& task, const ConvChoice& choice, const MapFormat& source,
                          const MapFormat& target) {
  using Residual = ConvSolution::Residual;
  std::vector<Attempt> attempts;
  if (task.residual != nullptr && target == task.target) {
    const bool same_bytes = task.residual->type == target.type && task.residual->layout == target.layout;
    if (task.may_overwrite_residual && same_bytes) {  // scales may differ: oneDNN multiplies
      attempts.push_back({choice, source, target, true, Residual::sum_in_place});
    }
    // An operand is added as it is: a scale would be lost.
    if (!is_int8(target.type) && !is_int8(task.residual->type) && task.residual->layout == target.layout) {
      attempts.push_back({choice, source, target, true, Residual::operand});
    }
  }
  const Residual rest = task.residual != nullptr ? Residual::pass : Residual::none;
  // What is rounded before a pass is rounded twice: int8 waits in f32 for any pass, bf16 for an activation.
  if (rest == Residual::none || !is_int8(target.type)) attempts.push_back({choice, source, target, true, rest});
  if (target.type == NumberType::f32) attempts.push_back({choice, source, target, false, rest});
  return attempts;
}

}  // namespace

memory::data_type data_type(NumberType type) {
  switch (type) {
    case NumberType::f32: return memory::data_type::f32;
    case NumberType::bf16: return memory::data_type::bf16;
    case NumberType::s8: return memory::data_type::s8;
    case NumberType::u8: return memory::data_type::u8;
  }
  return memory::data_type::undef;
}

memory::dims kernel_dims(const Conv& conv, int64_t in_channels) {
  const int64_t per_group = in_channels / conv.groups;
  if (conv.groups == 1) return {conv.filters, per_group, conv.size, conv.size};
  return {conv.groups, conv.filters / conv.groups, per_group, conv.size, conv.size};
}

memory::desc describe_map(const MapFormat& format, int64_t images, const LayerShape& shape) {
  return {{images, shape.channels, shape.height, shape.width}, data_type(format.type), format_tag(format.layout)};
}

ConvSolution solve_conv(DnnlModel& model, const ConvTask& task, const ConvChoice& wanted, const Plan& plan) {
  // The wanted type, and f32 where that has no primitive for such a shape; the wanted layout first, then others.
  std::vector<ConvChoice> choices{wanted};
  if (wanted.algorithm == ConvAlgorithm::winograd) choices.push_back({wanted.type, ConvAlgorithm::direct});
  if (wanted.type != NumberType::f32) choices.push_back({NumberType::f32, ConvAlgorithm::direct});
  for (const ConvChoice& choice : choices) {
    std::vector<MapFormat> sources;
    const bool same_type =
        choice.type == task.source.type || (choice.type == NumberType::s8 && task.source.type == NumberType::u8);
    if (same_type) sources.push_back(task.source);
    for (const Layout layout : {plan.f32_layout, Layout::channels_last}) {
      MapFormat source = task.source;
      source.layout = layout;
      if (!same_type) source = {choice.type, layout, 1};
      sources.push_back(source);
    }
    for (const MapFormat& source : sources) {
      const Layout given = source.layout == Layout::planes ? plan.f32_layout : source.layout;
      for (const MapFormat& target :
           {task.target, MapFormat{task.target.type, given, task.target.scale}, MapFormat{NumberType::f32, given, 1}}) {
        for (const Attempt& attempt : ways(task, choice, source, target)) {
          if (auto found = ask(model, task, attempt)) {
            return {found, choice, source, target, attempt.activation_inside, attempt.residual};
          }
        }
      }
    }
  }
  fail(
      "layer {} (convolution {}x{} stride {}, groups {}, {} -> {}): oneDNN has no primitive for it; use --engine "
      "reference",
      task.layer, task.conv.size, task.conv.size, task.conv.stride, task.conv.groups, to_string(task.in),
      to_string(task.out));
}

}  // namespace yolov3
