// What a data set holds, in figures: classes, sizes of boxes as the network sees them, pictures.
// Units: a box's size is sqrt(width * height) in pixels of the network's input, after the letterbox.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace yolov3 {

struct ClassStats {
  std::string name;
  int64_t objects = 0, pictures = 0;  // pictures that hold it
  double median_px = 0;               // of its boxes' sizes
};

struct DatasetStats {
  int64_t pictures = 0, background = 0, objects = 0, crowds = 0, difficult = 0;
  std::vector<ClassStats> classes;
  // Boxes under 8, 16, 32, 64, 128, 256 px, and all.
  static constexpr std::array<int, 6> kLimitsPx = {8, 16, 32, 64, 128, 256};
  std::array<int64_t, 7> under{};
  std::array<double, 5> size_px{};                                                     // smallest, quartiles, largest
  int64_t most_objects = 0;                                                            // in one picture
  int smallest_width = 0, smallest_height = 0, largest_width = 0, largest_height = 0;  // by area
};

// Crowd regions are counted apart and nowhere else. Pictures whose size is not known (Example::width 0) have no box
// sizes.
DatasetStats dataset_stats(const Dataset& dataset, int net_width, int net_height);

std::string describe(const DatasetStats& stats, int net_width, int net_height);

}  // namespace yolov3
