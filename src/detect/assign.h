// Targets: which cell and anchor of which head has to answer for an object. The inverse of decode, and torch-free.
//
// Frame: box_net. Source: the notes' preprocess_true_boxes, its rules exactly, with float boxes and checked cells
// (defects D4, D7, D8, D12, D14); options that differ from the notes are named after their source.
#pragma once

#include <cstdint>
#include <vector>

#include "base/objects.h"
#include "net/spec.h"

namespace yolov3 {

struct AssignOptions {
  double positive_iou = 0.3;  // IoU with an anchor centred in the object's cell, above which the anchor is positive
  bool best_of_all = true;    // no anchor positive: the best anchor of all heads is
};

// One positive: cell (gy,gx) of `anchor` of `head` in image `image` answers for objects[image][object].
struct Assignment {
  int image = 0, head = 0, anchor = 0, gy = 0, gx = 0;
  int object = 0;
  bool operator==(const Assignment&) const = default;
};

struct Targets {
  // Each (image, head, gy, gx, anchor) once, sorted by them: a later object overwrites an earlier.
  std::vector<Assignment> positives;
  // true_objects[head][image]: indices of the objects assigned to the head, in order, for its ignore mask.
  std::vector<std::vector<std::vector<int>>> true_objects;
};

// How much an object and an anchor overlap: the anchor stands in the centre of the object's cell.
double anchor_iou(const Box& box_net, const Head& head, size_t anchor);

// objects_net: an entry an image. Boxes without area or with a centre outside the input must have been left out
// (data/loader does). Errors: one that was not, naming it: a cell outside the map would be written otherwise (D7).
Targets assign(const std::vector<std::vector<Annotation>>& objects_net, const std::vector<Head>& heads,
               const AssignOptions& options = {});

// The same with `positives` as they are before later objects overwrite earlier ones: by image, object, head and anchor.
Targets assign_without_overwriting(const std::vector<std::vector<Annotation>>& objects_net,
                                   const std::vector<Head>& heads, const AssignOptions& options = {});

}  // namespace yolov3
