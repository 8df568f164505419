// What differs between two detectors on the same pictures: raw maps, the first layer, boxes.
//
// Frame: boxes in the picture's pixels. A is the measure, B is judged.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "detect/detector.h"

namespace yolov3 {

struct MapDifference {
  int layer = 0;         // of the head, or the layer itself
  double largest = 0;    // |a - b|
  double magnitude = 0;  // largest |a|
  double distance = 0;   // ||a - b|| / ||a|| over all pictures
  std::string picture;   // where the largest is
  int64_t channel = 0, y = 0, x = 0;
};

// A box that is not the same in both: moved, or without a partner.
struct ChangedBox {
  std::string picture;
  int class_id = 0;               // A's
  std::optional<Detection> a, b;  // one of them is missing where there is no partner
  float iou = 0;                  // of the two
  // How far apart: a lost box counts more than any moved one, a certain one more than a doubtful one.
  float weight() const { return a && b ? 1 - iou + std::abs(a->score - b->score) : 2 + (a ? a->score : b->score); }
};

constexpr size_t kListedBoxes = 20;

// A box of A and its partner in B: of the same class, each box once, best scores of A choose first by IoU over 0.5.
struct BoxDifferences {
  int64_t equal = 0, moved = 0;    // partners with IoU > 0.95 and score within 0.01, and others
  int64_t only_a = 0, only_b = 0;  // without a partner
  double worst_iou = 1, worst_score = 0;
  std::string worst_iou_picture, worst_score_picture;
  std::vector<ChangedBox> changed;  // the kListedBoxes of greatest weight, greatest first
  int64_t all() const { return equal + moved + only_a + only_b; }
};

// class_of_b: A's class for each of B's, -1 = none; empty = the same numbers.
void add_box_differences(const std::vector<Detection>& a, const std::vector<Detection>& b,
                         const std::vector<int>& class_of_b, const std::string& picture, BoxDifferences& out);

class Comparer {
 public:
  // The first map that is farther away than `tolerance` (MapDifference::distance) is the first layer that differs.
  Comparer(Detector& a, Detector& b, std::vector<int> class_of_b, double tolerance);

  // Both detectors on one picture. `layers`: their layers too, which is slow and takes the memory of all maps.
  void add(const LoadedImage& picture, const std::string& name, bool layers);

  bool same_heads() const { return same_heads_; }  // else raw maps are not compared
  std::vector<MapDifference> heads() const;
  const BoxDifferences& boxes() const { return boxes_; }
  // Of the pictures added with `layers`. Empty: an engine that shows no layers, or networks that share none.
  const std::vector<MapDifference>& layers() const { return layers_; }
  std::optional<MapDifference> first_layer() const;
  const std::string& no_layers() const { return no_layers_; }  // why there are none
  int64_t pictures() const { return pictures_; }

 private:
  struct HeadSum {
    MapDifference worst;
    double difference = 0, norm = 0;  // squares
  };
  void add_heads(const std::vector<RawMap>& a, const std::vector<RawMap>& b, const std::string& name);
  void add_layers(const Image& input, const std::string& name);

  Detector &a_, &b_;
  std::vector<int> class_of_b_;
  double tolerance_;
  bool same_heads_ = false, same_layers_ = false;
  std::vector<HeadSum> heads_;
  std::vector<MapDifference> layers_;
  std::string no_layers_;
  BoxDifferences boxes_;
  int64_t pictures_ = 0;
};

}  // namespace yolov3
