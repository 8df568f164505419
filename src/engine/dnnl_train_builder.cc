#include "engine/dnnl_train_builder.h"

#include <algorithm>

#include "base/error.h"
#include "engine/map_passes.h"

namespace yolov3 {
namespace {

constexpr int64_t kMostImages = 1 << 20;  // far beyond any memory; oneDNN divides by zero long after

}  // namespace

TrainProgramBuilder::TrainProgramBuilder(DnnlTrainProgram& program)
    : p_(program),
      model_(program.model_),
      spec_(program.spec_),
      plan_(program.model_.options().plan),
      lowering_(lower(program.spec_, program.model_.options().frozen_layers)),
      format_{plan_.type, plan_.layout, 1},
      map_of_layer_(program.spec_.layers.size(), -1) {
  const std::vector<int> layers = conv_layers(spec_);
  for (size_t i = 0; i < layers.size(); ++i) passes_of_[layers[i]] = plan_.convolutions[i];
}

void TrainProgramBuilder::build() {
  check(p_.images_ <= kMostImages, "a batch of {} images: the training engine takes a batch of at most {}", p_.images_,
        kMostImages);
  find_wanted_gradients();
  // oneDNN's first convolutions read planes of f32 where other maps are blocked; passes do not.
  MapFormat input = format_;
  if (block_of(input.layout) > spec_.input.channels) {
    const bool only_convs = std::ranges::all_of(
        lowering_.input_readers, [&](int reader) { return std::holds_alternative<Conv>(layer_at(reader).op); });
    input.layout = only_convs ? Layout::planes : Layout::channels_last;
  }
  p_.input_ = add_map(input, spec_.input);
  const int count = static_cast<int>(spec_.layers.size());
  for (int layer = 0; layer < count; ++layer) {
    if (lowering_.needed[static_cast<size_t>(layer)]) named(layer, [&] { forward_layer(layer); });
  }
  const std::vector<Head> all = heads(spec_);
  for (const Head& head : all) forward_output(head.layer);
  for (int layer = count; layer-- > 0;) {
    if (!lowering_.needed[static_cast<size_t>(layer)]) continue;
    for (size_t head = 0; head < all.size(); ++head) {
      if (all[head].layer == layer) backward_output(layer, head);
    }
    named(layer, [&] { backward_layer(layer); });
  }
  place_everything();
}

// Has what oneDNN itself throws, of sizes beyond its code, say where.
void TrainProgramBuilder::named(int layer, const std::function<void()>& make) const {
  try {
    make();
  } catch (const dnnl::error& error) {
    fail("layer {} ({}), {} images: oneDNN: {}; use --engine torch", layer, layer_kind(layer_at(layer)), p_.images_,
         error.what());
  }
}

// A layer's output wants one where a parameter before it is trained.
void TrainProgramBuilder::find_wanted_gradients() {
  needed_gradient_.assign(spec_.layers.size(), false);
  for (size_t i = 0; i < spec_.layers.size(); ++i) {
    const Layer& layer = spec_.layers[i];
    const bool trained =
        std::holds_alternative<Conv>(layer.op) && static_cast<int>(i) >= model_.options().frozen_layers;
    needed_gradient_[i] = trained || std::ranges::any_of(layer.inputs, [&](int from) {
                            return from != kNetworkInput && needed_gradient_[static_cast<size_t>(from)];
                          });
  }
}

// --- Maps and gradients -----------------------------------------------------------------------------------------------

int TrainProgramBuilder::add_buffer(int64_t bytes) {
  constexpr int kUnused = 1 << 30;
  p_.buffers_.push_back({bytes, kUnused, -kUnused});
  return static_cast<int>(p_.buffers_.size()) - 1;
}

int TrainProgramBuilder::add_map(const MapFormat& format, const LayerShape& shape) {
  p_.maps_.push_back({format, shape, add_buffer(stored_bytes(format, p_.images_, shape))});
  return static_cast<int>(p_.maps_.size()) - 1;
}

int TrainProgramBuilder::map_of(int layer) {
  if (layer == kNetworkInput) return p_.input_;
  const int maker = lowering_.map_of[static_cast<size_t>(layer)];
  if (maker == kNetworkInput) return p_.input_;
  int& map = map_of_layer_[static_cast<size_t>(maker)];
  if (map < 0) {
    MapFormat format = format_;
    for (const int reader : lowering_.readers[static_cast<size_t>(maker)]) {
      if (std::holds_alternative<Yolo>(layer_at(reader).op)) format.type = NumberType::f32;  // logits are not rounded
    }
    map = add_map(format, layer_at(maker).out);
    wanted_.resize(static_cast<size_t>(map) + 1, false);
    wanted_[static_cast<size_t>(map)] = needed_gradient_[static_cast<size_t>(maker)];
  }
  return map;
}

int TrainProgramBuilder::input_of(int layer, size_t which) { return map_of(layer_at(layer).inputs[which]); }

int TrainProgramBuilder::gradient_of(int map) const {
  const auto found = gradients_.find(map);
  return found == gradients_.end() ? -1 : found->second;
}

int TrainProgramBuilder::fresh_gradient(int map) {
  const int made = add_map(format_, map_at(map).shape);
  gradients_[map] = made;
  return made;
}

int TrainProgramBuilder::finish_gradient(int layer, int map) {
  const int whole = gradient_of(map);
  const auto second = second_gradients_.find(map);
  if (second != second_gradients_.end()) {
    const int more = second->second;
    second_gradients_.erase(second);
    add_step(p_.backward_, layer, "gradient sum", {whole, more},
             [this_ = &p_, whole, more] { add_gradient(this_->view(more), this_->view(whole), Into::sum); });
  }
  return whole;
}

void TrainProgramBuilder::give(int layer, const char* kind, int map, std::vector<int> reads,
                               std::function<void(const MapView& to, Into)> pass) {
  if (!wants_gradient(map)) return;
  const Into into = gradient_of(map) < 0 ? Into::fresh : Into::sum;
  const int to = into == Into::fresh ? fresh_gradient(map) : gradient_of(map);
  reads.push_back(to);
  add_step(p_.backward_, layer, kind, std::move(reads),
           [this_ = &p_, to, into, pass = std::move(pass)] { pass(this_->view(to), into); });
}

void TrainProgramBuilder::add_step(std::vector<Step>& steps, int layer, const std::string& kind, std::vector<int> maps,
                                   std::function<void()> run, std::vector<int> buffers) {
  Step step;
  step.info.layer = layer;
  step.info.kind = kind;
  step.info.type = to_string(plan_.type);
  step.maps = std::move(maps);
  step.buffers = std::move(buffers);
  std::erase(step.buffers, -1);
  step.run = std::move(run);
  steps.push_back(std::move(step));
}

// --- Forward ----------------------------------------------------------------------------------------------------------

void TrainProgramBuilder::forward_layer(int layer) {
  const LayerOp& op = layer_at(layer).op;
  const auto pass = [&](const char* kind, std::function<void(const MapView&, const MapView&)> run) {
    const int in = input_of(layer, 0), out = map_of(layer);
    add_step(p_.forward_, layer, kind, {in, out},
             [this_ = &p_, in, out, run = std::move(run)] { run(this_->view(in), this_->view(out)); });
  };
  if (const auto* conv = std::get_if<Conv>(&op)) {
    forward_conv(layer, *conv);
  } else if (lowering_.map_of[static_cast<size_t>(layer)] != layer) {
    return;  // the map of the layer before
  } else if (const auto* shortcut = std::get_if<Shortcut>(&op)) {
    forward_shortcut(layer, *shortcut);
  } else if (const auto* route = std::get_if<Route>(&op)) {
    forward_route(layer, *route);
  } else if (const auto* scale = std::get_if<ScaleChannels>(&op)) {
    forward_scale(layer, *scale);
  } else if (const auto* upsample = std::get_if<Upsample>(&op)) {
    pass("upsample",
         [stride = upsample->stride](const MapView& in, const MapView& out) { upsample_map(in, stride, out); });
  } else if (const auto* pool = std::get_if<MaxPool>(&op)) {
    pass("maxpool", [pool = *pool](const MapView& in, const MapView& out) { max_pool_map(in, pool, out); });
  } else if (std::holds_alternative<AvgPool>(op)) {
    pass("avgpool", [](const MapView& in, const MapView& out) { average_map(in, out); });
  } else if (const auto* dropout = std::get_if<Dropout>(&op)) {
    pass("dropout", [this_ = &p_, layer, probability = dropout->probability](const MapView& in, const MapView& out) {
      dropout_map(in, probability, this_->seed_ + static_cast<uint64_t>(layer), out);
    });
  }
}

void TrainProgramBuilder::forward_shortcut(int layer, const Shortcut& shortcut) {
  if (std::ranges::any_of(
          convs_, [&](const auto& conv) { return lowering_.shortcut_of[static_cast<size_t>(conv.first)] == layer; })) {
    return;  // a convolution has carried it out
  }
  const int in = input_of(layer, 0), from = input_of(layer, 1), out = map_of(layer);
  const bool activated = shortcut.activation != Activation::linear;
  const int sum = activated ? add_map(map_at(out).format, map_at(out).shape) : out;
  add_step(p_.forward_, layer, "shortcut", {in, from, sum}, [this_ = &p_, in, from, sum] {
    const MapView addend = this_->view(from);
    compute_map(this_->view(in), &addend, {}, this_->view(sum));
  });
  if (!activated) return;
  before_activation_[layer] = sum;
  add_step(p_.forward_, layer, "activation", {sum, out}, [this_ = &p_, sum, out, activation = shortcut.activation] {
    compute_map(this_->view(sum), nullptr, {activation, false}, this_->view(out));
  });
}

void TrainProgramBuilder::forward_route(int layer, const Route& route) {
  const int out = map_of(layer);
  int64_t to = 0;
  for (size_t which = 0; which < layer_at(layer).inputs.size(); ++which) {
    const int in = input_of(layer, which);
    const int64_t count = map_at(in).shape.channels / route.groups, from = count * route.group_id;
    add_step(p_.forward_, layer, "concatenation", {in, out}, [this_ = &p_, in, out, from, count, to] {
      copy_channels(this_->view(in), from, count, this_->view(out), to);
    });
    to += count;
  }
}

void TrainProgramBuilder::forward_scale(int layer, const ScaleChannels& scale) {
  const int factors = input_of(layer, 0), in = input_of(layer, 1), out = map_of(layer);
  const bool activated = scale.activation != Activation::linear;
  const int product = activated ? add_map(map_at(out).format, map_at(out).shape) : out;
  add_step(p_.forward_, layer, "scale_channels", {factors, in, product}, [this_ = &p_, factors, in, product] {
    scale_map(this_->view(factors), this_->view(in), Activation::linear, this_->view(product));
  });
  if (!activated) return;
  before_activation_[layer] = product;
  add_step(p_.forward_, layer, "activation", {product, out},
           [this_ = &p_, product, out, activation = scale.activation] {
             compute_map(this_->view(product), nullptr, {activation, false}, this_->view(out));
           });
}

void TrainProgramBuilder::forward_output(int layer) {
  const int map = map_of(layer);
  const int planes = add_map({NumberType::f32, Layout::planes, 1}, map_at(map).shape);
  p_.outputs_.push_back(planes);
  add_step(p_.forward_, layer, "output", {map, planes}, [this_ = &p_, map, planes] {
    map_to_planes(this_->view(map), reinterpret_cast<float*>(this_->view(planes).data));
  });
}

// --- Backward ---------------------------------------------------------------------------------------------------------

void TrainProgramBuilder::backward_output(int layer, size_t head) {
  const int map = map_of(layer);
  if (!wants_gradient(map)) return;
  const int given = gradient_of(map);
  const int to = given < 0 ? fresh_gradient(map) : add_map(format_, map_at(map).shape);
  add_step(p_.backward_, layer, "loss gradient", {to},
           [this_ = &p_, to, head] { planes_to_map(this_->map_gradients_[head], this_->view(to)); });
  if (given < 0) return;
  add_step(p_.backward_, layer, "gradient sum", {to, given},
           [this_ = &p_, to, given] { add_gradient(this_->view(to), this_->view(given), Into::sum); });
}

void TrainProgramBuilder::backward_layer(int layer) {
  const LayerOp& op = layer_at(layer).op;
  if (const auto* conv = std::get_if<Conv>(&op)) return backward_conv(layer, *conv);
  if (lowering_.map_of[static_cast<size_t>(layer)] != layer || !needed_gradient_[static_cast<size_t>(layer)]) return;
  if (const auto* shortcut = std::get_if<Shortcut>(&op)) return backward_shortcut(layer, *shortcut);
  if (const auto* route = std::get_if<Route>(&op)) return backward_route(layer, *route);
  if (const auto* scale = std::get_if<ScaleChannels>(&op)) return backward_scale(layer, *scale);
  const int in = input_of(layer, 0), gradient = finish_gradient(layer, map_of(layer));
  if (const auto* upsample = std::get_if<Upsample>(&op)) {
    give(layer, "upsample gradient", in, {gradient},
         [this_ = &p_, gradient, stride = upsample->stride](const MapView& to, Into into) {
           upsample_gradient(this_->view(gradient), stride, to, into);
         });
  } else if (const auto* pool = std::get_if<MaxPool>(&op)) {
    give(layer, "maxpool gradient", in, {gradient, in},
         [this_ = &p_, gradient, in, pool = *pool](const MapView& to, Into into) {
           max_pool_gradient(this_->view(in), pool, this_->view(gradient), to, into);
         });
  } else if (std::holds_alternative<AvgPool>(op)) {
    give(layer, "avgpool gradient", in, {gradient},
         [this_ = &p_, gradient](const MapView& to, Into into) { average_gradient(this_->view(gradient), to, into); });
  } else if (const auto* dropout = std::get_if<Dropout>(&op)) {
    give(layer, "dropout gradient", in, {gradient},
         [this_ = &p_, gradient, layer, probability = dropout->probability](const MapView& to, Into into) {
           dropout_map(this_->view(gradient), probability, this_->seed_ + static_cast<uint64_t>(layer), to, into);
         });
  }
}

void TrainProgramBuilder::backward_shortcut(int layer, const Shortcut& shortcut) {
  if (std::ranges::any_of(
          convs_, [&](const auto& conv) { return lowering_.shortcut_of[static_cast<size_t>(conv.first)] == layer; })) {
    return;
  }
  const int gradient = finish_gradient(layer, map_of(layer));
  if (shortcut.activation != Activation::linear) {
    const int before = before_activation_.at(layer);
    add_step(p_.backward_, layer, "activation gradient", {before, gradient},
             [this_ = &p_, before, gradient, activation = shortcut.activation] {
               activation_gradient(this_->view(before), activation, this_->view(gradient), this_->view(gradient));
             });
  }
  const auto copy = [this_ = &p_, gradient](const MapView& to, Into into) {
    add_gradient(this_->view(gradient), to, into);
  };
  const int in = input_of(layer, 0);
  give(layer, "shortcut gradient", input_of(layer, 1), {gradient}, copy);
  if (wants_gradient(in) && gradient_of(in) < 0) {
    gradients_[in] = gradient;  // nobody else will read it
  } else {
    give(layer, "shortcut gradient", in, {gradient}, copy);
  }
}

void TrainProgramBuilder::backward_route(int layer, const Route& route) {
  const int gradient = finish_gradient(layer, map_of(layer));
  int64_t first = 0;
  for (size_t which = 0; which < layer_at(layer).inputs.size(); ++which) {
    const int in = input_of(layer, which);
    const int64_t count = map_at(in).shape.channels / route.groups, to_first = count * route.group_id;
    give(layer, "concatenation gradient", in, {gradient},
         [this_ = &p_, gradient, first, count, to_first](const MapView& to, Into into) {
           add_channels_gradient(this_->view(gradient), first, count, to, to_first, into);
         });
    first += count;
  }
}

void TrainProgramBuilder::backward_scale(int layer, const ScaleChannels& scale) {
  const int gradient = finish_gradient(layer, map_of(layer));
  const int factors = input_of(layer, 0), in = input_of(layer, 1);
  if (scale.activation != Activation::linear) {
    const int before = before_activation_.at(layer);
    add_step(p_.backward_, layer, "activation gradient", {before, gradient},
             [this_ = &p_, before, gradient, activation = scale.activation] {
               activation_gradient(this_->view(before), activation, this_->view(gradient), this_->view(gradient));
             });
  }
  give(layer, "scale_channels gradient", in, {gradient, factors},
       [this_ = &p_, gradient, factors](const MapView& to, Into into) {
         scale_gradient(this_->view(factors), this_->view(gradient), to, into);
       });
  give(layer, "scale_channels gradient", factors, {gradient, in},
       [this_ = &p_, gradient, in](const MapView& to, Into into) {
         scale_factors_gradient(this_->view(in), this_->view(gradient), to, into);
       });
}

// --- Places -----------------------------------------------------------------------------------------------------------

void TrainProgramBuilder::place_everything() {
  const auto use = [&](int buffer, int step) {
    ArenaBuffer& at = p_.buffers_[static_cast<size_t>(buffer)];
    at.first = std::min(at.first, step);
    at.last = std::max(at.last, step);
  };
  int step = 0;
  for (const auto* steps : {&p_.forward_, &p_.backward_}) {
    for (const Step& s : *steps) {
      for (const int map : s.maps) use(map_at(map).buffer, step);
      for (const int buffer : s.buffers) use(buffer, step);
      ++step;
    }
  }
  use(map_at(p_.input_).buffer, -1);
  for (const int output : p_.outputs_) use(map_at(output).buffer, step);  // may be looked at after the backward pass
  p_.arena_bytes_ = place_buffers(p_.buffers_);
}

DnnlTrainProgram::DnnlTrainProgram(DnnlTrainModel& model, const NetworkSpec& spec, int64_t images)
    : model_(model), spec_(spec), images_(images) {
  TrainProgramBuilder(*this).build();
}

}  // namespace yolov3
