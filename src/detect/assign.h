// Targets: which cell and anchor of which head has to answer for an object. The inverse of decode, and torch-free.
//
// Frame: box_net. Source: the notes' preprocess_true_boxes, its rules exactly, with float boxes and checked cells
// (defects D4, D7, D8, D12, D14). Rules that differ from the notes are options, each with its source; docs/loss.md says
// what they do, with formulae.
#pragma once

#include <cstdint>
#include <vector>

#include "base/objects.h"
#include "net/spec.h"

namespace yolov3 {

// Which anchors want to answer for an object.
enum class Matching {
  threshold,  // all that fit better than the threshold (the notes; Darknet's iou_thresh adds its best one, as we do)
  best,       // the one of all heads that fits best (arXiv 1804.02767, 2.1; Darknet's rule without iou_thresh)
};

// How well an anchor fits an object: 0 to 1, more is better.
enum class AnchorMeasure {
  cell,   // IoU of the object and the anchor in the centre of the object's cell (the notes)
  shape,  // IoU of the two sizes at one centre (Darknet's truth_shift, yolo_layer.c; the notes' defect D10)
  ratio,  // 1 / max(w/aw, aw/w, h/ah, ah/h), of widths and heights (known from Ultralytics' trainers, by behaviour)
};

// Who gets a cell's anchor that more than one object wants (the notes' defect D9).
enum class CollisionRule {
  last,     // the last of the image's list (the notes)
  first,    // the first
  smaller,  // the one of least area; of equal ones the last
  fit,      // the one that the anchor fits best; of equal ones the last
  free,     // each object first gets one, the best that is free still; what else they want goes to the first who asks
};

struct AssignOptions {
  double positive_iou = 0.3;  // matching threshold, measures cell and shape: above it an anchor is positive
  bool best_of_all = true;    // matching threshold: where no anchor is positive, the best anchor of all heads is
  Matching matching = Matching::threshold;
  AnchorMeasure measure = AnchorMeasure::cell;
  double positive_ratio = 4;  // matching threshold, measure ratio: under this ratio an anchor is positive
  CollisionRule collision = CollisionRule::last;
  bool ignore_all = false;  // the ignore mask of a head sees all objects of the image, not only its own (Darknet; D13)
};

// One positive: cell (gy,gx) of `anchor` of `head` in image `image` answers for objects[image][object].
struct Assignment {
  int image = 0, head = 0, anchor = 0, gy = 0, gx = 0;
  int object = 0;
  bool operator==(const Assignment&) const = default;
};

struct Targets {
  // Each (image, head, gy, gx, anchor) once, sorted by them: of objects that collide, one.
  std::vector<Assignment> positives;
  // [head][image]: indices of the objects that the head answers for or would, had no other its place; in order.
  std::vector<std::vector<std::vector<int>>> true_objects;
  // [head][image]: indices of the objects that the head's ignore mask sees: the same, or with ignore_all every one.
  std::vector<std::vector<std::vector<int>>> ignore_objects;
};

// How much an object and an anchor overlap: the anchor stands in the centre of the object's cell.
double anchor_iou(const Box& box_net, const Head& head, size_t anchor);

// The same by any measure.
double fit_of_anchor(const Box& box_net, const Head& head, size_t anchor, AnchorMeasure measure);

// objects_net: an entry an image. Boxes without area or with a centre outside the input must have been left out
// (data/loader does). Errors: one that was not, naming it: a cell outside the map would be written otherwise (D7).
Targets assign(const std::vector<std::vector<Annotation>>& objects_net, const std::vector<Head>& heads,
               const AssignOptions& options = {});

// The same with `positives` as the objects want them, before collisions are settled: by image, object, head and anchor.
Targets assign_without_overwriting(const std::vector<std::vector<Annotation>>& objects_net,
                                   const std::vector<Head>& heads, const AssignOptions& options = {});

}  // namespace yolov3
