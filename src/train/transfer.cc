#include "train/transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "net/coco_names.h"
#include "net/fold.h"

namespace yolov3 {
namespace {

constexpr int64_t kBoxRows = 5;  // x, y, w, h, objectness

// The Yolo layer that a layer's output goes to directly, or nothing.
const Yolo* head_after(const NetworkSpec& spec, int layer) {
  for (const Layer& candidate : spec.layers) {
    if (const Yolo* yolo = std::get_if<Yolo>(&candidate.op); yolo && candidate.inputs[0] == layer) return yolo;
  }
  return nullptr;
}

// Row of `from` for each row of `to`, -1 where there is none.
std::vector<int64_t> matching_rows(const Yolo& from, const std::vector<std::string>& from_names, const Yolo& to,
                                   const std::vector<std::string>& to_names) {
  std::vector<int64_t> rows;
  for (size_t anchor = 0; anchor < to.mask.size(); ++anchor) {
    const int64_t first = static_cast<int64_t>(anchor) * (kBoxRows + from.classes);
    for (int64_t row = 0; row < kBoxRows; ++row) rows.push_back(first + row);
    for (const std::string& name : to_names) {
      const auto found = std::ranges::find_if(
          from_names, [&name](const std::string& from_name) { return same_class(from_name, name); });
      rows.push_back(found == from_names.end() ? -1 : first + kBoxRows + (found - from_names.begin()));
    }
  }
  return rows;
}

void copy_rows(const Tensor& from, Tensor& to, const std::vector<int64_t>& rows) {
  const int64_t row_size = to.size() / to.dim(0);
  for (size_t row = 0; row < rows.size(); ++row) {
    if (rows[row] < 0) continue;
    std::copy_n(from.data() + rows[row] * row_size, row_size, to.data() + static_cast<int64_t>(row) * row_size);
  }
}

// What becomes of one layer's tensors.
struct LayerMatch {
  bool whole = false;         // all of them fit
  std::vector<int64_t> rows;  // of a head with other classes: the source's row for each row, -1 = fresh
};

LayerMatch match_layer(const Model& source, const std::map<std::string, size_t>& available, const NetworkSpec& spec,
                       const std::vector<ParamSlot>& slots, int layer, const std::vector<std::string>& names) {
  bool same = true, same_but_rows = true;
  for (const ParamSlot& slot : slots) {
    if (slot.layer != layer) continue;
    const auto found = available.find(slot.name);
    const Shape shape = found == available.end() ? Shape{} : source.weights.tensors[found->second].shape();
    same = same && shape == slot.shape;
    same_but_rows = same_but_rows && shape.size() == slot.shape.size() &&
                    std::equal(shape.begin() + 1, shape.end(), slot.shape.begin() + 1);
  }
  const Yolo* to = head_after(spec, layer);
  const Yolo* from = to ? head_after(source.spec, layer) : nullptr;
  const bool same_names = std::ranges::equal(source.names, names, same_class);
  if (!to || (from && same_names)) return {same, {}};
  if (!from || !same_but_rows || from->mask.size() != to->mask.size()) return {};
  return {false, matching_rows(*from, source.names, *to, names)};
}

// Copies what fits of one tensor and appends what became of it, unless all did. from: the source's of this name, or null.
void transfer_tensor(const LayerMatch& match, const ParamSlot& slot, const Tensor* from, Tensor& to,
                     TransferReport& report, std::string& lines) {
  if (match.whole) {
    to = *from;
    ++report.loaded;
  } else if (!match.rows.empty()) {
    lines += fmt::format("  {:<24} {} -> {}: boxes, objectness and the classes of the same name\n", slot.name,
                         to_string(from->shape()), to_string(slot.shape));
    copy_rows(*from, to, match.rows);
    ++report.partial;
  } else {
    lines += fmt::format("  {:<24} {} fresh ({})\n", slot.name, to_string(slot.shape),
                         from ? "its layer there has other shapes" : "not there");
    ++report.fresh;
  }
}

}  // namespace

TransferReport transfer_weights(const Model& source, const NetworkSpec& spec, const std::vector<std::string>& names,
                                Weights& weights) {
  if (source.spec.bn_epsilon != spec.bn_epsilon) {  // the weights as they are under this network's epsilon
    auto [own_spec, own_weights] = with_bn_epsilon(source.spec, source.weights, spec.bn_epsilon);
    const Model rescaled{std::move(own_spec), std::move(own_weights), source.names, source.facts};
    return transfer_weights(rescaled, spec, names, weights);
  }
  const std::vector<ParamSlot> from_slots = param_slots(source.spec), slots = param_slots(spec);
  std::map<std::string, size_t> available;
  for (size_t i = 0; i < from_slots.size(); ++i) available[from_slots[i].name] = i;

  TransferReport report;
  std::string lines;
  std::map<int, LayerMatch> matches;  // by layer
  std::map<std::string, size_t> skipped = available;
  for (size_t i = 0; i < slots.size(); ++i) {
    const auto [match, first] = matches.try_emplace(slots[i].layer);
    if (first) match->second = match_layer(source, available, spec, slots, slots[i].layer, names);
    const auto found = available.find(slots[i].name);
    const Tensor* from = found == available.end() ? nullptr : &source.weights.tensors[found->second];
    transfer_tensor(match->second, slots[i], from, weights.tensors[i], report, lines);
    skipped.erase(slots[i].name);
  }
  for (const auto& [name, index] : skipped) {
    lines += fmt::format("  {:<24} {} skipped (no place in this network)\n", name, to_string(from_slots[index].shape));
  }
  report.table = fmt::format("{} tensors loaded, {} loaded in part, {} fresh, {} skipped\n{}", report.loaded,
                             report.partial, report.fresh, skipped.size(), lines);
  return report;
}

}  // namespace yolov3
