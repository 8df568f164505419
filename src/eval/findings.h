// What a model gets wrong when it is used: the confusion matrix, which objects it misses and how, which of its answers
// are false and why, and how much of each size it finds.
//
// The rule, at one working point (a score and an IoU, 0.25 and 0.5 when not said):
//   1. Of each picture the detections with at least that score, best first, whatever their class.
//   2. Each takes the object not taken yet that it overlaps most, with at least that IoU; an object of its own class
//      goes before any other.
//   3. It stands in the matrix at (class of the object, class of the detection). A detection that took nothing stands
//      at (background, its class), an object that nothing took at (its class, background).
//   4. Difficult objects and crowd regions are not in the matrix, and neither is a detection that took nothing and lies
//      on one of its own class with at least that IoU (of a crowd region: with that share of itself).
// So a sure answer of a wrong class takes the object, and a less sure one of the right class is then a second answer:
// this is the model as it is used. Figures such as mAP match each class by itself (eval/matching.h).
// The kinds of errors are those of Bolya et al. 2020, "TIDE". Frame: box_image.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "eval/exact.h"

namespace yolov3 {

struct FindingsOptions {
  double score = 0.25, iou = 0.5;
  double near_iou = 0.1;  // an answer with less overlap has nothing to do with the object
  size_t listed = 16;     // misses, and as many false alarms
};

class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(int class_count = 0)
      : side_(static_cast<size_t>(class_count) + 1), counts_(side_ * side_, 0) {}

  int background() const { return static_cast<int>(side_) - 1; }  // the last row and column
  int64_t at(int truth, int answer) const { return counts_[index(truth, answer)]; }
  void add(int truth, int answer) { ++counts_[index(truth, answer)]; }

 private:
  size_t index(int truth, int answer) const { return static_cast<size_t>(truth) * side_ + static_cast<size_t>(answer); }
  size_t side_;
  std::vector<int64_t> counts_;
};

enum class MissKind {
  unseen,      // nothing of its class near it
  loose,       // an answer of its class near it, but not near enough
  wrong_class  // taken for another class
};

struct Miss {
  int64_t picture = 0;  // by order of Evaluator::add()
  ExactBox box;
  int class_id = 0;
  MissKind kind = MissKind::unseen;
  double score = 0;                 // the best score, however low, of a detection of its class with the IoU; 0 = none
  double overlap = 0;               // the best IoU with an answer of its class that took nothing
  std::optional<ScoredBox> answer;  // of loose: that one; of wrong_class: the one that took it
};

enum class AlarmKind {
  background,   // no object of its class near it
  loose,        // one near it, but not near enough
  duplicate,    // on an object of its class that a better answer took
  wrong_class,  // on an object of another class
};

struct FalseAlarm {
  int64_t picture = 0;
  ExactBox box;
  int class_id = 0;
  double score = 0;
  AlarmKind kind = AlarmKind::background;
  double overlap = 0;              // the best IoU with an object of its class
  std::optional<TruthBox> object;  // of loose and duplicate: that one; of wrong_class: the one it lies on
};

// Objects by size: the root of the box's area, in pixels of the network's input where those are known.
struct SizeCounts {
  static constexpr std::array<int, 7> kLimitsPx = {8,   16,  32, 64,
                                                   128, 256, 512};  // under 8, 8 to 16, ..., 512 and more
  std::array<int64_t, kLimitsPx.size() + 1> objects{}, found{};     // found: as their own class
};

struct Findings {
  FindingsOptions options;
  ConfusionMatrix confusion;
  SizeCounts sizes;
  std::vector<Miss> misses;              // worst first: lowest score, then largest
  std::vector<FalseAlarm> false_alarms;  // worst first: highest score
  std::array<int64_t, 3> miss_kinds{};   // all of them, not only those listed
  std::array<int64_t, 4> alarm_kinds{};
};

class FindingsBuilder {
 public:
  FindingsBuilder(int class_count, const FindingsOptions& options);

  // One picture. pixels: of the network's input for one of the picture (the letterbox's scale).
  void add(std::span<const TruthBox> truth, std::span<const ScoredBox> detections, double pixels = 1);
  Findings finish();  // ends the builder

 private:
  struct Picture;
  void note_answer(const Picture& picture, size_t index);
  void note_object(const Picture& picture, size_t index, double pixels);
  void keep_worst(bool all_seen);

  Findings findings_;
  int64_t pictures_ = 0;
};

}  // namespace yolov3
