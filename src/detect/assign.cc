#include "detect/assign.h"

#include <algorithm>
#include <cmath>
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

class ImageAssigner {
 public:
  ImageAssigner(const std::vector<Head>& heads, const AssignOptions& options, Targets& targets)
      : heads_(heads), options_(options), targets_(targets) {}

  void assign_object(const Annotation& annotation, int image, int object) {
    bool exists_positive = false;
    double best_iou = -1;
    Assignment best;
    for (size_t h = 0; h < heads_.size(); ++h) {
      const Head& head = heads_[h];
      const CenteredBox truth = in_cells(annotation.box, head);
      Assignment here{image, static_cast<int>(h), 0, static_cast<int>(truth.y), static_cast<int>(truth.x), object};
      bool head_positive = false;
      for (size_t a = 0; a < head.anchors.size(); ++a) {
        here.anchor = static_cast<int>(a);
        const double iou = iou_with_anchor(truth, head, a);
        if (iou > options_.positive_iou) {
          targets_.positives.push_back(here);
          head_positive = true;
        }
        if (iou > best_iou) {
          best_iou = iou;
          best = here;
        }
      }
      if (head_positive) targets_.true_objects[h][image].push_back(object);
      exists_positive |= head_positive;
    }
    if (!exists_positive && options_.best_of_all && best_iou >= 0) {
      targets_.positives.push_back(best);
      targets_.true_objects[best.head][image].push_back(object);
    }
  }

 private:
  const std::vector<Head>& heads_;
  const AssignOptions& options_;
  Targets& targets_;
};

// Of the assignments of one cell and anchor only that of the last object stays.
void keep_last_of_each_cell(std::vector<Assignment>& positives) {
  const auto cell = [](const Assignment& p) { return std::tie(p.image, p.head, p.gy, p.gx, p.anchor); };
  std::sort(positives.begin(), positives.end(), [&](const Assignment& a, const Assignment& b) {
    return std::tuple_cat(cell(a), std::tie(b.object)) < std::tuple_cat(cell(b), std::tie(a.object));
  });
  const auto same = [&](const Assignment& a, const Assignment& b) { return cell(a) == cell(b); };
  positives.erase(std::unique(positives.begin(), positives.end(), same), positives.end());
}

}  // namespace

double anchor_iou(const Box& box_net, const Head& head, size_t anchor) {
  return iou_with_anchor(in_cells(box_net, head), head, anchor);
}

Targets assign_without_overwriting(const std::vector<std::vector<Annotation>>& objects_net,
                                   const std::vector<Head>& heads, const AssignOptions& options) {
  Targets targets;
  targets.true_objects.assign(heads.size(), std::vector<std::vector<int>>(objects_net.size()));
  ImageAssigner assigner(heads, options, targets);
  for (size_t image = 0; image < objects_net.size(); ++image) {
    for (size_t object = 0; object < objects_net[image].size(); ++object) {
      for (const Head& head : heads) check_object(objects_net[image][object], image, object, head);
      assigner.assign_object(objects_net[image][object], static_cast<int>(image), static_cast<int>(object));
    }
  }
  return targets;
}

Targets assign(const std::vector<std::vector<Annotation>>& objects_net, const std::vector<Head>& heads,
               const AssignOptions& options) {
  Targets targets = assign_without_overwriting(objects_net, heads, options);
  keep_last_of_each_cell(targets.positives);
  return targets;
}

}  // namespace yolov3
