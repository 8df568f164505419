#include "format/keras_layout.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace yolov3 {
namespace {

// A layer of Keras' graph. Nodes stand behind their inputs, so their order is topological.
struct Node {
  std::vector<int> inputs;
  std::string name;  // empty: without weights
};

struct Graph {
  std::vector<Node> nodes;
  std::vector<int> output_of;  // Darknet layer -> node

  int add(std::vector<int> inputs, std::string name = "") {
    nodes.push_back({std::move(inputs), std::move(name)});
    return static_cast<int>(nodes.size()) - 1;
  }
};

std::string numbered(const std::string& kind, int ordinal) {
  return ordinal == 0 ? kind : fmt::format("{}_{}", kind, ordinal);
}

int add_conv(Graph& graph, const Conv& conv, int input, int ordinal, int batch_norm) {
  int node = input;
  if (conv.stride > 1 && conv.padding > 0) node = graph.add({node});
  node = graph.add({node}, numbered("conv2d", ordinal));
  if (conv.batch_normalize) node = graph.add({node}, numbered("batch_normalization", batch_norm));
  if (conv.activation != Activation::linear) node = graph.add({node});
  return node;
}

int add_route(Graph& graph, const Route& route, std::vector<int> inputs) {
  if (route.groups > 1) {
    for (int& input : inputs) input = graph.add({input});
  }
  return inputs.size() == 1 ? inputs[0] : graph.add(std::move(inputs));
}

Graph keras_graph(const NetworkSpec& spec) {
  Graph graph;
  const int input = graph.add({});
  int convs = 0, batch_norms = 0;
  for (const Layer& layer : spec.layers) {
    std::vector<int> inputs;
    for (const int i : layer.inputs) inputs.push_back(i == kNetworkInput ? input : graph.output_of.at(i));
    int node;
    if (const auto* conv = std::get_if<Conv>(&layer.op)) {
      node = add_conv(graph, *conv, inputs.at(0), convs++, conv->batch_normalize ? batch_norms++ : -1);
    } else if (const auto* route = std::get_if<Route>(&layer.op)) {
      node = add_route(graph, *route, std::move(inputs));
    } else if (const auto* shortcut = std::get_if<Shortcut>(&layer.op)) {
      std::reverse(inputs.begin(), inputs.end());  // the notes add `short_cut + conv`
      node = graph.add(std::move(inputs));
      if (shortcut->activation != Activation::linear) node = graph.add({node});
    } else {
      node = graph.add(std::move(inputs));
    }
    graph.output_of.push_back(node);
  }
  return graph;
}

// Heads, small objects first, then whatever else nothing reads.
std::vector<int> outputs_of(const NetworkSpec& spec, const Graph& graph) {
  std::vector<int> outputs;
  if (is_detector(spec)) {
    for (const Head& head : heads(spec)) outputs.push_back(graph.output_of.at(head.layer));
  }
  std::vector<bool> read(graph.nodes.size());
  for (const Node& node : graph.nodes) {
    for (const int input : node.inputs) read[input] = true;
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const int node = static_cast<int>(i);
    if (!read[i] && std::find(outputs.begin(), outputs.end(), node) == outputs.end()) outputs.push_back(node);
  }
  return outputs;
}

// The longest way to an output.
std::vector<int> depths_of(const Graph& graph) {
  std::vector<int> depth(graph.nodes.size());
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    for (const int input : graph.nodes[i].inputs) depth[input] = std::max(depth[input], depth[i] + 1);
  }
  return depth;
}

// When a depth-first walk against the arrows first meets each node.
std::vector<int> traversal_of(const Graph& graph, const std::vector<int>& outputs) {
  std::vector<int> met(graph.nodes.size(), -1);
  int count = 0;
  for (const int output : outputs) {
    std::vector<int> waiting{output};
    while (!waiting.empty()) {
      const int node = waiting.back();
      waiting.pop_back();
      if (met[node] >= 0) continue;
      met[node] = count++;
      const std::vector<int>& inputs = graph.nodes[node].inputs;
      waiting.insert(waiting.end(), inputs.rbegin(), inputs.rend());
    }
  }
  return met;
}

const char* keras_weight_name(const ParamSlot& slot) {
  switch (slot.kind) {
    case ParamKind::kernel: return "kernel:0";
    case ParamKind::bias: return slot.batch_norm >= 0 ? "beta:0" : "bias:0";
    case ParamKind::gamma: return "gamma:0";
    case ParamKind::running_mean: return "moving_mean:0";
    case ParamKind::running_var: return "moving_variance:0";
  }
  return "";
}

// Keras' order of the weights of one layer.
int weight_rank(const ParamSlot& slot) {
  switch (slot.kind) {
    case ParamKind::kernel: return 0;
    case ParamKind::gamma: return 0;
    case ParamKind::bias: return 1;
    case ParamKind::running_mean: return 2;
    case ParamKind::running_var: return 3;
  }
  return 0;
}

}  // namespace

std::vector<KerasLayer> keras_layers(const NetworkSpec& spec, const std::vector<ParamSlot>& slots) {
  const Graph graph = keras_graph(spec);
  const std::vector<int> depth = depths_of(graph), met = traversal_of(graph, outputs_of(spec, graph));
  std::vector<size_t> order(graph.nodes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return depth[a] != depth[b] ? depth[a] > depth[b] : met[a] < met[b]; });

  std::map<std::string, std::vector<size_t>> slots_of;
  for (size_t i = 0; i < slots.size(); ++i) {
    const bool in_norm = slots[i].batch_norm >= 0 && slots[i].kind != ParamKind::kernel;
    slots_of[in_norm ? numbered("batch_normalization", slots[i].batch_norm) : numbered("conv2d", slots[i].conv)]
        .push_back(i);
  }

  std::vector<KerasLayer> layers;
  for (const size_t index : order) {
    const std::string& name = graph.nodes[index].name;
    if (name.empty()) continue;
    std::vector<size_t>& owned = slots_of[name];
    std::sort(owned.begin(), owned.end(),
              [&](size_t a, size_t b) { return weight_rank(slots[a]) < weight_rank(slots[b]); });
    KerasLayer layer{name, {}};
    for (const size_t slot : owned) {
      layer.weights.push_back(
          {name + "/" + keras_weight_name(slots[slot]), slot, slots[slot].kind == ParamKind::kernel});
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

Shape hwio_shape(const Shape& oihw) { return {oihw.at(2), oihw.at(3), oihw.at(1), oihw.at(0)}; }

namespace {

constexpr int64_t kBlock = 16;  // a block's lines stay in the first cache level on both sides

// Calls move(offset in OIHW, offset in HWIO) for every element, in blocks that are kind to the cache.
template <class Move>
void for_each_element(const Shape& oihw, Move move) {
  const int64_t outputs = oihw.at(0), inputs = oihw.at(1), taps = oihw.at(2) * oihw.at(3);
#pragma omp parallel for schedule(static) if (outputs * inputs * taps > 65536)
  for (int64_t o0 = 0; o0 < outputs; o0 += kBlock) {
    const int64_t o1 = std::min(o0 + kBlock, outputs);
    for (int64_t i = 0; i < inputs; ++i) {
      for (int64_t tap = 0; tap < taps; ++tap) {
        for (int64_t o = o0; o < o1; ++o) move((o * inputs + i) * taps + tap, (tap * inputs + i) * outputs + o);
      }
    }
  }
}

}  // namespace

void hwio_from_oihw(const Shape& oihw, const float* in, float* out) {
  for_each_element(oihw, [&](int64_t from, int64_t to) { out[to] = in[from]; });
}

void oihw_from_hwio(const Shape& oihw, const float* in, float* out) {
  for_each_element(oihw, [&](int64_t to, int64_t from) { out[to] = in[from]; });
}

}  // namespace yolov3
