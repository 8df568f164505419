// What assign does with the objects of one picture, and what a network answers there: for people who look on.
//
// Frame: box_net. Scales are heads, small objects first.
#pragma once

#include <cstdint>
#include <vector>

#include "detect/assign.h"
#include "engine/raw_map.h"

namespace yolov3 {

// The cell and anchor that answer for an object, and how well the anchor fits.
struct ExplainedTarget {
  Assignment at;
  double iou = 0;      // anchor_iou
  double fit = 0;      // fit_of_anchor by the measure of the options
  bool moved = false;  // not an anchor that the object wanted: those were taken (CollisionRule::free)
};

// Objects that wanted one cell and anchor: one has it, by the options' rule.
struct Collision {
  Assignment kept;
  std::vector<int> overwritten;  // objects, in order
};

struct Explanation {
  std::vector<ExplainedTarget> targets;  // as assign gives them
  std::vector<Collision> collisions;
  std::vector<int> lost;                                  // objects that are left without any target
  std::vector<std::vector<int>> objects_of_heads;         // assigned to each, overwritten ones too
  std::vector<std::vector<int>> ignore_objects_of_heads;  // what each one's ignore mask sees
};

Explanation explain_targets(const std::vector<Annotation>& objects_net, const std::vector<Head>& heads,
                            const AssignOptions& options = {});

// What the network says in one cell with one anchor.
struct Answer {
  Box box;
  float objectness = 0;  // probabilities
  int best_class = 0;
  float best_class_probability = 0;
  float true_class_probability = 0;  // of the object that the cell answers for
  double iou = 0;                    // of `box` with that object
};

// A prediction beside every target that overlaps an object that the ignore mask sees: the loss leaves its objectness
// alone.
struct IgnoredPrediction {
  int head = 0, anchor = 0, gy = 0, gx = 0;
  Box box;
  float objectness = 0;
  int object = 0;  // that it overlaps most, of those that the mask sees
  double iou = 0;
};

struct Answers {
  std::vector<Answer> of_targets;  // one a target
  std::vector<IgnoredPrediction> ignored;
};

// raw_maps: one a head, of which image 0 is looked at. ignore_iou: as in the loss. Source: the notes' compute_loss.
Answers explain_answers(const std::vector<RawMap>& raw_maps, const std::vector<Head>& heads,
                        const std::vector<Annotation>& objects_net, const Explanation& explanation,
                        double ignore_iou = 0.5);

}  // namespace yolov3
