#include "train/transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

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
      const auto found = std::find(from_names.begin(), from_names.end(), name);
      rows.push_back(found == from_names.end() ? -1 : first + kBoxRows + (found - from_names.begin()));
    }
  }
  return rows;
}

bool copy_head_rows(const Tensor& from, Tensor& to, const std::vector<int64_t>& rows) {
  if (from.shape().size() != to.shape().size() || static_cast<size_t>(to.dim(0)) != rows.size()) return false;
  for (size_t axis = 1; axis < to.shape().size(); ++axis) {
    if (from.dim(axis) != to.dim(axis)) return false;
  }
  const int64_t row_size = to.size() / to.dim(0);
  for (size_t row = 0; row < rows.size(); ++row) {
    if (rows[row] < 0 || rows[row] >= from.dim(0)) continue;
    std::copy_n(from.data() + rows[row] * row_size, row_size, to.data() + static_cast<int64_t>(row) * row_size);
  }
  return true;
}

}  // namespace

TransferReport transfer_weights(const Model& source, const NetworkSpec& spec, const std::vector<std::string>& names,
                                Weights& weights) {
  std::map<std::string, size_t> available;
  const std::vector<ParamSlot> from_slots = param_slots(source.spec), slots = param_slots(spec);
  for (size_t i = 0; i < from_slots.size(); ++i) available[from_slots[i].name] = i;

  TransferReport report;
  std::string lines;
  for (size_t i = 0; i < slots.size(); ++i) {
    const auto found = available.find(slots[i].name);
    const Yolo* to_head = head_after(spec, slots[i].layer);
    const Yolo* from_head = found == available.end() ? nullptr : head_after(source.spec, slots[i].layer);
    const Tensor* from = found == available.end() ? nullptr : &source.weights.tensors[found->second];
    const bool heads_differ = to_head && (!from_head || source.names != names);
    if (from && from->shape() == slots[i].shape && !heads_differ) {
      weights.tensors[i] = *from;
      ++report.loaded;
    } else if (from && to_head && from_head && from_head->mask.size() == to_head->mask.size() &&
               copy_head_rows(*from, weights.tensors[i], matching_rows(*from_head, source.names, *to_head, names))) {
      ++report.partial;
      lines += fmt::format("  {:<24} {} -> {}: boxes, objectness and the classes of the same name\n", slots[i].name,
                           to_string(from->shape()), to_string(slots[i].shape));
    } else {
      ++report.fresh;
      lines += fmt::format("  {:<24} {} fresh ({})\n", slots[i].name, to_string(slots[i].shape),
                           from ? "there it is " + to_string(from->shape()) : "not there");
    }
    if (found != available.end()) available.erase(found);
  }
  for (const auto& [name, index] : available) {
    lines += fmt::format("  {:<24} {} skipped (no place in this network)\n", name, to_string(from_slots[index].shape));
  }
  report.table = fmt::format("{} tensors loaded, {} loaded in part, {} fresh, {} skipped\n{}", report.loaded, report.partial,
                             report.fresh, available.size(), lines);
  return report;
}

}  // namespace yolov3
