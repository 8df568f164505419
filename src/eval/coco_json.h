// COCO's JSON: ground truth (instances_*.json) and results files, of any detector.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/objects.h"

namespace yolov3 {

struct CocoImage {
  int64_t id = 0;
  std::string file_name;
  int width = 0, height = 0;
  std::vector<Annotation> truth;        // class_id = index into CocoTruth::names
  std::vector<Detection> detections;    // filled by read_coco_results
};

struct CocoTruth {
  std::vector<std::string> names;       // in order of category id
  std::vector<int64_t> category_ids;
  std::vector<CocoImage> images;        // in order of image id
};

// Errors: not JSON, missing keys, annotations of unknown images or categories, boxes that are no numbers: file and entry.
CocoTruth read_coco_truth(const std::filesystem::path& path);
void read_coco_results(const std::filesystem::path& path, CocoTruth& truth);

struct CocoResult {
  int64_t image_id = 0, category_id = 0;
  Box box;
  float score = 0;
};
std::string coco_results_json(const std::vector<CocoResult>& results);  // bbox = x,y,w,h

}  // namespace yolov3
