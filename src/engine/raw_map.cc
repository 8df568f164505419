#include "engine/raw_map.h"

#include "base/error.h"

namespace yolov3 {

RawMap view_of(const Tensor& map) {
  check(map.shape().size() == 4, "a raw map is N,C,H,W, not {}", to_string(map.shape()));
  const int64_t cells = map.dim(2) * map.dim(3);
  return {map.data(), map.dim(0), map.dim(1), map.dim(2), map.dim(3), map.dim(1) * cells, cells, 1};
}

std::vector<RawMap> views_of(const std::vector<Tensor>& maps) {
  std::vector<RawMap> views;
  for (const Tensor& map : maps) views.push_back(view_of(map));
  return views;
}

}  // namespace yolov3
