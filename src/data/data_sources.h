// What stands after --data, or in a split of a data.yaml, and what it states for one split.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/check_boxes.h"
#include "data/source.h"

namespace yolov3 {

struct SyntheticPart {
  uint64_t seed = 0;
  std::string split;
  int64_t count = 0;
};

struct StatedSplit {
  std::vector<std::string> names;
  std::vector<StatedPicture> pictures;  // of all sources, in their order
  std::vector<SyntheticPart> synthetic;
};

constexpr int64_t kSyntheticPictures = 200;  // of "synthetic" without a number

// A source is one of
//   FOLDER, FOLDER:SPLIT            Pascal VOC; SPLIT = a name in ImageSets/Main other than the one asked for
//   FOLDER/ImageSets/Main/X.txt     the same as FOLDER:X
//   FILE.txt                        annotation lines
//   synthetic, synthetic:N          N training, max(1, N/5) validation and as many test pictures
//   FILE.yaml                       splits of the above
// Names come from --names, else data.yaml, else the VOC folders of all splits and the digits of synthetic data, sorted.
// Errors: nothing there, a kind of source this version does not read, no such split, no names.
StatedSplit read_split(const DataOptions& options, const std::string& split);

}  // namespace yolov3
