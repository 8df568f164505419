#include "train/finite.h"

#include <fmt/format.h>

#include <cmath>

namespace yolov3 {

namespace {

// The cell of element (n,channel,gy,gx) of head h.
BadCell cell_at(const torch::Tensor& raw, size_t h, const Head& head, const int64_t (&at)[4]) {
  const int64_t per_anchor = 5 + head.classes;
  return {true,
          at[0],
          static_cast<int64_t>(h),
          at[1] / per_anchor,
          at[1] % per_anchor,
          at[2],
          at[3],
          raw[at[0]][at[1]][at[2]][at[3]].item<double>()};
}

torch::Tensor on_cpu(const torch::Tensor& map) { return map.detach().to(torch::kCPU, torch::kFloat64).contiguous(); }

}  // namespace

BadCell find_bad_cell(const std::vector<torch::Tensor>& raw_maps, const std::vector<Head>& heads) {
  for (size_t h = 0; h < raw_maps.size(); ++h) {
    const torch::Tensor raw = on_cpu(raw_maps[h]);
    const torch::Tensor bad = raw.isfinite().logical_not().nonzero().contiguous();  // n,channel,gy,gx, in order
    if (bad.size(0) == 0) continue;
    const int64_t* first = bad.data_ptr<int64_t>();
    return cell_at(raw, h, heads[h], {first[0], first[1], first[2], first[3]});
  }
  return {};
}

BadCell find_largest_cell(const std::vector<torch::Tensor>& raw_maps, const std::vector<Head>& heads) {
  BadCell largest;
  for (size_t h = 0; h < raw_maps.size(); ++h) {
    const torch::Tensor raw = on_cpu(raw_maps[h]);
    int64_t flat = raw.abs().argmax().item<int64_t>(), at[4];
    for (int axis = 3; axis >= 0; --axis) {
      at[axis] = flat % raw.size(axis);
      flat /= raw.size(axis);
    }
    const BadCell cell = cell_at(raw, h, heads[h], at);
    if (!largest.found || std::abs(cell.value) > std::abs(largest.value)) largest = cell;
  }
  return largest;
}

std::string describe(const BadCell& cell, const std::vector<Head>& heads) {
  static constexpr const char* kChannels[] = {"tx", "ty", "tw", "th", "objectness"};
  const std::string channel = cell.channel < 5 ? kChannels[cell.channel] : fmt::format("class {}", cell.channel - 5);
  return fmt::format("head {} (stride {}), cell (gy {}, gx {}), anchor {}, {} = {:.6g}", cell.head,
                     heads[static_cast<size_t>(cell.head)].stride_x, cell.gy, cell.gx, cell.anchor, channel,
                     cell.value);
}

std::string find_bad_gradient(const std::vector<torch::Tensor>& params, const std::vector<ParamSlot>& slots) {
  for (size_t i = params.size(); i-- > 0;) {
    const torch::Tensor gradient = params[i].grad();
    if (gradient.defined() && !gradient.isfinite().all().item<bool>()) return slots[i].name;
  }
  return "";
}

}  // namespace yolov3
