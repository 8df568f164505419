#include "data/similar.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <map>
#include <numeric>

#include "data/parallel_each.h"

namespace yolov3 {
namespace {

int sum_of(const PictureLook& look) { return std::accumulate(look.thumb.begin(), look.thumb.end(), 0); }

// Of two thumbnails, each less its own mean: 1/256 of the sum of |a - b - (mean a - mean b)|.
double thumb_difference(const PictureLook& a, int sum_a, const PictureLook& b, int sum_b) {
  constexpr int kCells = PictureLook::kSide * PictureLook::kSide;
  int total = 0;  // in 1/256 of a grey
  const int shift = sum_a - sum_b;
  for (size_t i = 0; i < a.thumb.size(); ++i) total += std::abs((a.thumb[i] - b.thumb[i]) * kCells - shift);
  return static_cast<double>(total) / (static_cast<double>(kCells) * kCells);
}

bool are_near_hashes(uint64_t a, uint64_t b) { return std::popcount(a ^ b) <= kNearBits; }

// Sets that grow together, from any thread. The root of a set is its least member, whatever the order.
class Groups {
 public:
  explicit Groups(size_t count) : parent_(count) {
    for (size_t i = 0; i < count; ++i) parent_[i] = i;
  }

  size_t root(size_t i) {
    for (size_t above; (above = parent_[i].load(std::memory_order_relaxed)) != i; i = above) {
      const size_t over = parent_[above].load(std::memory_order_relaxed);
      size_t expected = above;
      if (over != above) parent_[i].compare_exchange_weak(expected, over, std::memory_order_relaxed);  // a shorter way
    }
    return i;
  }

  void join(size_t a, size_t b) {
    for (;;) {
      a = root(a), b = root(b);
      if (a == b) return;
      size_t later = std::max(a, b);
      if (parent_[std::max(a, b)].compare_exchange_strong(later, std::min(a, b), std::memory_order_relaxed)) return;
    }
  }

 private:
  std::vector<std::atomic<size_t>> parent_;
};

bool same_bytes(const PictureLook& a, const PictureLook& b) {
  return a.bytes > 0 && a.bytes == b.bytes && a.crc == b.crc;
}

}  // namespace

bool is_near(const PictureLook& a, const PictureLook& b) {
  return are_near_hashes(a.hash, b.hash) && thumb_difference(a, sum_of(a), b, sum_of(b)) <= kNearGrey;
}

std::vector<SimilarGroup> find_similar(const std::vector<const PictureLook*>& looks, int threads) {
  Groups groups(looks.size());
  std::vector<uint64_t> hashes;  // side by side: every pair of them is met
  std::vector<int> sums;
  for (const PictureLook* look : looks) hashes.push_back(look->hash), sums.push_back(sum_of(*look));
  parallel_each(static_cast<int64_t>(looks.size()), threads, "comparing pictures", [&](int64_t index) {
    const auto i = static_cast<size_t>(index);
    for (size_t k = i + 1; k < looks.size(); ++k) {
      // Of many pictures of one place nearly all pairs are near: those that are one group already need no look.
      if (!are_near_hashes(hashes[i], hashes[k]) || groups.root(i) == groups.root(k)) continue;
      if (thumb_difference(*looks[i], sums[i], *looks[k], sums[k]) <= kNearGrey) groups.join(i, k);
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
