#include "app/compare_models.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "base/error.h"

namespace yolov3 {
namespace {

constexpr float kPartnerIou = 0.5f, kEqualIou = 0.95f, kEqualScore = 0.01f;

bool same_shape(const RawMap& a, const RawMap& b) {
  return a.images == b.images && a.channels == b.channels && a.height == b.height && a.width == b.width;
}

bool heads_match(const std::vector<Head>& a, const std::vector<Head>& b) {
  return std::ranges::equal(a, b, [](const Head& x, const Head& y) {
    return x.classes == y.classes && x.anchors.size() == y.anchors.size() && x.grid_height == y.grid_height &&
           x.grid_width == y.grid_width;
  });
}

bool layers_match(const NetworkSpec& a, const NetworkSpec& b) {
  return std::ranges::equal(a.layers, b.layers, [](const Layer& x, const Layer& y) {
    return x.inputs == y.inputs && x.op.index() == y.op.index() && x.out == y.out;
  });
}

// Adds one map's numbers; not-a-number counts as infinitely far.
void add_map(const RawMap& a, const RawMap& b, const std::string& name, MapDifference& worst, double& difference,
             double& norm) {
  for (int64_t n = 0; n < a.images; ++n) {
    for (int64_t c = 0; c < a.channels; ++c) {
      for (int64_t cell = 0; cell < a.cells(); ++cell) {
        const double x = a.at(n, c, cell), away = std::abs(x - b.at(n, c, cell));
        difference += away * away;
        norm += x * x;
        worst.magnitude = std::max(worst.magnitude, std::abs(x));
        if (away <= worst.largest && !std::isnan(away)) continue;
        worst.largest = std::isnan(away) ? INFINITY : away;
        worst.picture = name;
        worst.channel = c;
        worst.y = cell / a.width;
        worst.x = cell % a.width;
      }
    }
  }
}

double distance_of(double difference, double norm) {
  if (std::isnan(difference)) return INFINITY;
  return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

void list_box(ChangedBox box, std::vector<ChangedBox>& changed) {
  const auto place = std::ranges::upper_bound(changed, box.weight(), std::greater{}, &ChangedBox::weight);
  changed.insert(place, std::move(box));
  if (changed.size() > kListedBoxes) changed.pop_back();
}

Tensor planes_of_picture(const Image& picture) {
  Tensor planes({1, 3, picture.height, picture.width});
  planes_from_image(picture, planes.data());
  return planes;
}

Letterbox letterbox_of(const LoadedImage& picture, const Detector& detector) {
  const auto make = detector.options().letterbox ? make_letterbox : make_stretch;
  return make(picture.full_width, picture.full_height, static_cast<int>(detector.spec().input.width),
              static_cast<int>(detector.spec().input.height));
}

}  // namespace

void add_box_differences(const std::vector<Detection>& a, const std::vector<Detection>& b,
                         const std::vector<int>& class_of_b, const std::string& picture, BoxDifferences& out) {
  const auto class_in_a = [&](const Detection& box) {
    return class_of_b.empty() ? box.class_id : class_of_b.at(static_cast<size_t>(box.class_id));
  };
  std::vector<bool> taken(b.size());
  for (const Detection& box : a) {  // highest score first
    size_t best = b.size();
    float best_iou = kPartnerIou;
    for (size_t i = 0; i < b.size(); ++i) {
      if (taken[i] || class_in_a(b[i]) != box.class_id) continue;
      if (const float overlap = iou(box.box, b[i].box); overlap > best_iou) {
        best = i;
        best_iou = overlap;
      }
    }
    if (best == b.size()) {
      ++out.only_a;
      list_box({picture, box.class_id, box, std::nullopt, 0}, out.changed);
      continue;
    }
    taken[best] = true;
    const float score = std::abs(box.score - b[best].score);
    const bool equal = best_iou > kEqualIou && score <= kEqualScore;
    ++(equal ? out.equal : out.moved);
    if (!equal) list_box({picture, box.class_id, box, b[best], best_iou}, out.changed);
    if (best_iou < out.worst_iou) out.worst_iou = best_iou, out.worst_iou_picture = picture;
    if (score > out.worst_score) out.worst_score = score, out.worst_score_picture = picture;
  }
  for (size_t i = 0; i < b.size(); ++i) {
    if (taken[i]) continue;
    ++out.only_b;
    list_box({picture, class_in_a(b[i]), std::nullopt, b[i], 0}, out.changed);
  }
}

Comparer::Comparer(Detector& a, Detector& b, std::vector<int> class_of_b, double tolerance)
    : a_(a), b_(b), class_of_b_(std::move(class_of_b)), tolerance_(tolerance) {
  same_heads_ = heads_match(a.heads(), b.heads()) && a.spec().input == b.spec().input;
  same_layers_ = layers_match(a.spec(), b.spec()) && a.spec().input == b.spec().input;
  if (!same_layers_) no_layers_ = "the networks have other layers";
  if (!same_heads_) return;
  for (const Head& head : a.heads()) heads_.push_back({{.layer = head.layer}});
}

void Comparer::add(const LoadedImage& picture, const std::string& name, bool layers) {
  ++pictures_;
  const Letterbox box_a = letterbox_of(picture, a_), box_b = letterbox_of(picture, b_);
  const Image input_a = apply_letterbox(picture.image, box_a), input_b = apply_letterbox(picture.image, box_b);
  const std::vector<RawMap> raw_a = a_.engine().forward_pictures({&input_a, 1});
  const std::vector<RawMap> raw_b = b_.engine().forward_pictures({&input_b, 1});
  if (same_heads_) add_heads(raw_a, raw_b, name);
  const int width = picture.full_width, height = picture.full_height;
  add_box_differences(a_.post_processor().run(raw_a, 0, box_a, width, height),
                      b_.post_processor().run(raw_b, 0, box_b, width, height), class_of_b_, name, boxes_);
  if (layers && same_layers_) add_layers(input_a, name);
}

void Comparer::add_heads(const std::vector<RawMap>& a, const std::vector<RawMap>& b, const std::string& name) {
  for (size_t h = 0; h < heads_.size(); ++h) {
    check(same_shape(a.at(h), b.at(h)), "head {}: the engines give maps of different shapes", h);
    add_map(a[h], b[h], name, heads_[h].worst, heads_[h].difference, heads_[h].norm);
  }
}

void Comparer::add_layers(const Image& input, const std::string& name) {
  const Tensor planes = planes_of_picture(input);
  std::map<int, Tensor> maps;
  try {
    a_.engine().forward_observed(planes, [&](int layer, const Tensor& map) { maps.emplace(layer, map); });
    b_.engine().forward_observed(planes, [&](int layer, const Tensor& map) {
      const auto found = maps.find(layer);
      if (found == maps.end() || found->second.shape() != map.shape()) return;
      MapDifference worst{.layer = layer};
      double difference = 0, norm = 0;
      add_map(view_of(found->second), view_of(map), name, worst, difference, norm);
      worst.distance = distance_of(difference, norm);
      const auto known = std::ranges::find(layers_, layer, &MapDifference::layer);
      if (known == layers_.end()) {
        layers_.push_back(worst);
      } else if (worst.distance > known->distance) {
        *known = worst;
      }
    });
    std::ranges::sort(layers_, {}, &MapDifference::layer);
  } catch (const Error& error) {
    no_layers_ = error.what();
  }
}

std::vector<MapDifference> Comparer::heads() const {
  std::vector<MapDifference> differences;
  for (const HeadSum& sum : heads_) {
    differences.push_back(sum.worst);
    differences.back().distance = distance_of(sum.difference, sum.norm);
  }
  return differences;
}

std::optional<MapDifference> Comparer::first_layer() const {
  const auto first =
      std::ranges::find_if(layers_, [this](const MapDifference& d) { return !(d.distance <= tolerance_); });
  return first == layers_.end() ? std::nullopt : std::optional(*first);
}

}  // namespace yolov3
