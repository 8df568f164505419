// What stands after --data, or in a split of a data.yaml, and what it states for one split.
#pragma once

#include <cstdint>
#include <map>
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
  std::vector<int64_t> category_ids;    // a class; empty = no source numbers them
  std::vector<StatedPicture> pictures;  // of all sources, in their order
  std::vector<SyntheticPart> synthetic;
  std::vector<Defect> loose;              // of labels and annotations that have no picture
  std::map<std::string, int64_t> unheld;  // what is written and not read, counted
};

// A source is one of
//   FOLDER, FOLDER:SPLIT            Pascal VOC; SPLIT = a name in ImageSets/Main other than the one asked for
//   FOLDER/ImageSets/Main/X.txt     the same as FOLDER:X
//   FILE.json                       COCO instances
//   FOLDER                          pictures with YOLO txt labels; images/SPLIT and SPLIT/images are its splits
//   FILE.txt                        annotation lines, or a list of pictures with YOLO txt labels
//   synthetic, synthetic:N          N training, max(1, N/5) validation and as many test pictures
//   FILE.yaml, FILE.data            splits of the above
// Names: data_names.h. Errors: nothing there, no such split, no names.
StatedSplit read_split(const DataOptions& options, const std::string& split);

}  // namespace yolov3
