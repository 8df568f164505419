// The picture of one scale. An object has one colour: that of its box, of the cell that answers for it and of the
// anchors there.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "app/explain_report.h"
#include "app/results.h"
#include "image/canvas.h"

namespace yolov3 {
namespace {

constexpr Color kPaper{250, 250, 250}, kInk{30, 30, 30}, kGrey{150, 150, 150}, kWhite{255, 255, 255}, kRed{220, 0, 0},
    kBlue{0, 90, 220};
constexpr int kLetters = 15;     // height of capitals, pixels
constexpr int kLongSide = 1248;  // of the enlarged network input, about

Color object_color(int object) { return class_color(object); }

class ScalePicture {
 public:
  ScalePicture(const ExplainedPicture& p, size_t scale)
      : p_(p),
        scale_(static_cast<int>(scale)),
        head_(p.heads[scale]),
        zoom_(std::max(1.0f, std::round(kLongSide / static_cast<float>(std::max(p.input.width, p.input.height))))) {}

  Image draw() {
    image_ = enlarged(p_.input, zoom_);
    mix(image_, kWhite, 0.35);
    draw_grid();
    draw_objects_of_other_scales();
    draw_cells();
    draw_answers();
    draw_objects();
    draw_collisions();
    draw_labels();
    const Image drawn = stacked(heading(), image_, kPaper);
    return stacked(stacked(drawn, legend(), kPaper), table(), kPaper);
  }

 private:
  Box zoomed(const Box& box) const { return {box.x0 * zoom_, box.y0 * zoom_, box.x1 * zoom_, box.y1 * zoom_}; }

  Box cell_box(int gy, int gx) const {
    const float w = head_.stride_x * zoom_, h = head_.stride_y * zoom_;
    return {w * static_cast<float>(gx), h * static_cast<float>(gy), w * static_cast<float>(gx + 1),
            h * static_cast<float>(gy + 1)};
  }

  const Annotation& object(int index) const { return p_.objects[static_cast<size_t>(index)]; }

  // This scale's targets by object.
  std::map<int, std::vector<const ExplainedTarget*>> targets() const {
    std::map<int, std::vector<const ExplainedTarget*>> own;
    for (const ExplainedTarget& target : p_.explanation.targets) {
      if (target.at.head == scale_) own[target.at.object].push_back(&target);
    }
    return own;
  }

  void draw_grid() {
    const auto width = static_cast<float>(image_.width), height = static_cast<float>(image_.height);
    for (int64_t i = 0; i <= head_.grid_width; ++i) {
      const float x = head_.stride_x * zoom_ * static_cast<float>(i);
      draw_line(image_, x, 0, x, height, kGrey, 1);
    }
    for (int64_t i = 0; i <= head_.grid_height; ++i) {
      const float y = head_.stride_y * zoom_ * static_cast<float>(i);
      draw_line(image_, 0, y, width, y, kGrey, 1);
    }
  }

  void draw_objects_of_other_scales() {
    const std::vector<int>& own = own_objects();
    for (int i = 0; i < static_cast<int>(p_.objects.size()); ++i) {
      if (std::ranges::find(own, i) == own.end()) outline_box(image_, zoomed(object(i).box), kGrey, 2);
    }
  }

  void draw_cells() {
    for (const auto& [index, own] : targets()) {
      const Color color = object_color(index);
      const Box cell = cell_box(own[0]->at.gy, own[0]->at.gx);
      fill_box(image_, cell, color, 0.65);
      outline_box(image_, cell, kInk, 2);
      for (const ExplainedTarget* target : own) {
        const Anchor& anchor = head_.anchors[static_cast<size_t>(target->at.anchor)];
        const bool best = std::ranges::all_of(own, [&](const ExplainedTarget* t) { return t->fit <= target->fit; });
        outline_box(image_,
                    box_from_center(cell.center_x(), cell.center_y(), anchor.width * zoom_, anchor.height * zoom_),
                    color, best ? 3 : 1, true);
      }
    }
  }

  // With weights: a blue dot in each cell with an ignored prediction, and each object's surest answer in white.
  void draw_answers() {
    if (!p_.answers) return;
    for (const IgnoredPrediction& ignored : p_.answers->ignored) {
      if (ignored.head != scale_) continue;
      const Box cell = cell_box(ignored.gy, ignored.gx);
      fill_box(image_, box_from_center(cell.center_x(), cell.center_y(), 0.3f * cell.width(), 0.3f * cell.height()),
               kBlue, 0.8);
    }
    for (const auto& [index, own] : targets()) draw_white_box(image_, zoomed(surest_answer(own).box));
  }

  static void draw_white_box(Image& image, const Box& box) {
    outline_box(image, box, kInk, 5);
    outline_box(image, box, kWhite, 3);
  }

  const Answer& surest_answer(const std::vector<const ExplainedTarget*>& own) const {
    const auto answer = [&](const ExplainedTarget* target) -> const Answer& {
      return p_.answers->of_targets[static_cast<size_t>(target - p_.explanation.targets.data())];
    };
    return answer(*std::ranges::max_element(own, {}, [&](const ExplainedTarget* t) { return answer(t).objectness; }));
  }

  void draw_objects() {
    for (const int i : own_objects()) {
      const Box box = zoomed(object(i).box);
      outline_box(image_, box, object_color(i), 4);
      draw_centre(image_, box);
    }
  }

  static void draw_centre(Image& image, const Box& box) {
    fill_box(image, box_from_center(box.center_x(), box.center_y(), 9, 9), kInk, 1);
    fill_box(image, box_from_center(box.center_x(), box.center_y(), 5, 5), kWhite, 1);
  }

  void draw_collisions() {
    for (const Collision& collision : p_.explanation.collisions) {
      if (collision.kept.head != scale_) continue;
      const Box cell = cell_box(collision.kept.gy, collision.kept.gx);
      draw_line(image_, cell.x0, cell.y0, cell.x1, cell.y1, kRed, 4);
      draw_line(image_, cell.x0, cell.y1, cell.x1, cell.y0, kRed, 4);
      outline_box(image_, cell, kRed, 4);
    }
  }

  std::string object_name(int index) const {
    return fmt::format("{} {}", index, class_name(object(index).class_id, p_.names));
  }

  // A line of the table under the picture.
  std::string line_of(int index, const std::vector<const ExplainedTarget*>& own) const {
    if (own.empty()) return object_name(index) + ": other objects have its anchors at this scale";
    const Assignment& at = own[0]->at;
    std::string text = fmt::format("{}: cell gy {} gx {}, fit of anchor", object_name(index), at.gy, at.gx);
    for (const ExplainedTarget* target : own) {
      text += fmt::format("{} {}: {:.2f}", target == own[0] ? "" : ",", target->at.anchor, target->fit);
    }
    if (!p_.answers) return text;
    const Answer& answer = surest_answer(own);
    return text + fmt::format(";  answer: objectness {:.2f}, {} {:.2f}, IoU {:.2f}", answer.objectness,
                              class_name(answer.best_class, p_.names), answer.best_class_probability, answer.iou);
  }

  // A plate on the box's top edge, or where an earlier one is in its way, under that.
  void draw_label(int index, const std::string& text, std::vector<Box>& taken) {
    const Box box = zoomed(object(index).box);
    const auto width = static_cast<float>(text_width(text, kLetters) + 10);
    constexpr float kHeight = kLetters + 12;
    const float x = std::clamp(box.x0, 0.0f, std::max(0.0f, static_cast<float>(image_.width) - width));
    Box plate{x, std::max(0.0f, box.y0 - kHeight), x + width, 0};
    plate.y1 = plate.y0 + kHeight;
    for (int tries = 0; tries < 40; ++tries) {
      const auto other = std::ranges::find_if(taken, [&](const Box& b) { return intersection_area(b, plate) > 0; });
      if (other == taken.end() || other->y1 + kHeight > static_cast<float>(image_.height)) break;
      plate.y0 = other->y1;
      plate.y1 = plate.y0 + kHeight;
    }
    taken.push_back(plate);
    fill_box(image_, plate, kPaper, 0.9);
    outline_box(image_, plate, object_color(index), 2);
    draw_text(image_, text, plate.x0 + 5, plate.y0 + 5, kLetters, kInk);
  }

  const std::vector<int>& own_objects() const { return p_.explanation.objects_of_heads[static_cast<size_t>(scale_)]; }

  void draw_labels() {
    std::vector<Box> taken;
    for (const int i : own_objects()) draw_label(i, object_name(i), taken);
  }

  Image strip(int lines) const {
    Image strip(image_.width, lines * (kLetters + 14) + 12);
    mix(strip, kPaper, 1);
    return strip;
  }

  Image heading() const {
    std::string anchors;
    for (size_t a = 0; a < head_.anchors.size(); ++a) {
      anchors +=
          fmt::format("{}{}: {:g}x{:g}", a == 0 ? "" : ",  ", a, head_.anchors[a].width, head_.anchors[a].height);
    }
    Image top = strip(2);
    draw_text(top,
              fmt::format("scale {} (of 0 to {}, small objects first): {} x {} cells of {:g} x {:g} pixels", scale_,
                          p_.heads.size() - 1, head_.grid_width, head_.grid_height, head_.stride_x, head_.stride_y),
              10, 12, kLetters + 3, kInk);
    draw_text(top, fmt::format("anchors  {}    {}", anchors, matching_text(p_)), 10, 12 + kLetters + 14, kLetters,
              kInk);
    return top;
  }

  // In smaller letters where the line would be too long.
  static void write_line(Image& to, const std::string& text, float x, float y, int height = kLetters) {
    while (height > 6 && x + static_cast<float>(text_width(text, height)) > static_cast<float>(to.width - 6)) --height;
    draw_text(to, text, x, y + static_cast<float>(kLetters - height), height, kInk);
  }

  Image table() const {
    Image lines = strip(static_cast<int>(own_objects().size()));
    const auto own = targets();
    float y = 12;
    for (const int i : own_objects()) {
      const auto found = own.find(i);
      fill_box(lines, {14, y - 2, 50, y + kLetters + 2}, object_color(i), 1);
      const std::string text = line_of(i, found == own.end() ? std::vector<const ExplainedTarget*>{} : found->second);
      write_line(lines, text, 66, y, kLetters - 1);
      y += kLetters + 14;
    }
    return lines;
  }

  // A drawn sign and what it means, each on a line of its own.
  Image legend() const {
    const Color sample = object_color(0);
    Image bottom = strip(p_.answers ? 7 : 5);
    int line = 0;
    const auto sign = [&] {
      const auto y = static_cast<float>(12 + line * (kLetters + 14));
      return Box{14, y - 4, 50, y + kLetters + 4};
    };
    const auto say = [&](const std::string& text) {
      write_line(bottom, text, 66, static_cast<float>(12 + line * (kLetters + 14)));
      ++line;
    };
    outline_box(bottom, sign(), sample, 4);
    say("object that this scale answers for (one colour an object)");
    fill_box(bottom, sign(), sample, 0.65);
    outline_box(bottom, sign(), kInk, 2);
    draw_centre(bottom, sign());
    say("the cell that answers: the one with the object's centre, the white dot");
    outline_box(bottom, sign(), sample, 2, true);
    say("an anchor that answers, centred in the cell; thick: the one that fits best");
    outline_box(bottom, sign(), kGrey, 2);
    say("object that other scales answer for");
    const Box cross = sign();
    outline_box(bottom, cross, kRed, 4);
    draw_line(bottom, cross.x0, cross.y0, cross.x1, cross.y1, kRed, 4);
    draw_line(bottom, cross.x0, cross.y1, cross.x1, cross.y0, kRed, 4);
    say("collision: more than one object wanted an anchor of this cell; one has it");
    if (!p_.answers) return bottom;
    draw_white_box(bottom, sign());
    say("the box that the network answers with (of the anchor whose objectness is greatest)");
    fill_box(bottom, box_from_center(sign().center_x(), sign().center_y(), 14, 14), kBlue, 0.8);
    say(fmt::format(
        "a prediction that overlaps an object by {:g} or more without being its target: ignored in the loss",
        p_.ignore_iou));
    return bottom;
  }

  const ExplainedPicture& p_;
  const int scale_;
  const Head& head_;
  const float zoom_;
  Image image_;
};

}  // namespace

Image explain_picture(const ExplainedPicture& picture, size_t scale) { return ScalePicture(picture, scale).draw(); }

}  // namespace yolov3
