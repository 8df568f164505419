#include "data/similar.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <mutex>
#include <numeric>

#include "data/parallel_each.h"

namespace yolov3 {
namespace {

double mean_of(const PictureLook& look) {
  return std::accumulate(look.thumb.begin(), look.thumb.end(), 0.0) / static_cast<double>(look.thumb.size());
}

double thumb_difference(const PictureLook& a, const PictureLook& b) {
  const double shift = mean_of(a) - mean_of(b);
  double sum = 0;
  for (size_t i = 0; i < a.thumb.size(); ++i) sum += std::abs(a.thumb[i] - b.thumb[i] - shift);
  return sum / static_cast<double>(a.thumb.size());
}

class Groups {
 public:
  explicit Groups(size_t count) : parent_(count) { std::iota(parent_.begin(), parent_.end(), size_t{0}); }

  size_t root(size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(size_t a, size_t b) {
    a = root(a), b = root(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<size_t> parent_;
};

bool same_bytes(const PictureLook& a, const PictureLook& b) {
  return a.bytes > 0 && a.bytes == b.bytes && a.crc == b.crc;
}

}  // namespace

bool is_near(const PictureLook& a, const PictureLook& b) {
  return std::popcount(a.hash ^ b.hash) <= kNearBits && thumb_difference(a, b) <= kNearGrey;
}

std::vector<SimilarGroup> find_similar(const std::vector<const PictureLook*>& looks, int threads) {
  Groups groups(looks.size());
  std::mutex mutex;
  parallel_each(static_cast<int64_t>(looks.size()), threads, "comparing pictures", [&](int64_t index) {
    const auto i = static_cast<size_t>(index);
    for (size_t k = i + 1; k < looks.size(); ++k) {
      if (std::popcount(looks[i]->hash ^ looks[k]->hash) > kNearBits || !is_near(*looks[i], *looks[k])) continue;
      const std::lock_guard lock(mutex);
      groups.join(i, k);
    }
  });
  std::map<size_t, SimilarGroup> by_root;
  for (size_t i = 0; i < looks.size(); ++i) by_root[groups.root(i)].pictures.push_back(i);
  std::vector<SimilarGroup> found;
  for (auto& [root, group] : by_root) {
    if (group.pictures.size() < 2) continue;
    group.identical = std::all_of(group.pictures.begin(), group.pictures.end(),
                                  [&, root = root](size_t i) { return same_bytes(*looks[root], *looks[i]); });
    found.push_back(std::move(group));
  }
  return found;
}

}  // namespace yolov3
