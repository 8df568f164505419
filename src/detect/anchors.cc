#include "detect/anchors.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <tuple>

#include "base/error.h"
#include "base/rng.h"

namespace yolov3 {
namespace {

struct Nearest {
  size_t anchor = 0;
  double iou = -1;
};

Nearest nearest(const Anchor& size, std::span<const Anchor> anchors) {
  Nearest best;
  for (size_t a = 0; a < anchors.size(); ++a) {
    const double iou = size_iou(size, anchors[a]);
    if (iou > best.iou) best = {a, iou};
  }
  return best;
}

// A number below the sum of weights falls to each index as often as its weight is large.
size_t draw(const std::vector<double>& weights, Rng& rng) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  double at = rng.uniform() * total;
  for (size_t i = 0; i < weights.size(); ++i) {
    at -= weights[i];
    if (at < 0 && weights[i] > 0) return i;
  }
  return static_cast<size_t>(std::ranges::max_element(weights) - weights.begin());  // rounding at the far end
}

// k-means++: each next centre is a box, drawn by the square of its distance from the centres so far.
std::vector<Anchor> first_centres(std::span<const Anchor> sizes, int clusters, Rng& rng) {
  std::vector<Anchor> centres = {sizes[static_cast<size_t>(rng.integer(0, static_cast<int64_t>(sizes.size()) - 1))]};
  std::vector<double> weights(sizes.size());
  while (centres.size() < static_cast<size_t>(clusters)) {
    for (size_t i = 0; i < sizes.size(); ++i) {
      const double distance = 1 - size_iou(sizes[i], centres.back());
      weights[i] = centres.size() == 1 ? distance * distance : std::min(weights[i], distance * distance);
    }
    centres.push_back(sizes[draw(weights, rng)]);
  }
  return centres;
}

struct Clustering {
  std::vector<Anchor> centres;
  double mean_iou = -1;
};

class Clusterer {
 public:
  Clusterer(std::span<const Anchor> sizes, const ClusterOptions& options) : sizes_(sizes), options_(options) {}

  // The mean of a cluster is not exactly what its boxes overlap most, so that a round can make things worse: the best
  // round counts, not the last.
  Clustering run(uint64_t start) const {
    Rng rng(options_.seed, start);
    std::vector<Anchor> centres = first_centres(sizes_, options_.clusters, rng);
    std::vector<size_t> own(sizes_.size(), sizes_.size());  // the centre of each box
    Clustering best;
    for (int round = 0; round < options_.max_iterations; ++round) {
      const auto [mean_iou, changed] = divide(centres, own);
      if (mean_iou > best.mean_iou) best = {centres, mean_iou};
      if (!changed) break;
      move_centres(own, centres);
    }
    return best;
  }

 private:
  std::pair<double, bool> divide(const std::vector<Anchor>& centres, std::vector<size_t>& own) const {
    double sum = 0;
    bool changed = false;
    for (size_t i = 0; i < sizes_.size(); ++i) {
      const Nearest to = nearest(sizes_[i], centres);
      changed = changed || own[i] != to.anchor;
      own[i] = to.anchor;
      sum += to.iou;
    }
    return {sum / static_cast<double>(sizes_.size()), changed};
  }

  // To the means of their boxes; a centre without boxes stays where it is.
  void move_centres(const std::vector<size_t>& own, std::vector<Anchor>& centres) const {
    struct Sum {
      double width = 0, height = 0, count = 0;
    };
    std::vector<Sum> sums(centres.size());
    for (size_t i = 0; i < sizes_.size(); ++i) {
      Sum& sum = sums[own[i]];
      sum.width += sizes_[i].width;
      sum.height += sizes_[i].height;
      ++sum.count;
    }
    for (size_t c = 0; c < centres.size(); ++c) {
      if (sums[c].count == 0) continue;
      centres[c] = {static_cast<float>(sums[c].width / sums[c].count),
                    static_cast<float>(sums[c].height / sums[c].count)};
    }
  }

  std::span<const Anchor> sizes_;
  const ClusterOptions& options_;
};

// `count` of them by lot, each as likely as any other, in their order. Source: Knuth, algorithm S.
std::vector<Anchor> some_of(std::span<const Anchor> sizes, size_t count, uint64_t seed) {
  constexpr uint64_t kDrawStream = uint64_t{1} << 62;  // of Rng's epoch: no start has it
  Rng rng(seed, kDrawStream);
  std::vector<Anchor> drawn;
  for (size_t i = 0; i < sizes.size() && drawn.size() < count; ++i) {
    const auto left = static_cast<double>(sizes.size() - i), wanted = static_cast<double>(count - drawn.size());
    if (left * rng.uniform() < wanted) drawn.push_back(sizes[i]);
  }
  return drawn;
}

void check_sizes(std::span<const Anchor> sizes, const ClusterOptions& options) {
  check(options.clusters >= 1 && options.restarts >= 1 && options.max_iterations >= 1,
        "clusters, restarts and iterations must be at least 1, not {}, {} and {}", options.clusters, options.restarts,
        options.max_iterations);
  std::set<std::pair<float, float>> different;
  for (const Anchor& size : sizes) {
    check(size.width > 0 && size.height > 0, "a box of {} x {} pixels has no area", size.width, size.height);
    if (different.size() < static_cast<size_t>(options.clusters)) different.insert({size.width, size.height});
  }
  check(different.size() >= static_cast<size_t>(options.clusters),
        "{} boxes of {} different sizes cannot make {} anchors; give more pictures or fewer --clusters", sizes.size(),
        different.size(), options.clusters);
}

}  // namespace

double size_iou(const Anchor& a, const Anchor& b) {
  const double inter = double{std::min(a.width, b.width)} * std::min(a.height, b.height);
  return inter / (double{a.width} * a.height + double{b.width} * b.height - inter);
}

AnchorFit anchor_fit(std::span<const Anchor> sizes, std::span<const Anchor> anchors, double positive_iou) {
  check(!sizes.empty() && !anchors.empty(), "there are {} boxes and {} anchors to compare", sizes.size(),
        anchors.size());
  AnchorFit fit;
  for (const Anchor& size : sizes) {
    const double iou = nearest(size, anchors).iou;
    fit.mean_iou += iou;
    fit.recall += iou > positive_iou ? 1 : 0;
    fit.recall_50 += iou > 0.5 ? 1 : 0;
  }
  const auto count = static_cast<double>(sizes.size());
  return {fit.mean_iou / count, fit.recall / count, fit.recall_50 / count};
}

std::vector<Anchor> cluster_anchors(std::span<const Anchor> sizes, const ClusterOptions& options) {
  check_sizes(sizes, options);
  std::vector<Anchor> drawn;
  if (sizes.size() > options.max_sizes) {
    drawn = some_of(sizes, options.max_sizes, options.seed);
    sizes = drawn;
  }
  const Clusterer clusterer(sizes, options);
  std::vector<Clustering> found(static_cast<size_t>(options.restarts));
#pragma omp parallel for schedule(dynamic)
  for (int start = 0; start < options.restarts; ++start) {
    found[static_cast<size_t>(start)] = clusterer.run(static_cast<uint64_t>(start));
  }
  std::vector<Anchor> best = std::ranges::max_element(found, {}, &Clustering::mean_iou)->centres;
  std::ranges::sort(best, {}, [](const Anchor& a) { return std::tuple(a.width * a.height, a.width); });
  return best;
}

AnchorTargets count_targets(const std::vector<std::vector<Annotation>>& objects_net, const std::vector<Head>& heads,
                            const AssignOptions& options) {
  AnchorTargets counts;
  counts.scales.resize(heads.size());
  for (const std::vector<Annotation>& objects : objects_net) {  // one by one: the memory of one picture
    const Targets targets = assign({objects}, heads, options);
    std::set<int> with_target;
    std::set<std::tuple<int, int, int, int, int>> kept;
    const auto key = [](const Assignment& at) { return std::tuple(at.object, at.head, at.gy, at.gx, at.anchor); };
    for (const Assignment& positive : targets.positives) {
      kept.insert(key(positive));
      ++counts.scales[static_cast<size_t>(positive.head)].targets;
      with_target.insert(positive.object);
    }
    for (size_t h = 0; h < heads.size(); ++h) {
      counts.scales[h].objects += static_cast<int64_t>(targets.true_objects[h][0].size());
    }
    counts.lost += static_cast<int64_t>(objects.size() - with_target.size());
    const std::vector<Assignment> wanted = assign_without_overwriting({objects}, heads, options).positives;
    counts.overwritten += std::ranges::count_if(wanted, [&](const Assignment& at) { return !kept.contains(key(at)); });
  }
  return counts;
}

std::vector<Head> heads_with_anchors(std::vector<Head> heads, std::span<const Anchor> anchors) {
  size_t before = 0;
  for (const Head& head : heads) before += head.anchors.size();
  const bool as_before = before == anchors.size();
  check(as_before || (!anchors.empty() && anchors.size() % heads.size() == 0),
        "{} anchors cannot be shared evenly by {} heads; take a multiple of {}", anchors.size(), heads.size(),
        heads.size());
  size_t next = 0;
  for (Head& head : heads) {
    const size_t count = as_before ? head.anchors.size() : anchors.size() / heads.size();
    head.anchors.assign(anchors.begin() + static_cast<std::ptrdiff_t>(next),
                        anchors.begin() + static_cast<std::ptrdiff_t>(next + count));
    next += count;
  }
  return heads;
}

NetworkSpec with_anchors(NetworkSpec spec, std::span<const Anchor> anchors) {
  const std::vector<Head> before = heads(spec), after = heads_with_anchors(before, anchors);
  int next = 0;
  for (size_t h = 0; h < after.size(); ++h) {
    check(after[h].anchors.size() == before[h].anchors.size(),
          "the head of layer {} has {} anchors and cannot have {}: its convolution would need other filters",
          before[h].layer, before[h].anchors.size(), after[h].anchors.size());
    Yolo& yolo = std::get<Yolo>(spec.layers[static_cast<size_t>(before[h].layer)].op);
    yolo.anchors.assign(anchors.begin(), anchors.end());
    yolo.mask.resize(after[h].anchors.size());
    std::iota(yolo.mask.begin(), yolo.mask.end(), next);
    next += static_cast<int>(after[h].anchors.size());
  }
  return spec;
}

}  // namespace yolov3
