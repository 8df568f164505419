// Greedy non-maximum suppression: the best box stays, and those of its class with IoU > iou_threshold go.
// Candidates whose score is not a number are left out.
// Errors: thresholds outside [0,1], negative limits, negative class ids.
// Threads: a Nms belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/objects.h"

namespace yolov3 {

struct NmsOptions {
  float iou_threshold = 0.45f;
  bool agnostic = false;       // boxes of other classes suppress too
  int max_detections = 300;    // kept a picture, best first; 0 = all
  int max_candidates = 30000;  // looked at, best first
};

// Boxes as columns, so that the loop over them compiles to vector code.
struct BoxColumns {
  std::vector<float> x0, y0, x1, y1, area;
  void resize(size_t count);
  void set(size_t i, const Box& box);
};

// Keeps its working memory (which grows with the largest class id too), so that it allocates only for more candidates
// than it has ever had.
class Nms {
 public:
  // Replaces `kept`. Highest score first; ties by class, then by position in the input, so the result is one, whatever
  // the machine. At most max_candidates x max_detections comparisons.
  void run(std::span<const Detection> candidates, const NmsOptions& options, std::vector<Detection>& kept);

 private:
  struct Ranked {
    float score;
    int class_id;
    size_t position;
  };
  // The kept boxes of a class are `kept_` of [first, last); its candidates would fill it up to the next class's first.
  struct ClassRange {
    size_t first = 0, last = 0;
  };
  void rank(std::span<const Detection> candidates, size_t limit);
  void lay_out_classes();

  std::vector<Ranked> ranked_;      // best first
  std::vector<ClassRange> ranges_;  // by class
  BoxColumns kept_;
};

// The same by itself.
std::vector<Detection> non_maximum_suppression(const std::vector<Detection>& candidates, const NmsOptions& options);

}  // namespace yolov3
