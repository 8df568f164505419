// All that `yolov3 data check` finds in a data set, before anyone writes it down.
#pragma once

#include <string>
#include <vector>

#include "app/data_parts.h"
#include "data/look.h"
#include "data/similar.h"
#include "data/stats.h"
#include "data/suspicious.h"

namespace yolov3 {

// A picture by its split and its place there.
struct PictureRef {
  size_t split = 0, index = 0;
};

struct Copies {
  std::vector<PictureRef> pictures;
  bool identical = false;
  bool leaks = false;  // they stand in more than one split
};

struct SuspectRef {
  PictureRef picture;
  Suspect suspect;
};

struct DataFindings {
  std::string data;
  int net_width = 416, net_height = 416;
  std::vector<LoadedSplit> splits;
  std::vector<DatasetStats> stats;  // a split
  bool looked = false;              // at the pictures; without, copies and suspects are not known
  std::vector<Copies> copies;       // leaks first
  std::vector<SuspectRef> suspects;

  const Example& example(const PictureRef& ref) const { return splits[ref.split].dataset.examples[ref.index]; }
  int64_t leaks() const;
  bool any() const;  // defects, a split that cannot be loaded, or leaks; the ranking of suspects has always a first
};

struct FindOptions {
  int net_width = 416, net_height = 416;
  int suspects = 20;
  bool looks = true;  // decode the pictures to find copies and suspects
  int threads = 0;
};

// Errors: a picture that was sound a moment ago cannot be read.
DataFindings find_in_data(const std::string& data, std::vector<LoadedSplit> splits, const FindOptions& options);

std::string findings_text(const DataFindings& findings, size_t max_listed);
std::string findings_json(const DataFindings& findings);

}  // namespace yolov3
