#include "train/finite.h"

#include <fmt/format.h>

namespace yolov3 {

BadCell find_bad_cell(const std::vector<torch::Tensor>& raw_maps, const std::vector<Head>& heads) {
  BadCell cell;
  for (size_t h = 0; h < raw_maps.size(); ++h) {
    const torch::Tensor raw = raw_maps[h].detach().to(torch::kCPU, torch::kFloat32).contiguous();
    const torch::Tensor bad = raw.isfinite().logical_not().nonzero();  // n,c,gy,gx, in order
    if (bad.size(0) == 0) continue;
    const torch::Tensor first = bad[0];
    const int64_t per_anchor = 5 + heads[h].classes, channel = first[1].item<int64_t>();
    cell = {true,
            first[0].item<int64_t>(),
            static_cast<int64_t>(h),
            channel / per_anchor,
            channel % per_anchor,
            first[2].item<int64_t>(),
            first[3].item<int64_t>(),
            raw[first[0].item<int64_t>()][channel][first[2].item<int64_t>()][first[3].item<int64_t>()].item<float>()};
    return cell;
  }
  return cell;
}

std::string describe(const BadCell& cell, const std::vector<Head>& heads) {
  static constexpr const char* kChannels[] = {"tx", "ty", "tw", "th", "objectness"};
  const std::string channel =
      cell.channel < 5 ? kChannels[cell.channel] : fmt::format("class {}", cell.channel - 5);
  return fmt::format("head {} (stride {}), cell (gy {}, gx {}), anchor {}, {} = {}", cell.head,
                     heads[static_cast<size_t>(cell.head)].stride_x, cell.gy, cell.gx, cell.anchor, channel, cell.value);
}

std::string find_bad_gradient(const std::vector<torch::Tensor>& params, const std::vector<ParamSlot>& slots) {
  for (size_t i = params.size(); i-- > 0;) {
    const torch::Tensor gradient = params[i].grad();
    if (gradient.defined() && !gradient.isfinite().all().item<bool>()) return slots[i].name;
  }
  return "";
}

}  // namespace yolov3
