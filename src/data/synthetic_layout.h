// Where the digits of a synthetic picture go and how they get onto it; shared by planning and painting.
#pragma once

#include <vector>

#include "base/rng.h"
#include "data/glyphs.h"
#include "data/synthetic.h"

namespace yolov3 {

// The digit's strokes in pixels of the picture.
std::vector<Segment> placed_strokes(const SyntheticDigit& digit);

// Places digits until `wanted` lie in the scene or no room is found for more.
class SyntheticLayout {
 public:
  explicit SyntheticLayout(SyntheticScene& scene);

  // Tries places for the digit; false when every one covers too much of an earlier digit.
  bool place(SyntheticDigit digit, Rng& rng);

 private:
  bool covers_too_much(const InkMask& mask, int dx, int dy) const;
  void put(const SyntheticDigit& digit, const InkMask& mask, int dx, int dy);

  SyntheticScene& scene_;
  std::vector<int8_t> owner_;     // H,W: the digit whose ink is on top, -1 none
  std::vector<int64_t> ink_px_;   // of each digit, whole
  std::vector<int64_t> seen_px_;  // of each digit, still visible
};

}  // namespace yolov3
