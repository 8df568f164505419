#include "data/check_boxes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/error.h"
#include "data/text_guard.h"

namespace yolov3 {
namespace {

constexpr size_t kMaxDefects = 1'000'000;  // a file of nothing but defects must not fill the memory

// The checks of one picture, sharing what each of them needs.
class BoxChecker {
 public:
  BoxChecker(const StatedPicture& picture, int width, int height, const std::vector<std::string>& names,
             DefectSink& sink)
      : picture_(picture), width_(width), height_(height), names_(names), sink_(sink) {}

  void take(StatedBox box) {
    if (picture_.relative) to_pixels(box);
    if (!readable(box) || !upright(box) || !inside(box)) return;
    const Annotation object = clipped(box);
    for (const Annotation& other : objects_) {
      if (other.class_id != object.class_id || other.crowd != object.crowd ||
          iou(other.box, object.box) <= kSameObjectIou)
        continue;
      if (!keep_copy(box, object, other)) return;
      break;
    }
    objects_.push_back(object);
  }

  std::vector<Annotation> objects() && { return std::move(objects_); }

 private:
  bool repairing() const { return sink_.policy() == BadDataPolicy::repair; }
  const std::string& name_of(const StatedBox& box) const { return names_[static_cast<size_t>(box.class_id)]; }

  void defect(const StatedBox& box, const char* reason, std::string detail, bool repaired = false, bool kept = false,
              const std::optional<Box>& other = std::nullopt) {
    std::string where = fmt::format("{}:{}", picture_.file, box.line);
    if (box.id) where += fmt::format(": annotation {}", *box.id);
    Defect found{reason, std::move(where), std::move(detail), false, repaired, kept};
    if (!box.unreadable) {
      found.picture = picture_.image;
      found.box_image = as_written(box);
      found.other_image = other;
    }
    sink_.add(std::move(found));
  }

  void to_pixels(StatedBox& box) const {
    box.x0 *= width_, box.x1 *= width_;
    box.y0 *= height_, box.y1 *= height_;
  }

  // As the file has it: relative boxes are written as centre and size.
  std::string written(const StatedBox& box) const {
    if (!picture_.relative) return fmt::format("{},{},{},{}", box.x0, box.y0, box.x1, box.y1);
    return fmt::format("{:.6g} {:.6g} {:.6g} {:.6g}", (box.x0 + box.x1) / 2 / width_, (box.y0 + box.y1) / 2 / height_,
                       (box.x1 - box.x0) / width_, (box.y1 - box.y0) / height_);
  }

  // Whether a box that lies where `other` of its class does stays: identical ones never, others unless repairing.
  bool keep_copy(const StatedBox& box, const Annotation& object, const Annotation& other) {
    const bool identical = object.box == other.box;
    const std::string detail = fmt::format("{} {} is marked already, with an IoU of {:.2f}", name_of(box), written(box),
                                           iou(other.box, object.box));
    defect(box, identical ? "duplicate box" : "doubled box", detail, repairing(), !identical && !repairing(),
           other.box);
    return !identical && !repairing();
  }

  bool readable(const StatedBox& box) {
    if (box.unreadable) {
      defect(box, "unreadable box", box.problem);
      return false;
    }
    if (box.class_id >= 0 && box.class_id < static_cast<int64_t>(names_.size())) return true;
    if (!box.problem.empty()) {
      const std::string near = likely_meant(box.problem, names_);
      defect(box, "wrong class",
             fmt::format("\"{}\" is not one of the {} class names{}", shown(box.problem), names_.size(),
                         near.empty() ? "" : "; did you mean \"" + near + "\"?"));
    } else {
      defect(box, "wrong class", fmt::format("expected 0 to {}, found {}", names_.size() - 1, box.class_id));
    }
    return false;
  }

  bool upright(StatedBox& box) {
    if (box.x1 < box.x0 || box.y1 < box.y0) {
      defect(box, "inverted box", fmt::format("{}: the second corner lies before the first", written(box)),
             repairing());
      if (!repairing()) return false;
      if (box.x1 < box.x0) std::swap(box.x0, box.x1);
      if (box.y1 < box.y0) std::swap(box.y0, box.y1);
    }
    if (box.x1 > box.x0 && box.y1 > box.y0) return true;
    defect(box, "zero-area box", fmt::format("{} has no area", written(box)));
    return false;
  }

  // Shares of the sides that only pixels could be: a file of another tool.
  std::string in_the_picture(const StatedBox& box) const {
    const bool pixels = picture_.relative && (box.x1 > 2.0 * width_ || box.y1 > 2.0 * height_);
    return fmt::format("{} in a picture of {}x{}{}", written(box), width_, height_,
                       pixels ? "; expected shares of the sides, from 0 to 1: are these pixels?" : "");
  }

  bool inside(const StatedBox& box) {
    const double first = picture_.voc_corners ? 1 : 0;
    const double x0 = box.x0 - first, y0 = box.y0 - first;
    if (x0 >= width_ || y0 >= height_ || box.x1 <= 0 || box.y1 <= 0) {
      defect(box, "box outside image", in_the_picture(box));
      return false;
    }
    if (x0 < -kToleratedPx || y0 < -kToleratedPx || box.x1 > width_ + kToleratedPx || box.y1 > height_ + kToleratedPx) {
      defect(box, "box exceeds image", in_the_picture(box), repairing());
      return repairing();
    }
    // Two corners that are apart as written may still fall on the same float, or on the border when clipped.
    if (clipped(box).box.area() > 0) return true;
    defect(box, "zero-area box", fmt::format("{} has no area in the picture", written(box)));
    return false;
  }

  Box as_written(const StatedBox& box) const {
    const double first = picture_.voc_corners ? 1 : 0;
    const auto limit = [](double value) { return static_cast<float>(std::clamp(value, -1e6, 1e6)); };
    return {limit(box.x0 - first), limit(box.y0 - first), limit(box.x1), limit(box.y1)};
  }

  Annotation clipped(const StatedBox& box) const {
    const double first = picture_.voc_corners ? 1 : 0;
    const auto limit = [](double value, int side) { return static_cast<float>(std::clamp<double>(value, 0, side)); };
    Annotation object;
    object.box = {limit(box.x0 - first, width_), limit(box.y0 - first, height_), limit(box.x1, width_),
                  limit(box.y1, height_)};
    object.class_id = static_cast<int>(box.class_id);
    object.difficult = box.difficult;
    object.crowd = box.crowd;
    object.area = box.area >= 0 ? static_cast<float>(box.area) : object.box.area();
    return object;
  }

  const StatedPicture& picture_;
  const int width_, height_;
  const std::vector<std::string>& names_;
  DefectSink& sink_;
  std::vector<Annotation> objects_;
};

}  // namespace

std::string StatedPicture::origin() const { return line > 0 ? fmt::format("{}:{}", file, line) : file; }

void DefectSink::add(Defect defect) {
  report_.defects.push_back(std::move(defect));
  const Defect& last = report_.defects.back();
  if (policy_ == BadDataPolicy::error && !last.kept && !last.beside) {
    throw Error(
        fmt::format("{}: {}: {}; mend it, or run with --bad-data skip or repair", last.where, last.reason, last.detail),
        Error::Kind::bad_data);
  }
  if (report_.defects.size() > kMaxDefects) {
    throw Error(fmt::format("{}: more than {} defects; is this the right file?", last.where, kMaxDefects),
                Error::Kind::bad_data);
  }
}

std::vector<Annotation> check_boxes(const StatedPicture& picture, int width, int height,
                                    const std::vector<std::string>& names, DefectSink& sink) {
  assert(picture.boxes.size() <= kMaxBoxesOfAPicture);
  BoxChecker checker(picture, width, height, names, sink);
  for (const StatedBox& box : picture.boxes) checker.take(box);
  return std::move(checker).objects();
}

void check_limits(const DefectReport& report, const std::string& data, double max_left_out) {
  if (max_left_out >= 1) return;
  int64_t pictures = 0, boxes = 0;
  for (const Defect& defect : report.defects) {
    if (!defect.repaired && !defect.kept && !defect.beside) ++(defect.image ? pictures : boxes);
  }
  const auto too_many = [&](int64_t left_out, int64_t seen) {
    const bool nothing_left = left_out > 0 && left_out >= seen;
    return nothing_left || (left_out > 1 && static_cast<double>(left_out) > max_left_out * static_cast<double>(seen));
  };
  if (!too_many(pictures, report.images_seen) && !too_many(boxes, report.boxes_seen)) return;
  throw Error(fmt::format("{}: {} of {} pictures and {} of {} boxes would be left out, expected at most {:.0f}% of "
                          "each:\n{}mend the files, or try --bad-data repair, which clips and turns boxes instead of "
                          "leaving them out; yolov3 data check --repair DIR writes a copy of what can be kept",
                          data, pictures, report.images_seen, boxes, report.boxes_seen, 100 * max_left_out,
                          describe(report, 10)),
              Error::Kind::bad_data);
}

}  // namespace yolov3
