#include "detect/explain.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "base/error.h"
#include "detect/decode.h"

namespace yolov3 {
namespace {

using Cell = std::tuple<int, int, int, int>;  // head, gy, gx, anchor

Cell cell_of(const Assignment& a) { return {a.head, a.gy, a.gx, a.anchor}; }

Box box_of(const float* row) { return box_from_center(row[0], row[1], row[2], row[3]); }

// decode_dense's row of a cell and anchor.
const float* row_at(const Tensor& dense, const Head& head, int gy, int gx, int anchor) {
  const int64_t cell = gy * head.grid_width + gx, anchors = static_cast<int64_t>(head.anchors.size());
  return dense.data() + (cell * anchors + anchor) * dense.dim(1);
}

Answer answer_of(const float* row, const Head& head, const Annotation& object) {
  Answer answer;
  answer.box = box_of(row);
  answer.objectness = row[4];
  const float* classes = row + 5;
  answer.best_class = static_cast<int>(std::max_element(classes, classes + head.classes) - classes);
  answer.best_class_probability = classes[answer.best_class];
  answer.true_class_probability = classes[object.class_id];
  answer.iou = iou(answer.box, object.box);
  return answer;
}

void find_ignored(const Tensor& dense, int index, const Head& head, const std::vector<Annotation>& objects,
                  const std::vector<int>& seen_objects, const std::set<Cell>& targets, double ignore_iou,
                  std::vector<IgnoredPrediction>& ignored) {
  for (int gy = 0; gy < head.grid_height; ++gy) {
    for (int gx = 0; gx < head.grid_width; ++gx) {
      for (int anchor = 0; anchor < static_cast<int>(head.anchors.size()); ++anchor) {
        const float* row = row_at(dense, head, gy, gx, anchor);
        IgnoredPrediction best{index, anchor, gy, gx, box_of(row), row[4], -1, -1};
        for (const int object : seen_objects) {
          const double overlap = iou(best.box, objects[static_cast<size_t>(object)].box);
          if (overlap > best.iou) {
            best.iou = overlap;
            best.object = object;
          }
        }
        if (best.iou >= ignore_iou && !targets.contains({index, gy, gx, anchor})) ignored.push_back(best);
      }
    }
  }
}

std::vector<Collision> find_collisions(const std::vector<Assignment>& positives,
                                       const std::vector<Assignment>& wanted) {
  std::map<Cell, int> owner;
  for (const Assignment& at : positives) owner[cell_of(at)] = at.object;
  std::map<Cell, Collision> found;
  for (Assignment at : wanted) {
    const int kept = owner.at(cell_of(at));
    if (kept == at.object) continue;
    Collision& collision = found[cell_of(at)];
    collision.overwritten.push_back(at.object);
    at.object = kept;
    collision.kept = at;
  }
  std::vector<Collision> collisions;
  for (auto& [cell, collision] : found) collisions.push_back(std::move(collision));
  return collisions;
}

}  // namespace

Explanation explain_targets(const std::vector<Annotation>& objects_net, const std::vector<Head>& heads,
                            const AssignOptions& options) {
  const Targets targets = assign({objects_net}, heads, options);
  const std::vector<Assignment> wanted = assign_without_overwriting({objects_net}, heads, options).positives;
  std::set<std::pair<Cell, int>> wishes;
  for (const Assignment& at : wanted) wishes.insert({cell_of(at), at.object});
  Explanation explanation;
  for (const auto& of_images : targets.true_objects) explanation.objects_of_heads.push_back(of_images[0]);
  for (const auto& of_images : targets.ignore_objects) explanation.ignore_objects_of_heads.push_back(of_images[0]);
  std::set<int> with_target;
  for (const Assignment& at : targets.positives) {
    const Head& head = heads[static_cast<size_t>(at.head)];
    const Box& box = objects_net[static_cast<size_t>(at.object)].box;
    const auto anchor = static_cast<size_t>(at.anchor);
    explanation.targets.push_back({at, anchor_iou(box, head, anchor), fit_of_anchor(box, head, anchor, options.measure),
                                   !wishes.contains({cell_of(at), at.object})});
    with_target.insert(at.object);
  }
  explanation.collisions = find_collisions(targets.positives, wanted);
  for (int object = 0; object < static_cast<int>(objects_net.size()); ++object) {
    if (!with_target.contains(object)) explanation.lost.push_back(object);
  }
  return explanation;
}

Answers explain_answers(const std::vector<RawMap>& raw_maps, const std::vector<Head>& heads,
                        const std::vector<Annotation>& objects_net, const Explanation& explanation, double ignore_iou) {
  check(raw_maps.size() == heads.size(), "{} raw maps for {} heads", raw_maps.size(), heads.size());
  std::vector<Tensor> dense;
  for (size_t h = 0; h < heads.size(); ++h) dense.push_back(decode_dense(raw_maps[h], 0, heads[h]));
  Answers answers;
  std::set<Cell> targets;
  for (const ExplainedTarget& target : explanation.targets) {
    const auto h = static_cast<size_t>(target.at.head);
    const float* row = row_at(dense[h], heads[h], target.at.gy, target.at.gx, target.at.anchor);
    answers.of_targets.push_back(answer_of(row, heads[h], objects_net[static_cast<size_t>(target.at.object)]));
    targets.insert(cell_of(target.at));
  }
  for (size_t h = 0; h < heads.size(); ++h) {
    find_ignored(dense[h], static_cast<int>(h), heads[h], objects_net, explanation.ignore_objects_of_heads[h], targets,
                 ignore_iou, answers.ignored);
  }
  return answers;
}

}  // namespace yolov3
