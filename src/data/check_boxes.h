// What annotation files state, and the rules that decide which of it is kept.
//
// Readers (lines.h, voc.h) only report what is written; the rules are here, the same for every format. In this order:
//   unreadable box     not five numbers                               left out
//   wrong class        unknown name, or not in [0,classes)            left out
//   inverted box       x1 < x0 or y1 < y0                             skip: left out; repair: put the right way round
//   zero-area box      x1 == x0 or y1 == y0 as written                left out
//   box outside image  nothing of it in the picture                   left out
//   box exceeds image  more than kToleratedPx beyond a border         skip: left out; repair: clipped
//   duplicate box      class and corners of an earlier box            left out (under repair this counts as mended)
//   doubled box        class of an earlier box and nearly its place   skip, error: kept, reported; repair: left out
// Nearly the same place is an IoU over kSameObjectIou: people who mark an object twice do not hit the same pixels, but
// two objects of a crowd can lie that close too, so only a repair that was asked for takes one away.
// Up to kToleratedPx beyond a border is a matter of counting from 0 or from 1, not a defect: clipped silently.
// Crowd regions stand the same rules but are no copies of objects. A stated area is kept as it is.
// Frame: box_image. VOC's corners are pixel numbers from 1, both inclusive: [xmin-1, ymin-1, xmax, ymax]. Relative
// corners (YOLO txt) are shares of the sides.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/objects.h"
#include "data/source.h"

namespace yolov3 {

constexpr double kToleratedPx = 1.0;
constexpr float kSameObjectIou = 0.8f;
constexpr size_t kMaxBoxesOfAPicture = 20'000;  // more is no annotation; bounds the search for duplicates

// A box as it stands in a file.
struct StatedBox {
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;  // as written
  int64_t class_id = -1;
  bool difficult = false;
  bool crowd = false;       // a region of many objects, never a copy of an object in it
  bool unreadable = false;  // `problem` says why; the numbers mean nothing
  double area = -1;         // pixels^2 as stated; negative = not
  std::string problem;      // or: the class name that is unknown
  int64_t line = 0;
  std::optional<int64_t> id;  // of the annotation, where the file numbers them
};

struct StatedPicture {
  std::filesystem::path image;
  std::vector<StatedBox> boxes;
  bool voc_corners = false;   // 1-based, inclusive
  bool relative = false;      // corners are shares of the picture's sides
  int width = 0, height = 0;  // as stated; 0 = not
  std::string file;           // that states it
  int64_t line = 0;           // in it; 0 = the whole file
  std::optional<int64_t> image_id;
  std::optional<Defect> defect;  // the reader found that this picture cannot be used
  std::optional<Defect> note;    // or that it looks odd and is kept

  std::string origin() const;  // "train.txt:12" or "Annotations/a.xml"
};

// Takes in defects, one after the other, and ends the run at the first under BadDataPolicy::error.
class DefectSink {
 public:
  DefectSink(BadDataPolicy policy, DefectReport& report) : policy_(policy), report_(report) {}

  BadDataPolicy policy() const { return policy_; }
  DefectReport& report() { return report_; }
  void add(Defect defect);

 private:
  BadDataPolicy policy_;
  DefectReport& report_;
};

// The boxes of a picture of width x height that stand the rules, clipped to it; area = w*h where none is stated.
std::vector<Annotation> check_boxes(const StatedPicture& picture, int width, int height,
                                    const std::vector<std::string>& names, DefectSink& sink);

// More than `max_left_out` of the pictures or of the boxes left out, and more than one of them (a single slip in a tiny
// set is no reason to stop), or all of them, is an Error of Kind::bad_data with the table of defects. 1 = no limit.
void check_limits(const DefectReport& report, const std::string& data, double max_left_out = 0.05);

}  // namespace yolov3
