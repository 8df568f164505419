// One split of a data set as the text of each format, and what that text cannot say.
#pragma once

#include <map>
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

// Texts by path in the data set's folder.
using Texts = std::map<std::string, std::string>;

// The annotations of one split, without its pictures.
Texts lines_texts(const PlannedSplit& split, std::vector<Loss>& losses);
Texts voc_texts(const PlannedSplit& split, std::vector<Loss>& losses);
Texts coco_texts(const PlannedSplit& split, std::vector<Loss>& losses);
Texts yolo_texts(const PlannedSplit& split, std::vector<Loss>& losses);

// Where the pictures of a split go: "images/train".
std::string picture_folder(DataFormat format, const std::string& split);

// data.yaml of the formats that have one. `splits` by name.
std::string data_yaml_text(DataFormat format, const std::vector<std::string>& splits,
                           const std::vector<std::string>& names);

}  // namespace yolov3
