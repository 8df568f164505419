#include "detect/assign.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <numeric>
#include <tuple>

#include "base/error.h"

namespace yolov3 {
namespace {

// In double, as the notes' numpy computes: the comparison with the threshold then falls the same way.
struct CenteredBox {
  double x, y, width, height;
};

double centered_iou(const CenteredBox& a, const CenteredBox& b) {
  const double left = std::max(a.x - a.width * 0.5, b.x - b.width * 0.5);
  const double top = std::max(a.y - a.height * 0.5, b.y - b.height * 0.5);
  const double right = std::min(a.x + a.width * 0.5, b.x + b.width * 0.5);
  const double bottom = std::min(a.y + a.height * 0.5, b.y + b.height * 0.5);
  const double inter = std::max(right - left, 0.0) * std::max(bottom - top, 0.0);
  return inter / (a.width * a.height + b.width * b.height - inter);
}

// The object in cells of one head.
CenteredBox in_cells(const Box& box_net, const Head& head) {
  const double x0 = box_net.x0, y0 = box_net.y0, x1 = box_net.x1, y1 = box_net.y1;
  return {(x0 + x1) * 0.5 / head.stride_x, (y0 + y1) * 0.5 / head.stride_y, (x1 - x0) / head.stride_x,
          (y1 - y0) / head.stride_y};
}

double iou_with_anchor(const CenteredBox& truth, const Head& head, size_t anchor) {
  const CenteredBox centered{static_cast<int>(truth.x) + 0.5, static_cast<int>(truth.y) + 0.5,
                             double{head.anchors[anchor].width} / head.stride_x,
                             double{head.anchors[anchor].height} / head.stride_y};
  return centered_iou(truth, centered);
}

// Sizes in pixels.
double shape_iou(double width, double height, const Anchor& anchor) {
  const double inter = std::min(width, double{anchor.width}) * std::min(height, double{anchor.height});
  return inter / (width * height + double{anchor.width} * anchor.height - inter);
}

double size_ratio(double width, double height, const Anchor& anchor) {
  return std::max({width / anchor.width, anchor.width / width, height / anchor.height, anchor.height / height});
}

void check_object(const Annotation& annotation, size_t image, size_t object, const Head& head) {
  const Box& box = annotation.box;
  const CenteredBox cells = in_cells(box, head);
  check(cells.width > 0 && cells.height > 0 && cells.x >= 0 && cells.y >= 0 &&
            cells.x < static_cast<double>(head.grid_width) && cells.y < static_cast<double>(head.grid_height),
        "object {} of image {} of the batch cannot be assigned: box_net {},{},{},{}; expected an area and a centre "
        "inside the network's input of {}x{} pixels",
        object, image, box.x0, box.y0, box.x1, box.y1, head.grid_width * head.stride_x,
        head.grid_height * head.stride_y);
}

// An anchor that could answer for an object, and whether the matching rule wants it to.
struct Candidate {
  Assignment at;
  double fit = 0;
  double area = 0;  // of the object
  bool wanted = false;
};

// All anchors of all heads in the cells of the object's centre.
std::vector<Candidate> candidates_of(const Annotation& annotation, int image, int object,
                                     const std::vector<Head>& heads, const AssignOptions& options) {
  const double threshold =
      options.measure == AnchorMeasure::ratio ? 1.0 / options.positive_ratio : options.positive_iou;
  const bool by_threshold = options.matching == Matching::threshold;
  const Box& box = annotation.box;
  const double area = (double{box.x1} - box.x0) * (double{box.y1} - box.y0);
  std::vector<Candidate> all;
  bool any_wanted = false;
  for (size_t h = 0; h < heads.size(); ++h) {
    const CenteredBox truth = in_cells(box, heads[h]);
    for (size_t a = 0; a < heads[h].anchors.size(); ++a) {
      const double fit = fit_of_anchor(box, heads[h], a, options.measure);
      all.push_back({{image, static_cast<int>(h), static_cast<int>(a), static_cast<int>(truth.y),
                      static_cast<int>(truth.x), object},
                     fit,
                     area,
                     by_threshold && fit > threshold});
      any_wanted |= all.back().wanted;
    }
  }
  if (!any_wanted && !all.empty() && (!by_threshold || options.best_of_all)) {
    std::ranges::max_element(all, {}, &Candidate::fit)->wanted = true;  // of equal ones the first
  }
  return all;
}

auto cell_of(const Assignment& p) { return std::tie(p.image, p.head, p.gy, p.gx, p.anchor); }

// Whether a has the cell's anchor rather than b.
bool is_before(const Candidate& a, const Candidate& b, CollisionRule rule) {
  switch (rule) {
    case CollisionRule::first: return a.at.object < b.at.object;
    case CollisionRule::smaller: return std::tie(a.area, b.at.object) < std::tie(b.area, a.at.object);
    case CollisionRule::fit: return std::tie(b.fit, b.at.object) < std::tie(a.fit, a.at.object);
    default: return a.at.object > b.at.object;
  }
}

// Of the assignments that are wanted of one cell and anchor, that of one object.
std::vector<Assignment> keep_one_of_each_cell(std::vector<Candidate> wanted, CollisionRule rule) {
  std::sort(wanted.begin(), wanted.end(), [&](const Candidate& a, const Candidate& b) {
    return cell_of(a.at) != cell_of(b.at) ? cell_of(a.at) < cell_of(b.at) : is_before(a, b, rule);
  });
  std::vector<Assignment> kept;
  for (const Candidate& candidate : wanted) {
    if (kept.empty() || cell_of(kept.back()) != cell_of(candidate.at)) kept.push_back(candidate.at);
  }
  return kept;
}

// The cells' anchors of one image, each to be had once.
class FreeAnchors {
 public:
  explicit FreeAnchors(const std::vector<Head>& heads) : heads_(heads) {
    for (const Head& head : heads) {
      taken_.emplace_back(static_cast<size_t>(head.grid_height * head.grid_width) * head.anchors.size());
    }
  }

  bool take(const Assignment& at) {
    const Head& head = heads_[static_cast<size_t>(at.head)];
    const auto cell = static_cast<size_t>(at.gy * head.grid_width + at.gx);
    auto taken = taken_[static_cast<size_t>(at.head)].begin() +
                 static_cast<std::ptrdiff_t>(cell * head.anchors.size() + static_cast<size_t>(at.anchor));
    if (*taken) return false;
    *taken = true;
    return true;
  }

 private:
  const std::vector<Head>& heads_;
  std::vector<std::vector<bool>> taken_;
};

// CollisionRule::free for the objects of one image. `any`: an anchor that is not wanted will do, too.
void share_out(std::vector<std::vector<Candidate>>& of_objects, const std::vector<Head>& heads, bool any,
               std::vector<Assignment>& positives) {
  FreeAnchors anchors(heads);
  for (std::vector<Candidate>& candidates : of_objects) {  // one for each object, as good as can be had
    std::ranges::stable_sort(candidates, std::greater<>{}, &Candidate::fit);
    for (const Candidate& candidate : candidates) {
      if ((any || candidate.wanted) && anchors.take(candidate.at)) {
        positives.push_back(candidate.at);
        break;
      }
    }
  }
  for (const std::vector<Candidate>& candidates : of_objects) {
    for (const Candidate& candidate : candidates) {
      if (candidate.wanted && anchors.take(candidate.at)) positives.push_back(candidate.at);
    }
  }
}

// Candidates of one image's objects.
std::vector<std::vector<Candidate>> candidates_of_image(const std::vector<Annotation>& objects, size_t image,
                                                        const std::vector<Head>& heads, const AssignOptions& options) {
  std::vector<std::vector<Candidate>> of_objects;
  for (size_t object = 0; object < objects.size(); ++object) {
    for (const Head& head : heads) check_object(objects[object], image, object, head);
    of_objects.push_back(
        candidates_of(objects[object], static_cast<int>(image), static_cast<int>(object), heads, options));
  }
  return of_objects;
}

// The wanted ones, by object, head and anchor.
std::vector<Candidate> wanted_of(const std::vector<std::vector<Candidate>>& of_objects) {
  std::vector<Candidate> wanted;
  for (const std::vector<Candidate>& candidates : of_objects) {
    std::ranges::copy_if(candidates, std::back_inserter(wanted), &Candidate::wanted);
  }
  return wanted;
}

// Adds the objects of these places to the lists of their heads.
void list_objects(const std::vector<Assignment>& places, std::vector<std::vector<std::vector<int>>>& lists) {
  for (const Assignment& place : places) {
    std::vector<int>& list = lists[static_cast<size_t>(place.head)][static_cast<size_t>(place.image)];
    const auto at = std::ranges::lower_bound(list, place.object);
    if (at == list.end() || *at != place.object) list.insert(at, place.object);
  }
}

std::vector<Assignment> places_of(const std::vector<Candidate>& candidates) {
  std::vector<Assignment> places;
  for (const Candidate& candidate : candidates) places.push_back(candidate.at);
  return places;
}

// settle(candidates of an image, what they want): the image's positives.
template <class Settle>
Targets assign_images(const std::vector<std::vector<Annotation>>& objects_net, const std::vector<Head>& heads,
                      const AssignOptions& options, const Settle& settle) {
  Targets targets;
  targets.true_objects.assign(heads.size(), std::vector<std::vector<int>>(objects_net.size()));
  for (size_t image = 0; image < objects_net.size(); ++image) {
    std::vector<std::vector<Candidate>> of_objects = candidates_of_image(objects_net[image], image, heads, options);
    const std::vector<Candidate> wanted = wanted_of(of_objects);
    const std::vector<Assignment> positives = settle(of_objects, wanted);
    targets.positives.insert(targets.positives.end(), positives.begin(), positives.end());
    list_objects(places_of(wanted), targets.true_objects);
    list_objects(positives, targets.true_objects);
  }
  targets.ignore_objects = targets.true_objects;
  if (!options.ignore_all) return targets;
  for (auto& of_images : targets.ignore_objects) {
    for (size_t image = 0; image < objects_net.size(); ++image) {
      of_images[image].resize(objects_net[image].size());
      std::iota(of_images[image].begin(), of_images[image].end(), 0);
    }
  }
  return targets;
}

}  // namespace

double anchor_iou(const Box& box_net, const Head& head, size_t anchor) {
  return iou_with_anchor(in_cells(box_net, head), head, anchor);
}

double fit_of_anchor(const Box& box_net, const Head& head, size_t anchor, AnchorMeasure measure) {
  if (measure == AnchorMeasure::cell) return anchor_iou(box_net, head, anchor);
  const double width = double{box_net.x1} - box_net.x0, height = double{box_net.y1} - box_net.y0;
  const Anchor& size = head.anchors[anchor];
  return measure == AnchorMeasure::shape ? shape_iou(width, height, size) : 1.0 / size_ratio(width, height, size);
}

Targets assign_without_overwriting(const std::vector<std::vector<Annotation>>& objects_net,
                                   const std::vector<Head>& heads, const AssignOptions& options) {
  return assign_images(objects_net, heads, options,
                       [](const auto&, const std::vector<Candidate>& wanted) { return places_of(wanted); });
}

Targets assign(const std::vector<std::vector<Annotation>>& objects_net, const std::vector<Head>& heads,
               const AssignOptions& options) {
  const bool any = options.matching == Matching::best || options.best_of_all;
  return assign_images(
      objects_net, heads, options,
      [&](std::vector<std::vector<Candidate>>& of_objects, const std::vector<Candidate>& wanted) {
        if (options.collision != CollisionRule::free) {
          return keep_one_of_each_cell(wanted, options.collision);
        }
        std::vector<Assignment> positives;
        share_out(of_objects, heads, any, positives);
        std::ranges::sort(positives, {}, [](const Assignment& p) { return std::tuple(p.head, p.gy, p.gx, p.anchor); });
        return positives;
      });
}

}  // namespace yolov3
