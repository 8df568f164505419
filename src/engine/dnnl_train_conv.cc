#include "engine/dnnl_train_conv.h"

#include <algorithm>
#include <functional>
#include <string_view>

#include "base/error.h"
#include "engine/dnnl_conv.h"
#include "net/shape.h"

namespace yolov3 {
namespace {

using dnnl::algorithm;
using dnnl::memory;

struct Forms {
  memory::desc source, target;
};

memory::desc any_form(const LayerShape& shape, int64_t images, NumberType type) {
  return {{images, shape.channels, shape.height, shape.width}, data_type(type), memory::format_tag::any};
}

// As the maps lie, else as oneDNN likes best, else in blocks, which bf16 without AMX wants (with a first convolution's
// few channels in planes), else in planes, which its matrix products take for every shape.
std::vector<Forms> forms_of(const TrainConvTask& task, const MapFormat& source, const MapFormat& target) {
  const MapFormat source_planes{source.type, Layout::planes, 1}, target_planes{target.type, Layout::planes, 1};
  const MapFormat target_blocks{target.type, Layout::blocked16, 1};
  const MapFormat source_blocks = task.in.channels < 16 ? source_planes : MapFormat{source.type, Layout::blocked16, 1};
  return {
      {describe_map(source, task.images, task.in), describe_map(target, task.images, task.out)},
      {any_form(task.in, task.images, source.type), any_form(task.out, task.images, target.type)},
      {describe_map(source_blocks, task.images, task.in), describe_map(target_blocks, task.images, task.out)},
      {describe_map(source_planes, task.images, task.in), describe_map(target_planes, task.images, task.out)},
  };
}

std::string_view implementation(const dnnl::primitive_desc_base& primitive) {
  const char* name = nullptr;
  const dnnl_status_t status = dnnl_primitive_desc_query(primitive.get(), dnnl_query_impl_info_str, 0, &name);
  return status == dnnl_success && name != nullptr ? name : "";
}

dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

algorithm algorithm_of(ConvAlgorithm wanted) {
  return wanted == ConvAlgorithm::winograd ? algorithm::convolution_winograd : algorithm::convolution_direct;
}

// What `make` builds, or nothing where oneDNN has nothing but its reference.
template <class Primitive>
Primitive attempt(const std::function<Primitive()>& make) {
  try {
    Primitive found = make();
    if (found && implementation(found).find("ref") == std::string_view::npos) return found;
  } catch (const dnnl::error& error) {
    if (error.status != dnnl_unimplemented && error.status != dnnl_invalid_arguments) throw;
  }
  return {};
}

class Solver {
 public:
  Solver(const dnnl::engine& engine, const TrainConvTask& task)
      : engine_(engine),
        task_(task),
        strides_{task.conv.stride, task.conv.stride},
        padding_{task.conv.padding, task.conv.padding} {}

  TrainConvSolution solve() {
    solution_.forward = find<dnnl::convolution_forward::primitive_desc>(
        "forward", task_.passes.forward, task_.source, task_.target,
        [&](algorithm how, const Forms& forms) { return forward(how, forms); });
    if (task_.data) {
      solution_.data = find<dnnl::convolution_backward_data::primitive_desc>(
          "data gradient", task_.passes.data, task_.gradient, task_.gradient,
          [&](algorithm how, const Forms& forms) { return data(how, forms); });
    }
    if (task_.weights) {
      solution_.weights = find<dnnl::convolution_backward_weights::primitive_desc>(
          "kernel gradient", task_.passes.weights, task_.source, task_.gradient,
          [&](algorithm how, const Forms& forms) {
            using Primitive = dnnl::convolution_backward_weights::primitive_desc;
            const Primitive found = weights(how, forms);
            return found && is_wrong_kernel_gradient(found, forms) ? Primitive() : found;
          });
    }
    return std::move(solution_);
  }

 private:
  template <class Primitive>
  Primitive find(const char* pass, ConvAlgorithm wanted, const MapFormat& source, const MapFormat& target,
                 const std::function<Primitive(algorithm, const Forms&)>& make) {
    std::vector<ConvAlgorithm> algorithms{wanted};
    if (wanted == ConvAlgorithm::winograd) algorithms.push_back(ConvAlgorithm::direct);
    for (const ConvAlgorithm how : algorithms) {
      for (const Forms& forms : forms_of(task_, source, target)) {
        Primitive found = attempt<Primitive>([&] { return make(algorithm_of(how), forms); });
        if (!found) continue;
        if (how != wanted) note(pass);
        return found;
      }
    }
    fail(
        "layer {} (convolution {}x{} stride {}, groups {}, {} -> {}): oneDNN has no {} primitive for it in {}; use "
        "--engine torch",
        task_.layer, task_.conv.size, task_.conv.size, task_.conv.stride, task_.conv.groups, to_string(task_.in),
        to_string(task_.out), pass, to_string(task_.gradient.type));
  }

  void note(const char* pass) {
    solution_.substitutes.push_back(
        fmt::format("layer {} (convolution {}x{}, {} -> {}), {}: direct instead of Winograd", task_.layer,
                    task_.conv.size, task_.conv.size, to_string(task_.in), to_string(task_.out), pass));
  }

  // oneDNN 2.6.3: on AMX wrong numbers; of a strided 1x1 convolution of channels-last maps a scratchpad too small for what
  // it writes there.
  bool is_wrong_kernel_gradient(const dnnl::convolution_backward_weights::primitive_desc& found,
                                const Forms& forms) const {
    const std::string_view name = implementation(found);
    if (name.find("amx") != std::string_view::npos) return amx_kernel_gradient_is_wrong(task_.out.width);
    const bool blocked = forms.source.data.format_desc.blocking.inner_nblks > 0;
    return !blocked && task_.conv.stride > 1 && name.starts_with("jit_1x1");
  }

  memory::desc kernel(NumberType type) const {
    return {kernel_dims(task_.conv, task_.in.channels), data_type(type), memory::format_tag::any};
  }
  memory::desc bias() const {
    if (task_.conv.batch_normalize) return {};
    return {{task_.conv.filters}, memory::data_type::f32, memory::format_tag::x};
  }

  dnnl::convolution_forward::primitive_desc forward(algorithm how, const Forms& forms) const {
    return {{dnnl::prop_kind::forward_training, how, forms.source, kernel(task_.source.type), bias(), forms.target,
             strides_, padding_, padding_},
            user_scratchpad(),
            engine_,
            /*allow_empty=*/true};
  }

  dnnl::convolution_backward_data::primitive_desc data(algorithm how, const Forms& forms) const {
    const dnnl::convolution_forward::primitive_desc hint = forward(how, {forms.source, forms.target});
    if (!hint) return {};
    return {{how, forms.source, kernel(task_.gradient.type), forms.target, strides_, padding_, padding_},
            user_scratchpad(),
            engine_,
            hint,
            /*allow_empty=*/true};
  }

  dnnl::convolution_backward_weights::primitive_desc weights(algorithm how, const Forms& forms) const {
    const dnnl::convolution_forward::primitive_desc hint = forward(how, {forms.source, forms.target});
    if (!hint) return {};
    return {{how, forms.source, kernel(NumberType::f32), bias(), forms.target, strides_, padding_, padding_},
            user_scratchpad(),
            engine_,
            hint,
            /*allow_empty=*/true};
  }

  const dnnl::engine& engine_;
  const TrainConvTask& task_;
  memory::dims strides_, padding_;
  TrainConvSolution solution_;
};

}  // namespace

memory::desc ohwi_kernel(const Conv& conv, int64_t in_channels) {
  const int64_t per_group = in_channels / conv.groups, per_row = conv.size * per_group,
                per_filter = conv.size * per_row;
  memory::dims strides{per_filter, 1, per_row, per_group};
  if (conv.groups > 1) strides.insert(strides.begin(), conv.filters / conv.groups * per_filter);
  return {kernel_dims(conv, in_channels), memory::data_type::f32, strides};
}

std::optional<PairedForm> paired_form(const dnnl::memory::desc& form) {
  const dnnl_memory_desc_t& d = form.data;
  if (d.format_kind != dnnl_blocked || d.data_type != dnnl_bf16 || d.ndims != 4) return std::nullopt;
  const bool whole = std::equal(d.dims, d.dims + 4, d.padded_dims) && d.offset0 == 0 && d.extra.flags == 0;
  if (!whole || d.dims[0] % 16 != 0 || d.dims[1] % 16 != 0 || d.dims[2] != d.dims[3]) return std::nullopt;
  // Inside of a block, from the outermost: pairs of outputs (or one), inputs, the two outputs.
  const dnnl_blocking_desc_t& b = d.format_desc.blocking;
  const bool one_pair = b.inner_nblks == 2;
  const int at = one_pair ? 0 : 1;  // of the inputs
  if (b.inner_nblks != 2 && b.inner_nblks != 3) return std::nullopt;
  if ((!one_pair && b.inner_idxs[0] != 0) || b.inner_idxs[at] != 1 || b.inner_blks[at] % 4 != 0) return std::nullopt;
  if (b.inner_idxs[at + 1] != 0 || b.inner_blks[at + 1] != 2) return std::nullopt;
  return PairedForm{.outputs = d.dims[0],
                    .inputs = d.dims[1],
                    .size = d.dims[2],
                    .pairs_inside = one_pair ? 1 : b.inner_blks[0],
                    .inputs_inside = b.inner_blks[at],
                    .pair_stride = b.strides[0] / 2,
                    .input_stride = b.strides[1] / 2,
                    .y_stride = b.strides[2] / 2,
                    .x_stride = b.strides[3] / 2};
}

std::string implementation_name(const dnnl::primitive_desc_base& primitive) {
  return std::string(implementation(primitive));
}

bool is_winograd(const dnnl::primitive_desc_base& primitive) {
  return implementation(primitive).find("wino") != std::string_view::npos;
}

TrainConvSolution solve_train_conv(const dnnl::engine& engine, const TrainConvTask& task) {
  return Solver(engine, task).solve();
}

}  // namespace yolov3
