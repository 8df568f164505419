#include "data/sampling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/usage.h"

namespace yolov3 {
namespace {

constexpr int kOccurrenceShift = 40;  // of EpochPlace::stream: no data set has 2^40 pictures

std::set<int> classes_of(const Example& example) {
  std::set<int> classes;
  for (const Annotation& object : example.objects) {
    if (!object.crowd) classes.insert(object.class_id);
  }
  return classes;
}

std::vector<double> weights_of(const Dataset& dataset, double rarity) {
  std::vector<int64_t> pictures(dataset.names.size());
  for (const Example& example : dataset.examples) {
    for (const int k : classes_of(example)) ++pictures[static_cast<size_t>(k)];
  }
  const auto most = static_cast<double>(pictures.empty() ? 0 : *std::ranges::max_element(pictures));
  std::vector<double> weights;
  for (const Example& example : dataset.examples) {
    double weight = 1;
    for (const int k : classes_of(example)) {
      weight = std::max(weight, std::pow(most / static_cast<double>(pictures[static_cast<size_t>(k)]), rarity));
    }
    weights.push_back(weight);
  }
  return weights;
}

}  // namespace

PictureSampler::PictureSampler(const Dataset& dataset, double rarity)
    : count_(static_cast<int64_t>(dataset.examples.size())) {
  check_usage(rarity >= 0 && rarity <= 4, "--image-weights {}: expected 0 to 4", rarity);
  if (rarity == 0 || count_ == 0) return;
  weights_ = weights_of(dataset, rarity);
  sums_.resize(weights_.size());
  std::partial_sum(weights_.begin(), weights_.end(), sums_.begin());
}

std::vector<EpochPlace> PictureSampler::epoch(bool shuffle, Rng rng) const {
  std::vector<int64_t> order(static_cast<size_t>(count_));
  std::iota(order.begin(), order.end(), int64_t{0});
  if (shuffle) rng.shuffle(order);
  std::vector<EpochPlace> places;
  places.reserve(order.size());
  if (weights_.empty()) {
    for (const int64_t i : order) places.push_back({i, static_cast<uint64_t>(i)});
    return places;
  }
  // Systematic: a comb with a tooth at each whole number, moved by `offset`, over the weights laid end to end.
  const double scale = static_cast<double>(count_) / sums_.back(), offset = rng.uniform();
  double sum = 0;
  for (const int64_t i : order) {
    sum += weights_[static_cast<size_t>(i)];
    const double end = i == order.back() ? static_cast<double>(count_) : sum * scale;
    for (uint64_t times = 0; static_cast<double>(places.size()) + offset < end; ++times) {
      places.push_back({i, static_cast<uint64_t>(i) + (times << kOccurrenceShift)});
    }
  }
  if (shuffle) rng.shuffle(places);
  return places;
}

int64_t PictureSampler::draw(Rng& rng) const {
  if (sums_.empty()) return rng.integer(0, count_ - 1);
  const double at = rng.uniform(0, sums_.back());
  return std::min<int64_t>(std::ranges::upper_bound(sums_, at) - sums_.begin(), count_ - 1);
}

std::string describe_weights(const PictureSampler& sampler) {
  const std::vector<double>& weights = sampler.weights();
  if (weights.empty()) return "";
  const double mean = std::accumulate(weights.begin(), weights.end(), 0.0) / static_cast<double>(weights.size());
  const auto [least, most] = std::ranges::minmax(weights);
  const auto once = std::ranges::count_if(weights, [&](double weight) { return weight >= mean; });
  return fmt::format(
      "image weights: a picture comes {:.2f} to {:.2f} times an epoch; {} of {} come at least once in each",
      least / mean, most / mean, once, weights.size());
}

std::vector<int64_t> objects_of_classes(const Dataset& dataset) {
  std::vector<int64_t> objects(dataset.names.size());
  for (const Example& example : dataset.examples) {
    for (const Annotation& object : example.objects) {
      if (!object.crowd) ++objects[static_cast<size_t>(object.class_id)];
    }
  }
  return objects;
}

}  // namespace yolov3
