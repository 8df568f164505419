// Makes a DnnlProgram: maps to buffers, layers to steps, buffers to places in the arena.
#include <algorithm>
#include <map>
#include <optional>

#include "base/error.h"
#include "engine/dnnl_program_parts.h"
#include "net/shape.h"

namespace yolov3 {

class ProgramBuilder {
  using Map = DnnlProgram::Map;
  using Step = DnnlProgram::Step;

 public:
  ProgramBuilder(DnnlProgram& program, const Plan& plan)
      : p_(program),
        spec_(program.spec_),
        plan_(plan),
        lowering_(lower(program.spec_)),
        formats_(choose_formats(program.spec_, lowering_, plan, program.model_->quantization())),
        map_of_layer_(program.spec_.layers.size(), -1) {
    const std::vector<int> convs = conv_layers(spec_);
    for (size_t i = 0; i < convs.size(); ++i) choice_of_[convs[i]] = plan_.convolutions[i];
  }

  void build() {
    p_.input_ = add_map(formats_.input, spec_.input);
    place_joined_maps();
    for (size_t i = 0; i < spec_.layers.size(); ++i) add_layer(static_cast<int>(i));
    for (const Head& head : heads(spec_)) add_output(head.layer);
    place_everything();
  }

 private:
  const Layer& layer_at(int layer) const { return spec_.layers[static_cast<size_t>(layer)]; }
  Map& map_at(int map) { return p_.maps_[static_cast<size_t>(map)]; }

  // --- Maps -------------------------------------------------------------------------------------------------------

  int add_map(const MapFormat& format, const LayerShape& shape) {
    p_.buffers_.push_back({stored_bytes(format, p_.images_, shape), kUnused, -1});
    p_.maps_.push_back({format, shape, static_cast<int>(p_.buffers_.size()) - 1, 0, shape});
    return static_cast<int>(p_.maps_.size()) - 1;
  }

  // The map of layer `layer`, made at its first mention.
  int map_of(int layer) {
    if (layer == kNetworkInput) return p_.input_;
    int& map = map_of_layer_[static_cast<size_t>(layer)];
    if (map < 0) map = add_map(formats_.maps[static_cast<size_t>(layer)], layer_at(layer).out);
    return map;
  }

  // That map as `format`; converted once and kept.
  int map_as(int layer, const MapFormat& format) {
    const int map = map_of(layer);
    if (map_at(map).format == format && is_dense(map)) return map;
    const auto key = std::pair(layer, std::tuple(format.type, format.layout, format.scale));
    if (const auto found = converted_.find(key); found != converted_.end()) return found->second;
    const int copy = add_map(format, map_at(map).shape);
    Step step{Step::Kind::compute, std::max(layer, 0)};
    step.in = map;
    step.out = copy;
    add_step(std::move(step), "conversion", format.type);
    return converted_[key] = copy;
  }

  bool is_dense(int map) {
    const Map& m = map_at(map);
    return m.whole == m.shape || (p_.images_ == 1 && block_of(m.format.layout) > 1);
  }

  // --- Joining without a copy ---------------------------------------------------------------------------------------

  // Inputs of a concatenation that can be written into its map at once get their place there.
  void place_joined_maps() {
    for (size_t i = 0; i < spec_.layers.size(); ++i) {
      const Layer& layer = spec_.layers[i];
      const auto* route = std::get_if<Route>(&layer.op);
      if (route == nullptr || !lowering_.needed[i] || layer.inputs.size() < 2 || route->groups > 1) continue;
      const int joined = map_of(static_cast<int>(i));
      int64_t first = 0;
      for (size_t which = 0; which < layer.inputs.size(); ++which) {
        const int source = input_map(spec_, lowering_, static_cast<int>(i), which);
        const int64_t channels = layer_at(layer.inputs[which]).out.channels;
        if (may_lie_in(source, joined, first, first + channels == layer.out.channels)) {
          map_of_layer_[static_cast<size_t>(source)] = add_slice(joined, first, layer_at(source).out);
        }
        first += channels;
      }
    }
  }

  bool may_lie_in(int source, int joined, int64_t first, bool is_last) {
    if (source == kNetworkInput || map_of_layer_[static_cast<size_t>(source)] >= 0) return false;
    const MapFormat& format = map_at(joined).format;
    if (formats_.maps[static_cast<size_t>(source)] != format) return false;
    const int64_t block = block_of(format.layout), channels = layer_at(source).out.channels;
    if (first % block != 0 || (channels % block != 0 && !is_last)) return false;
    if (block > 1 && p_.images_ == 1) return true;  // a slice is as dense as a map of its own
    // Only passes write and read slices; convolutions want dense maps.
    const auto is_conv = [&](int layer) { return std::holds_alternative<Conv>(layer_at(layer).op); };
    return !is_conv(source) && !made_by_convolution(source) &&
           std::ranges::none_of(lowering_.readers[static_cast<size_t>(source)], is_conv);
  }

  bool made_by_convolution(int layer) const {
    return std::ranges::find(lowering_.shortcut_of, layer) != lowering_.shortcut_of.end();
  }

  int add_slice(int joined, int64_t first, const LayerShape& shape) {
    Map slice = map_at(joined);
    slice.first_channel += first;
    slice.shape = shape;
    p_.maps_.push_back(slice);
    return static_cast<int>(p_.maps_.size()) - 1;
  }

  // --- Steps --------------------------------------------------------------------------------------------------------

  void add_step(Step step, const std::string& kind, NumberType type) {
    step.info.layer = step.layer;
    step.info.kind = kind;
    step.info.type = to_string(type);
    p_.steps_.push_back(std::move(step));
  }

  void add_pass(Step::Kind kind, int layer, int in, int second, const std::string& name, RowMath math = {}) {
    Step step{kind, layer};
    step.in = in;
    step.second = second;
    step.out = map_of(layer);
    step.math = math;
    add_step(std::move(step), name, map_at(step.out).format.type);
  }

  void add_layer(int layer) {
    if (!lowering_.needed[static_cast<size_t>(layer)]) return;
    const auto input = [&](size_t which) { return map_of(input_map(spec_, lowering_, layer, which)); };
    const auto& op = layer_at(layer).op;
    if (std::holds_alternative<Conv>(op)) {
      add_convolution(layer);
      return finish(lowering_.map_of[static_cast<size_t>(layer)]);
    }
    if (lowering_.map_of[static_cast<size_t>(layer)] != layer || made_by_convolution(layer)) return;
    if (const auto* shortcut = std::get_if<Shortcut>(&op)) {
      add_pass(Step::Kind::compute, layer, input(0), input(1), "shortcut", {shortcut->activation, true});
    } else if (const auto* route = std::get_if<Route>(&op)) {
      add_route(layer, *route);
    } else if (std::holds_alternative<Upsample>(op)) {
      add_pass(Step::Kind::upsample, layer, input(0), -1, "upsample");
    } else if (std::holds_alternative<MaxPool>(op)) {
      add_pass(Step::Kind::max_pool, layer, input(0), -1, "maxpool");
    } else if (std::holds_alternative<AvgPool>(op)) {
      add_pass(Step::Kind::average, layer, input(0), -1, "avgpool");
    } else if (const auto* scale = std::get_if<ScaleChannels>(&op)) {
      add_pass(Step::Kind::scale, layer, input(0), input(1), "scale_channels", {scale->activation, false});
    }
    finish(layer);
  }

  // The map of `layer` is whole now. (A joined map may have been written by earlier steps alone.)
  void finish(int layer) {
    if (!p_.steps_.empty()) p_.steps_.back().finishes.emplace_back(layer, map_of(layer));
  }

  void add_route(int layer, const Route& route) {
    const int joined = map_of(layer);
    int64_t first = 0;
    for (size_t which = 0; which < layer_at(layer).inputs.size(); ++which) {
      const int source = map_of(input_map(spec_, lowering_, layer, which));
      const int64_t part = map_at(source).shape.channels / route.groups;
      const bool in_place = map_at(source).buffer == map_at(joined).buffer &&
                            map_at(source).first_channel == map_at(joined).first_channel + first;
      if (!in_place) {
        Step step{Step::Kind::copy, layer};
        step.in = source;
        step.out = joined;
        step.in_first = route.group_id * part;
        step.count = part;
        step.out_first = first;
        add_step(std::move(step), "concatenation", map_at(joined).format.type);
      }
      first += part;
    }
  }

  void add_convolution(int layer) {
    const int result = lowering_.shortcut_of[static_cast<size_t>(layer)] >= 0
                           ? lowering_.shortcut_of[static_cast<size_t>(layer)]
                           : layer;
    const int source = input_map(spec_, lowering_, layer, 0);
    const int residual = result == layer ? kNone : other_input(result, layer);
    const MapFormat source_format = map_at(map_of(source)).format;
    ConvTask task{layer,
                  std::get<Conv>(layer_at(layer).op),
                  input_shape(spec_, static_cast<size_t>(layer)),
                  layer_at(layer).out,
                  p_.images_,
                  wanted_source(layer, source_format),
                  formats_.maps[static_cast<size_t>(result)]};
    MapFormat residual_format;
    if (residual != kNone) {
      residual_format = map_at(map_of(residual)).format;
      task.residual = &residual_format;
      task.may_overwrite_residual = may_overwrite(layer, residual, result, source);
    }
    const ConvSolution solution = solve_conv(*p_.model_, task, choice_of_.at(layer), plan_);
    note_substitute(task, choice_of_.at(layer), solution.choice);
    const int in = map_as(source, solution.source);
    if (solution.residual == ConvSolution::Residual::sum_in_place) share_buffer(result, residual);
    const int out = map_of(result);
    const bool in_place = solution.target == map_at(out).format && is_dense(out);
    const int raw = in_place ? out : add_map(solution.target, task.out);
    add_conv_step(task, solution, in, raw,
                  solution.residual == ConvSolution::Residual::operand ? map_of(residual) : -1);
    if (solution.needs_pass(task) || raw != out) add_finish(task, solution, raw, out, residual);
  }

  void note_substitute(const ConvTask& task, const ConvChoice& wanted, const ConvChoice& taken) {
    if (wanted == taken) return;
    p_.substitutes_.push_back(fmt::format("layer {} (convolution {}x{}, {} -> {}): {} instead of {}", task.layer,
                                          task.conv.size, task.conv.size, to_string(task.in), to_string(task.out),
                                          to_string(taken), to_string(wanted)));
  }

  // The stored format, or what the choice reads where the map lies otherwise (its first reader decided).
  MapFormat wanted_source(int layer, const MapFormat& stored) const {
    const NumberType type = choice_of_.at(layer).type;
    const bool fits = stored.type == type || (type == NumberType::s8 && stored.type == NumberType::u8);
    if (fits) return stored;
    MapFormat wanted{type,
                     type == NumberType::f32    ? plan_.f32_layout
                     : type == NumberType::bf16 ? plan_.bf16_layout
                                                : Layout::channels_last,
                     1};
    if (type == NumberType::s8) {
      const int map = input_map(spec_, lowering_, layer, 0);
      wanted.scale = map == kNetworkInput ? 1.0f / 127 : p_.model_->quantization()->scales[static_cast<size_t>(map)];
    }
    return wanted;
  }

  int other_input(int shortcut, int conv) const {
    const int first = input_map(spec_, lowering_, shortcut, 0);
    return layer_at(shortcut).inputs[0] == conv ? input_map(spec_, lowering_, shortcut, 1) : first;
  }

  // The residual's memory becomes the result's where everyone else has read it before convolution `layer` runs, no
  // slice lies in it that somebody may still read, and the result has no place yet.
  bool may_overwrite(int layer, int residual, int result, int source) {
    const int buffer = map_at(map_of(residual)).buffer;
    const bool joined =
        std::ranges::any_of(p_.maps_, [&](const Map& map) { return map.buffer == buffer && map.whole != map.shape; });
    const bool read_before = std::ranges::all_of(lowering_.readers[static_cast<size_t>(residual)],
                                                 [&](int reader) { return reader == result || reader < layer; });
    return residual != source && read_before && !joined && map_of_layer_[static_cast<size_t>(result)] < 0 &&
           !is_head(residual);
  }

  bool is_head(int map) const {
    return std::ranges::any_of(lowering_.readers[static_cast<size_t>(map)],
                               [&](int reader) { return std::holds_alternative<Yolo>(layer_at(reader).op); });
  }

  void share_buffer(int result, int residual) {
    Map shared = map_at(map_of(residual));
    shared.format = formats_.maps[static_cast<size_t>(result)];
    p_.maps_.push_back(shared);
    map_of_layer_[static_cast<size_t>(result)] = static_cast<int>(p_.maps_.size()) - 1;
  }

  void add_conv_step(const ConvTask& task, const ConvSolution& solution, int in, int out, int residual) {
    const dnnl::engine& engine = p_.model_->engine();
    const auto& d = solution.primitive;
    DnnlProgram::Conv conv{solution, dnnl::convolution_forward(d),
                           p_.model_->packed(task.layer, d.weights_desc(), solution.source.scale)};
    conv.source = dnnl::memory(d.src_desc(), engine, nullptr);
    conv.target = dnnl::memory(d.dst_desc(), engine, nullptr);
    conv.scratch = dnnl::memory(d.scratchpad_desc(), engine, nullptr);
    conv.arguments = {{DNNL_ARG_SRC, conv.source},
                      {DNNL_ARG_DST, conv.target},
                      {DNNL_ARG_WEIGHTS, conv.weights->kernel},
                      {DNNL_ARG_BIAS, conv.weights->bias},
                      {DNNL_ARG_SCRATCHPAD, conv.scratch}};
    if (residual >= 0) {
      conv.residual = dnnl::memory(describe_map(*task.residual, p_.images_, task.out), engine, nullptr);
      const int index = d.get_primitive_attr().get_post_ops().len() - 1;
      conv.arguments[DNNL_ARG_ATTR_MULTIPLE_POST_OP(index) | DNNL_ARG_SRC_1] = conv.residual;
    }
    scratch_bytes_ = std::max(scratch_bytes_, static_cast<int64_t>(d.scratchpad_desc().get_size()));
    Step step{Step::Kind::convolution, task.layer};
    step.in = in;
    step.second = residual;
    step.out = out;
    step.conv = static_cast<int>(p_.convs_.size());
    step.info.algorithm = solution.choice.algorithm == ConvAlgorithm::winograd ? "winograd" : "direct";
    step.info.detail = d.impl_info_str();
    step.info.gflop = static_cast<double>(p_.images_) * layer_flops(spec_, static_cast<size_t>(task.layer)) * 1e-9;
    p_.convs_.push_back(std::move(conv));
    add_step(std::move(step), "convolution", solution.choice.type);
  }

  // Activation, residual sum and conversion, whatever the primitive has left.
  void add_finish(const ConvTask& task, const ConvSolution& solution, int raw, int out, int residual) {
    Step step{Step::Kind::compute, task.layer};
    step.in = raw;
    step.out = out;
    std::string name;
    if (!solution.activation_inside) {
      step.math.activation = task.conv.activation;
      name = "activation";
    }
    if (solution.residual == ConvSolution::Residual::pass) {
      step.second = map_of(residual);
      name += name.empty() ? "shortcut" : " + shortcut";
    }
    if (map_at(raw).format != map_at(out).format) name += name.empty() ? "conversion" : " + conversion";
    add_step(std::move(step), name.empty() ? "copy" : name, map_at(out).format.type);
  }

  void add_output(int layer) {
    const int map = map_of(lowering_.map_of[static_cast<size_t>(layer)]);
    const MapFormat& format = map_at(map).format;
    if (format.type == NumberType::f32 && block_of(format.layout) == 1) {
      p_.outputs_.push_back(map);
      return;
    }
    Step step{Step::Kind::planes, layer};
    step.in = map;
    step.out = add_map({NumberType::f32, Layout::planes, 1}, map_at(map).shape);
    p_.outputs_.push_back(step.out);
    add_step(std::move(step), "output", NumberType::f32);
  }

  // --- Places -------------------------------------------------------------------------------------------------------

  void use(int map, int step) {
    if (map < 0) return;
    ArenaBuffer& buffer = p_.buffers_[static_cast<size_t>(map_at(map).buffer)];
    buffer.first = std::min(buffer.first, step);
    buffer.last = std::max(buffer.last, step);
  }

  void place_everything() {
    const int count = static_cast<int>(p_.steps_.size());
    use(p_.input_, -1);
    for (int i = 0; i < count; ++i) {
      const Step& step = p_.steps_[static_cast<size_t>(i)];
      for (const int map : {step.in, step.second, step.out}) use(map, i);
    }
    for (const int output : p_.outputs_) use(output, count);
    p_.buffers_.push_back({scratch_bytes_, 0, count});
    p_.scratch_ = static_cast<int>(p_.buffers_.size()) - 1;
    p_.arena_bytes_ = place_buffers(p_.buffers_);
  }

  static constexpr int kNone = -2;
  static constexpr int kUnused = 1 << 30;

  DnnlProgram& p_;
  const NetworkSpec& spec_;
  const Plan& plan_;
  Lowering lowering_;
  MapFormats formats_;
  std::map<int, ConvChoice> choice_of_;
  std::vector<int> map_of_layer_;
  std::map<std::pair<int, std::tuple<NumberType, Layout, float>>, int> converted_;
  int64_t scratch_bytes_ = 0;
};

DnnlProgram::DnnlProgram(std::shared_ptr<DnnlModel> model, const NetworkSpec& spec, int64_t images, const Plan& plan)
    : model_(std::move(model)), stream_(model_->engine()), spec_(spec), images_(images) {
  const bool int8 = std::ranges::count(plan.convolutions, NumberType::s8, &ConvChoice::type) > 0;
  check(!int8 || model_->quantization() != nullptr,
        "the plan computes in int8, and the model has no int8 scales; run yolov3 calibrate");
  ProgramBuilder(*this, plan).build();
}

}  // namespace yolov3
