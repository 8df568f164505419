#include "engine/lowering.h"

#include <algorithm>

#include "base/cpu.h"
#include "base/error.h"

namespace yolov3 {
namespace {

const Layer& layer_at(const NetworkSpec& spec, int layer) { return spec.layers[static_cast<size_t>(layer)]; }

template <class Op>
bool is(const NetworkSpec& spec, int layer) {
  return std::holds_alternative<Op>(layer_at(spec, layer).op);
}

// The output is the first input, number for number.
bool passes_on(const NetworkSpec& spec, size_t index, int first_dropout) {
  const Layer& layer = spec.layers[index];
  if (const auto* route = std::get_if<Route>(&layer.op)) return layer.inputs.size() == 1 && route->groups == 1;
  if (const auto* dropout = std::get_if<Dropout>(&layer.op)) {
    return static_cast<int>(index) < first_dropout || dropout->probability == 0;
  }
  return std::holds_alternative<Yolo>(layer.op);
}

std::vector<bool> needed_by_heads(const NetworkSpec& spec) {
  std::vector<bool> needed(spec.layers.size(), false);
  for (size_t i = spec.layers.size(); i-- > 0;) {
    if (std::holds_alternative<Yolo>(spec.layers[i].op)) needed[i] = true;
    if (!needed[i]) continue;
    for (const int from : spec.layers[i].inputs) {
      if (from != kNetworkInput) needed[static_cast<size_t>(from)] = true;
    }
  }
  return needed;
}

// How many needed layers read each layer, before anything is joined.
std::vector<int> reader_counts(const NetworkSpec& spec, const std::vector<bool>& needed) {
  std::vector<int> counts(spec.layers.size(), 0);
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    if (!needed[i]) continue;
    for (const int from : spec.layers[i].inputs) {
      if (from != kNetworkInput) ++counts[static_cast<size_t>(from)];
    }
  }
  return counts;
}

// The convolution that can carry out this shortcut: read by it alone, after the other map is there, and of its shape.
int carrier_of(const NetworkSpec& spec, int shortcut, const std::vector<int>& readers, const std::vector<int>& map_of) {
  const Layer& layer = layer_at(spec, shortcut);
  if (std::get<Shortcut>(layer.op).activation != Activation::linear) return -1;
  for (const size_t which : {0, 1}) {
    const int conv = layer.inputs[which], other = layer.inputs[1 - which];
    if (conv == kNetworkInput || other == kNetworkInput || conv == other || !is<Conv>(spec, conv)) continue;
    const int other_map = map_of[static_cast<size_t>(other)];
    if (readers[static_cast<size_t>(conv)] == 1 && other_map != kNetworkInput && other_map < conv &&
        layer_at(spec, conv).out == layer.out && layer_at(spec, other).out == layer.out) {
      return conv;
    }
  }
  return -1;
}

// --- Formats --------------------------------------------------------------------------------------------------------

class FormatChooser {
 public:
  FormatChooser(const NetworkSpec& spec, const Lowering& lowering, const Plan& plan, const Quantization* quantization)
      : spec_(spec), lowering_(lowering), plan_(plan), quantization_(quantization) {
    const std::vector<int> convs = conv_layers(spec);
    choice_of_.resize(spec.layers.size());
    for (size_t i = 0; i < convs.size(); ++i) choice_of_[static_cast<size_t>(convs[i])] = plan.convolutions[i];
    chosen_.maps.resize(spec.layers.size());
  }

  MapFormats run() {
    for (size_t i = spec_.layers.size(); i-- > 0;) {
      const int layer = static_cast<int>(i);
      if (!lowering_.needed[i] || lowering_.map_of[i] != layer) continue;
      chosen_.maps[i] = wanted(lowering_.readers[i], maker_type(layer));
      if (chosen_.maps[i].type == NumberType::s8) chosen_.maps[i].scale = quantization_->scales[i];
    }
    chosen_.input = wanted(lowering_.input_readers, NumberType::f32);
    if (chosen_.input.type == NumberType::s8) {
      // The pictures' own bytes; not without VNNI, where oneDNN's sums of unsigned products overflow.
      const bool bytes = cpu_features().avx512_vnni;
      chosen_.input.type = bytes ? NumberType::u8 : NumberType::s8;
      chosen_.input.scale = bytes ? 1.0f / 255.0f : 1.0f / 127.0f;
    }
    // oneDNN's first convolutions read planes of f32 where other maps are blocked; passes do not.
    const bool only_convs =
        std::ranges::all_of(lowering_.input_readers, [&](int reader) { return is<Conv>(spec_, reader); });
    if (block_of(chosen_.input.layout) > spec_.input.channels) {
      chosen_.input.layout = only_convs ? Layout::planes : Layout::channels_last;
    }
    return std::move(chosen_);
  }

 private:
  Layout layout_of(NumberType type) const {
    return type == NumberType::f32    ? plan_.f32_layout
           : type == NumberType::bf16 ? plan_.bf16_layout
                                      : Layout::channels_last;
  }

  // What the layer that makes a map computes with, for maps that only heads read.
  NumberType maker_type(int layer) const {
    if (is<Conv>(spec_, layer)) return choice_of_[static_cast<size_t>(layer)].type;
    for (const int from : layer_at(spec_, layer).inputs) {
      if (from != kNetworkInput && is<Conv>(spec_, from)) return choice_of_[static_cast<size_t>(from)].type;
    }
    return NumberType::f32;
  }

  MapFormat wanted(const std::vector<int>& readers, NumberType maker) const {
    // Raw logits are never rounded, whoever else reads them.
    if (std::ranges::any_of(readers, [&](int reader) { return is<Yolo>(spec_, reader); })) {
      return {NumberType::f32, layout_of(maker), 1};
    }
    for (const int reader : readers) {
      if (!is<Conv>(spec_, reader)) continue;
      const NumberType type = choice_of_[static_cast<size_t>(reader)].type;
      return {type, layout_of(type), 1};
    }
    for (const int reader : readers) {
      MapFormat format = chosen_.maps[static_cast<size_t>(lowering_.map_of[static_cast<size_t>(reader)])];
      format.scale = 1;
      return format;
    }
    return {NumberType::f32, layout_of(maker), 1};
  }

  const NetworkSpec& spec_;
  const Lowering& lowering_;
  const Plan& plan_;
  const Quantization* quantization_;
  std::vector<ConvChoice> choice_of_;
  MapFormats chosen_;
};

}  // namespace

Lowering lower(const NetworkSpec& spec, int first_dropout) {
  check(!heads(spec).empty(), "the network has no [yolo] layer, so it has no raw maps to give");
  const size_t count = spec.layers.size();
  Lowering lowering{needed_by_heads(spec),
                    std::vector<int>(count),
                    std::vector<int>(count, -1),
                    std::vector<std::vector<int>>(count),
                    {}};
  const std::vector<int> counts = reader_counts(spec, lowering.needed);
  for (size_t i = 0; i < count; ++i) {
    const int layer = static_cast<int>(i);
    lowering.map_of[i] = passes_on(spec, i, first_dropout) ? input_map(spec, lowering, layer, 0) : layer;
    if (!lowering.needed[i] || !is<Shortcut>(spec, layer)) continue;
    const int conv = carrier_of(spec, layer, counts, lowering.map_of);
    if (conv < 0) continue;
    lowering.shortcut_of[static_cast<size_t>(conv)] = layer;
    lowering.map_of[static_cast<size_t>(conv)] = layer;
  }
  for (size_t i = 0; i < count; ++i) {
    const int layer = static_cast<int>(i);
    const bool reads = lowering.needed[i] && (!passes_on(spec, i, first_dropout) || is<Yolo>(spec, layer));
    for (size_t which = 0; reads && which < spec.layers[i].inputs.size(); ++which) {
      const int map = input_map(spec, lowering, layer, which);
      if (map == layer) continue;  // the convolution that carries out this shortcut
      std::vector<int>& readers =
          map == kNetworkInput ? lowering.input_readers : lowering.readers[static_cast<size_t>(map)];
      if (readers.empty() || readers.back() != layer) readers.push_back(layer);
    }
  }
  return lowering;
}

int input_map(const NetworkSpec& spec, const Lowering& lowering, int layer, size_t which) {
  const int from = layer_at(spec, layer).inputs[which];
  return from == kNetworkInput ? kNetworkInput : lowering.map_of[static_cast<size_t>(from)];
}

MapFormats choose_formats(const NetworkSpec& spec, const Lowering& lowering, const Plan& plan,
                          const Quantization* quantization) {
  return FormatChooser(spec, lowering, plan, quantization).run();
}

}  // namespace yolov3
