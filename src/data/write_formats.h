// One split of a data set in the files of each format, and what these cannot say.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/write.h"

namespace yolov3 {

// A picture that will be written.
struct PlannedPicture {
  const Example* example = nullptr;
  std::string name;  // file name, unique in its folder, and so is its stem
  int width = 0, height = 0;
};

struct PlannedSplit {
  std::string split;
  const Dataset* dataset = nullptr;
  std::vector<PlannedPicture> pictures;
};

// Writes the annotations of one split into the data set's folder, a piece at a time, without its pictures. Errors: the
// disk is full, an interrupt.
void write_lines(const std::filesystem::path& folder, const PlannedSplit& split, std::vector<Loss>& losses);
void write_voc(const std::filesystem::path& folder, const PlannedSplit& split, std::vector<Loss>& losses);
void write_coco(const std::filesystem::path& folder, const PlannedSplit& split, std::vector<Loss>& losses);
void write_yolo(const std::filesystem::path& folder, const PlannedSplit& split, std::vector<Loss>& losses);

// Where the pictures of a split go: "images/train".
std::string picture_folder(DataFormat format, const std::string& split);

// data.yaml of the formats that have one. `splits` by name.
std::string data_yaml_text(DataFormat format, const std::vector<std::string>& splits,
                           const std::vector<std::string>& names);

}  // namespace yolov3
