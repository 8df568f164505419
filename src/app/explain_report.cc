#include "app/explain_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/program.h"
#include "app/results.h"

namespace yolov3 {
namespace {

using Json = nlohmann::ordered_json;

Json centre_box(const Box& box) { return {box.center_x(), box.center_y(), box.width(), box.height()}; }

Json place(int head, int gy, int gx, int anchor) {
  return {{"scale", head}, {"gy", gy}, {"gx", gx}, {"anchor", anchor}};
}

Json answer_json(const Answer& answer) {
  return {{"objectness", answer.objectness},
          {"class_id", answer.best_class},
          {"class_probability", answer.best_class_probability},
          {"true_class_probability", answer.true_class_probability},
          {"box", centre_box(answer.box)},
          {"iou", answer.iou}};
}

Json assignments_json(const ExplainedPicture& p) {
  Json all = Json::array();
  for (size_t i = 0; i < p.explanation.targets.size(); ++i) {
    const auto& [at, iou, fit, moved] = p.explanation.targets[i];
    const Annotation& object = p.objects[static_cast<size_t>(at.object)];
    Json one = place(at.head, at.gy, at.gx, at.anchor);
    one["class_id"] = object.class_id;
    one["iou"] = iou;
    one["fit"] = fit;
    one["moved"] = moved;
    one["box"] = centre_box(object.box);
    one["object"] = at.object;
    if (p.answers) one["answer"] = answer_json(p.answers->of_targets[i]);
    all.push_back(std::move(one));
  }
  return all;
}

Json collisions_json(const ExplainedPicture& p) {
  Json all = Json::array();
  for (const auto& [kept, overwritten] : p.explanation.collisions) {
    Json one = place(kept.head, kept.gy, kept.gx, kept.anchor);
    one["object"] = kept.object;
    one["overwritten"] = overwritten;
    all.push_back(std::move(one));
  }
  return all;
}

Json ignored_json(const Answers& answers) {
  Json all = Json::array();
  for (const IgnoredPrediction& ignored : answers.ignored) {
    Json one = place(ignored.head, ignored.gy, ignored.gx, ignored.anchor);
    one["objectness"] = ignored.objectness;
    one["box"] = centre_box(ignored.box);
    one["object"] = ignored.object;
    one["iou"] = ignored.iou;
    all.push_back(std::move(one));
  }
  return all;
}

Json scales_json(const ExplainedPicture& p) {
  Json all = Json::array();
  for (size_t h = 0; h < p.heads.size(); ++h) {
    const Head& head = p.heads[h];
    Json anchors = Json::array();
    for (const Anchor& a : head.anchors) anchors.push_back({a.width, a.height});
    all.push_back({{"scale", h},
                   {"grid", {head.grid_width, head.grid_height}},
                   {"stride", {head.stride_x, head.stride_y}},
                   {"anchors", std::move(anchors)}});
  }
  return all;
}

std::string object_name(const ExplainedPicture& p, int object) {
  return fmt::format("object {} ({})", object, class_name(p.objects[static_cast<size_t>(object)].class_id, p.names));
}

std::string target_line(const ExplainedPicture& p, size_t i) {
  const auto& [at, iou, fit, moved] = p.explanation.targets[i];
  const Anchor& anchor = p.heads[static_cast<size_t>(at.head)].anchors[static_cast<size_t>(at.anchor)];
  std::string line = fmt::format("{:>5} {:>4} {:>4}  {} ({:g}x{:g}) {:>6.3f}  {}", at.head, at.gy, at.gx, at.anchor,
                                 anchor.width, anchor.height, fit, object_name(p, at.object));
  if (moved) line += ": the next best anchor, a better one is taken";
  if (p.answers) {
    const Answer& answer = p.answers->of_targets[i];
    line += fmt::format("; objectness {:.3f}, {} {:.3f}, box IoU {:.3f}", answer.objectness,
                        class_name(answer.best_class, p.names), answer.best_class_probability, answer.iou);
  }
  return line + "\n";
}

std::string measure_name(const ExplainedPicture& p) {
  switch (p.assign.measure) {
    case AnchorMeasure::shape: return "shape IoU";
    case AnchorMeasure::ratio: return "1/ratio";
    case AnchorMeasure::cell: break;
  }
  return "IoU";
}

}  // namespace

std::string matching_text(const ExplainedPicture& p) {
  if (p.assign.matching == Matching::best) return fmt::format("the best anchor by {} answers", measure_name(p));
  if (p.assign.measure == AnchorMeasure::ratio) {
    return fmt::format("an anchor answers below a ratio of {:g}", p.assign.positive_ratio);
  }
  return fmt::format("an anchor answers above {} {:g}", measure_name(p), p.assign.positive_iou);
}

std::string explain_text(const ExplainedPicture& p) {
  std::string text =
      fmt::format("{}: {} objects, {} targets: {}\n{:>5} {:>4} {:>4}  {:<16} {:>6}\n", p.source, p.objects.size(),
                  p.explanation.targets.size(), matching_text(p), "scale", "gy", "gx", "anchor", measure_name(p));
  for (size_t i = 0; i < p.explanation.targets.size(); ++i) text += target_line(p, i);
  for (const auto& [kept, overwritten] : p.explanation.collisions) {
    for (const int object : overwritten) {
      text += fmt::format("collision: scale {}, cell gy {} gx {}, anchor {}: {} has it, {} wanted it too\n", kept.head,
                          kept.gy, kept.gx, kept.anchor, object_name(p, kept.object), object_name(p, object));
    }
  }
  for (const int object : p.explanation.lost) {
    text += fmt::format("lost: {} is left without any target\n", object_name(p, object));
  }
  if (p.answers) {
    text += fmt::format("{} predictions beside the targets overlap an object by {:g} or more and are ignored\n",
                        p.answers->ignored.size(), p.ignore_iou);
  }
  return fit_for_terminal(text);
}

std::string explain_json(const ExplainedPicture& p) {
  Json json{{"input", {p.input.width, p.input.height}},
            {"assignments", assignments_json(p)},
            {"collisions", collisions_json(p)},
            {"lost", p.explanation.lost},
            {"scales", scales_json(p)},
            {"names", p.names},
            {"image", p.source},
            {"matching", p.words.matching},
            {"anchor_fit", p.words.anchor_fit},
            {"positive_iou", p.assign.positive_iou},
            {"positive_ratio", p.assign.positive_ratio},
            {"best_of_all", p.assign.best_of_all},
            {"collision", p.words.collision},
            {"ignore_boxes", p.words.ignore_boxes}};
  if (p.answers) {
    json["ignore_iou"] = p.ignore_iou;
    json["ignored"] = ignored_json(*p.answers);
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace yolov3
